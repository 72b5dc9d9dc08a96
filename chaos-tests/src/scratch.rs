//! Folders for data and logs that do not pile up, even when a test is killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::guard::{self, Guard, Made};

/// A folder of this process. Removed when dropped, unless the test is failing; then, and when the process is
/// killed, the next run removes it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    guard: Option<Guard>,
}

impl Scratch {
    /// A new, empty folder.
    ///
    /// # Errors
    /// The temporary folder cannot be written, or what dead runs left cannot be removed.
    pub fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = guard::home()?.join(format!("{}-{number}", guard::marker()?));
        let guard = Guard::over(Made::Folder(path.clone()), || {
            fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))
        })?;
        Ok(Self { path, guard: Some(guard) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(guard) = self.guard.take() else { return };
        if std::thread::panicking() {
            eprintln!("data and logs are kept in {} until the next run", self.path.display());
            guard.leave_to_next_run();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_dropped_is_gone_and_others_stay() {
        let (mine, next) = (Scratch::new().unwrap(), Scratch::new().unwrap());
        fs::create_dir(next.path().join("node0")).unwrap();
        let path = next.path().to_owned();
        drop(next);
        assert!(!path.exists());
        assert!(mine.path().exists());
    }
}
