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
    // target/debug/deps/failover-1a2b → target/debug/roomkeeper
    let test = std::env::current_exe().context("cannot find out where this test is")?;
    let path = test.ancestors().nth(2).map(|folder| folder.join("roomkeeper"));
    let path = path.context("this test is not in a target folder")?;
    ensure!(
        path.is_file(),
        "there is no {}: build it with `cargo build --bin roomkeeper`, or name one with ROOMKEEPER_BIN",
        path.display()
    );
    Ok(path)
}
