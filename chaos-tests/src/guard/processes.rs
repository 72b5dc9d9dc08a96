//! Processes of a run, found by a marker in their environment.
//!
//! A process id is known only after the process is there, so that a journal written before it cannot name it. A
//! marker can: every child of a run is started with it, and whoever cleans up kills all that have it.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The environment variable with the marker.
pub const MARKER: &str = "CHAOS_TESTS_RUN";

const END_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Processes that were started by the run with this marker and have not ended. Processes of other users
/// cannot be asked; they are none of the run's.
///
/// # Errors
/// There is no `/proc`.
pub fn of_run(marker: &str) -> Result<Vec<Pid>> {
    let wanted = format!("{MARKER}={marker}");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end while it is looked at; one that has ended has no environment.
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
            found.push(Pid::from_raw(pid));
        }
    }
    Ok(found)
}

/// Kills the processes of a run, stopped ones too, and waits until they are gone.
pub(super) fn kill_of_run(marker: &str) -> Result<usize> {
    let end = Instant::now() + END_LIMIT;
    let first = of_run(marker)?;
    let mut left = first.clone();
    while !left.is_empty() {
        ensure!(Instant::now() < end, "processes {left:?} do not end {END_LIMIT:?} after SIGKILL");
        for pid in &left {
            match kill(*pid, Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        std::thread::sleep(POLL);
        left = of_run(marker)?;
    }
    Ok(first.len())
}
