//! Where the program under test is.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// The `roomkeeper` to test: `ROOMKEEPER_BIN`, else the one that cargo put beside the test executables.
///
/// # Errors
/// There is none; the error says how to build it.
pub fn roomkeeper() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("ROOMKEEPER_BIN") {
        let path = PathBuf::from(path);
        ensure!(path.is_file(), "ROOMKEEPER_BIN names {}, which is no file", path.display());
        return Ok(path);
    }
    // target/debug/deps/failover-1a2b or target/debug/chaos-tests → target/debug/roomkeeper
    let this = std::env::current_exe().context("cannot find out where this program is")?;
    let beside = this.parent().context("this program is in no folder")?;
    let folder = if beside.ends_with("deps") { beside.parent() } else { Some(beside) };
    let path = folder.context("this program is not in a target folder")?.join("roomkeeper");
    ensure!(
        path.is_file(),
        "there is no {}: build it with `cargo build --bin roomkeeper`, or name one with ROOMKEEPER_BIN",
        path.display()
    );
    Ok(path)
}
