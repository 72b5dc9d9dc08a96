//! Disks that answer late, or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::image::Image;
use crate::command::run;
use crate::guard::{Guard, Made};

/// Controllers that limit the writes of a device, by version of the cgroup hierarchy's mount.
const BLKIO: &str = "/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device";

/// A disk on which every write waits. Goes on when dropped.
#[derive(Debug)]
pub struct Frozen(Guard);

impl Frozen {
    /// Freezes a disk. Processes that write to it cannot even be killed until it thaws.
    ///
    /// # Errors
    /// Not root.
    pub fn new(image: &Image) -> Result<Self> {
        let at = image.mount_point();
        let guard = Guard::over(Made::Frozen(at.to_owned()), || {
            run("fsfreeze", ["--freeze".as_ref(), at.as_os_str()])
        })?;
        Ok(Self(guard))
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// The system refuses.
    pub fn thaw(self) -> Result<()> {
        self.0.undo()
    }
}

/// A disk that does so many writes a second. Fast again when dropped.
#[derive(Debug)]
pub struct Slowed(Guard);

impl Slowed {
    /// Whether this machine can slow a disk down.
    #[must_use]
    pub fn is_possible() -> bool {
        Path::new(BLKIO).exists()
    }

    /// Limits a disk's writes.
    ///
    /// # Errors
    /// The machine has no `blkio` controller of the first version.
    pub fn new(image: &Image, writes_per_second: u32) -> Result<Self> {
        ensure!(Self::is_possible(), "there is no {BLKIO}");
        let device = image.device()?;
        let file = PathBuf::from(BLKIO);
        let guard = Guard::over(Made::Throttle { file: file.clone(), device: device.clone() }, || {
            fs::write(&file, format!("{device} {writes_per_second}"))
                .with_context(|| format!("cannot slow {device} down"))
        })?;
        Ok(Self(guard))
    }

    /// Lifts the limit.
    ///
    /// # Errors
    /// The system refuses.
    pub fn lift(self) -> Result<()> {
        self.0.undo()
    }
}
