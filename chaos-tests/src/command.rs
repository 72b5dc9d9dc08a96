//! Programs of the system (`ip`, `nft`, `mount`, …) run to their end.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};

/// Runs a program.
///
/// # Errors
/// It is not there, or fails; with what it wrote.
pub(crate) fn run(program: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<()> {
    output(program, args).map(drop)
}

/// Runs a program for what it writes to its standard output.
///
/// # Errors
/// As [`run`].
pub(crate) fn output(program: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    let Output { status, stdout, stderr } =
        command.output().with_context(|| format!("cannot run {program}"))?;
    ensure!(status.success(), "{command:?}: {status}: {}", String::from_utf8_lossy(&stderr).trim());
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// Whether a program is there and succeeds.
pub(crate) fn succeeds(program: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> bool {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
