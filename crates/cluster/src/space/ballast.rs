//! A file that only takes up room: what is left when somebody else takes all the rest.
//!
//! A disk can be full before anybody looks at it. Then the file is deleted, and Raft's votes, the entries that were
//! under way and the flushes of both databases have its room to end well. It is made anew when there is room again.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use nix::fcntl::posix_fallocate;

/// The file, there or not.
#[derive(Debug, Clone)]
pub(super) struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    /// Of so many bytes; 0: none is kept.
    pub(super) fn new(path: PathBuf, bytes: u64) -> Self {
        Self { path, bytes }
    }

    /// What deleting it brings.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether its room is taken.
    pub(super) fn is_there(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|file| file.len() >= self.bytes)
    }

    /// Takes the room. Blocks.
    ///
    /// # Errors
    /// There is not so much, or the file cannot be made; nothing is left of it then.
    pub(super) fn make(&self) -> io::Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        let file = File::options().create(true).append(true).open(&self.path)?;
        let len = i64::try_from(self.bytes).map_err(io::Error::other)?;
        posix_fallocate(&file, 0, len).map_err(|error| {
            // What the error says matters more than that a part of the file stays.
            drop(fs::remove_file(&self.path));
            error.into()
        })
    }

    /// Gives the room up. Blocks.
    ///
    /// # Errors
    /// The file cannot be deleted.
    pub(super) fn drop_it(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ballast_takes_its_room_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(folder.path().join("ballast"), 1 << 20);
        assert!(!ballast.is_there());
        ballast.make().unwrap();
        assert!(ballast.is_there());
        let blocks =
            std::os::unix::fs::MetadataExt::blocks(&fs::metadata(folder.path().join("ballast")).unwrap());
        assert!(blocks * 512 >= 1 << 20, "{blocks} blocks");
        ballast.drop_it().unwrap();
        ballast.drop_it().unwrap();
        assert!(!ballast.is_there());
    }

    #[test]
    fn ballast_larger_than_the_disk_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(folder.path().join("ballast"), 1 << 60);
        assert!(ballast.make().is_err());
        assert!(!folder.path().join("ballast").exists());
    }
}
