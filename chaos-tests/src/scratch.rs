//! Folders for data and logs that do not pile up, even when a test is killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// Parent of all scratch folders, below the system's temporary folder.
const PARENT: &str = "roomkeeper-chaos";

/// A folder of this process. Removed when dropped, unless the test is failing; what earlier processes left
/// behind is removed when the next folder is made.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A new, empty folder.
    ///
    /// # Errors
    /// The temporary folder cannot be written.
    pub fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let parent = std::env::temp_dir().join(PARENT);
        fs::create_dir_all(&parent).with_context(|| format!("cannot create {}", parent.display()))?;
        sweep(&parent)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{}-{number}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("data and logs are kept in {} until the next run", self.path.display());
        } else if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Removes folders of processes that are gone.
fn sweep(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.split_once('-')).map(|(pid, _)| pid);
        let is_gone = owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists());
        // Another run may sweep the same folder at the same moment.
        if is_gone && let Err(error) = fs::remove_dir_all(entry.path()) {
            eprintln!("cannot remove {}: {error}", entry.path().display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_of_a_dead_process_is_swept_by_the_next() {
        let mine = Scratch::new().unwrap();
        // No process has a number above the kernel's limit of 4194304.
        let left = mine.path().parent().unwrap().join("9999999-0");
        fs::create_dir_all(left.join("node0")).unwrap();
        let next = Scratch::new().unwrap();
        assert!(!left.exists());
        assert!(mine.path().exists() && next.path().exists());
        let path = next.path().to_owned();
        drop(next);
        assert!(!path.exists());
    }
}
