//! Small files that are replaced as a whole: a checksum in front, and never half of one.
//!
//! ```text
//! | xxh3 of the rest u64, big-endian | bytes … |
//! ```

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::Error;

/// Replaces the file, synced: after a crash it has the old or the new contents. Blocks.
///
/// # Errors
/// [`Error::Io`]; what the disk holds is then the old or the new contents.
pub fn write_checked(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || {
        let next = path.with_extension("next");
        let mut file = File::create(&next)?;
        file.write_all(&xxh3_64(bytes).to_be_bytes())?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&next, path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(Error::io("replacing a small file"))
}

/// Reads the file; `None` if there is none. Blocks.
///
/// # Errors
/// [`Error::Corrupt`] when it is not what was written.
pub fn read_checked(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("reading a small file")(error)),
    };
    match bytes.split_first_chunk() {
        Some((check, rest)) if u64::from_be_bytes(*check) == xxh3_64(rest) => Ok(Some(rest.to_vec())),
        _ => Err(Error::corrupt(path.display().to_string(), "its checksum is wrong")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_written_is_read_again_and_damage_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert!(read_checked(&path).unwrap().is_none());
        write_checked(&path, b"old").unwrap();
        write_checked(&path, b"contents").unwrap();
        assert_eq!(read_checked(&path).unwrap().unwrap(), b"contents");
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            for damaged in [flipped, whole[..at].to_vec()] {
                fs::write(&path, damaged).unwrap();
                assert!(matches!(read_checked(&path), Err(Error::Corrupt { .. })), "{at}");
            }
        }
    }
}
