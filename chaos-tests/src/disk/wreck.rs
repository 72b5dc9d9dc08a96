//! Damage to files of a node that does not run.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use rand::rngs::StdRng;

/// Which file of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The newest write-ahead log of the raft log's database.
    Wal,
    /// An SST file.
    Sst,
    /// The newest MANIFEST.
    Manifest,
    /// The file that says how far each log was on disk.
    Watermark,
}

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// One bit is turned, somewhere in the middle third.
    Flip,
    /// The last third is cut off.
    Truncate,
    /// The last 4 KiB (or a quarter, if that is less) are zeros.
    ZeroTail,
}

impl Part {
    fn is_part(self, path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match self {
            Self::Wal => name.ends_with(".log"),
            Self::Sst => name.ends_with(".sst"),
            Self::Manifest => name.starts_with("MANIFEST-"),
            Self::Watermark => name == "marks",
        }
    }
}

/// Damages a file of that kind in a data directory (see `cluster`'s `datadir`: `log/db/`, `log/marks` and `data/`), and says
/// which. Of several the largest: an empty one has nothing to damage.
///
/// # Errors
/// There is none, or it is empty.
pub fn damage(data: &Path, part: Part, damage: Damage, rng: &mut StdRng) -> Result<PathBuf> {
    let mut found = Vec::new();
    let databases: &[&str] = match part {
        Part::Sst => &["data", "log/db"],
        Part::Watermark => &["log"],
        // The write-ahead log that matters is the raft log's: the rows' database writes without one.
        Part::Wal | Part::Manifest => &["log/db", "data"],
    };
    for database in databases {
        found.extend(files(&data.join(database))?.into_iter().filter(|path| part.is_part(path)));
        if !found.is_empty() {
            break;
        }
    }
    let mut largest: Option<(u64, PathBuf)> = None;
    for path in found {
        let length = fs::metadata(&path)?.len();
        if largest.as_ref().is_none_or(|(most, _)| length > *most) {
            largest = Some((length, path));
        }
    }
    let (length, path) = largest.with_context(|| format!("{} has no {part:?}", data.display()))?;
    ensure!(length >= 16, "{} is empty", path.display());
    apply(&path, length, damage, rng).with_context(|| format!("cannot damage {}", path.display()))?;
    Ok(path)
}

fn apply(path: &Path, length: u64, damage: Damage, rng: &mut StdRng) -> Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    match damage {
        Damage::Flip => {
            let at = rng.random_range(length / 3..length / 3 * 2);
            let mut byte = [0];
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut byte)?;
            byte[0] ^= 1 << rng.random_range(0..8);
            file.seek(SeekFrom::Start(at))?;
            file.write_all(&byte)?;
        }
        Damage::Truncate => file.set_len(length / 3 * 2)?,
        Damage::ZeroTail => {
            let zeros = 4096.min(length / 4);
            file.seek(SeekFrom::Start(length - zeros))?;
            file.write_all(&vec![0; usize::try_from(zeros)?])?;
        }
    }
    file.sync_all()?;
    Ok(())
}

/// Copies a folder with everything in it.
///
/// # Errors
/// The system refuses.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("cannot copy {}", target.display()))?;
        }
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut all: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    all.retain(|path| path.is_file());
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::scratch::Scratch;

    fn written(scratch: &Scratch) -> PathBuf {
        let log = scratch.path().join("log/db");
        fs::create_dir_all(&log).unwrap();
        fs::write(log.join("000004.log"), [7; 9_000]).unwrap();
        fs::write(log.join("000009.log"), []).unwrap();
        log.join("000004.log")
    }

    #[test]
    fn flip_changes_one_bit_of_the_largest_file() {
        let scratch = Scratch::new().unwrap();
        let path = written(&scratch);
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(damage(scratch.path(), Part::Wal, Damage::Flip, &mut rng).unwrap(), path);
        let bytes = fs::read(path).unwrap();
        let turned: u32 = bytes.iter().map(|byte| (byte ^ 7).count_ones()).sum();
        assert_eq!((bytes.len(), turned), (9_000, 1));
    }

    #[test]
    fn truncate_and_zero_tail_change_the_end() {
        let scratch = Scratch::new().unwrap();
        let path = written(&scratch);
        let mut rng = StdRng::seed_from_u64(1);
        damage(scratch.path(), Part::Wal, Damage::Truncate, &mut rng).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 6_000);
        damage(scratch.path(), Part::Wal, Damage::ZeroTail, &mut rng).unwrap();
        let bytes = fs::read(path).unwrap();
        assert!(bytes[..4_500].iter().all(|byte| *byte == 7) && bytes[4_500..].iter().all(|byte| *byte == 0));
    }
}
