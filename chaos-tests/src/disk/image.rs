//! An ext4 image on a loop device: a disk whose power can be cut and that can be filled to the last block.

use std::fs::{self, File};
use std::io::Write;
use std::os::linux::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;

use super::shutdown;
use crate::command::run;
use crate::guard::{Guard, Made};

/// The kernel must not write back by itself what nobody synced: the default of 5 s would save most of what a
/// power cut should lose.
const OPTIONS: &str = "loop,commit=300";
/// What is written without a sync just before a power cut, to see that the cut really loses such bytes.
const CANARY: &str = "canary";
const CANARY_BYTES: usize = 1 << 20;

/// A mounted image. Unmounted and removed when dropped.
#[derive(Debug)]
pub struct Image {
    // Unmounted before the image is removed.
    mount: Option<Guard>,
    _image: Guard,
    file: PathBuf,
    at: PathBuf,
}

/// What a power cut lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerCut {
    /// Bytes of files that were there before the cut and not after it; the canary's included.
    pub bytes_dropped: u64,
}

impl Image {
    /// A new, empty disk of so many MiB: `NAME.img` and the mount point `NAME` in `folder`.
    ///
    /// # Errors
    /// Not root, no loop device is free, or the folder's disk is full.
    pub fn new(folder: &Path, name: &str, mib: u64) -> Result<Self> {
        let (file, at) = (folder.join(format!("{name}.img")), folder.join(name));
        let image = Guard::over(Made::Image(file.clone()), || {
            // Sparse: only what is written takes room.
            File::create_new(&file)?.set_len(mib << 20)?;
            run("mkfs.ext4", ["-q".as_ref(), "-F".as_ref(), "-m".as_ref(), "0".as_ref(), file.as_os_str()])
        })?;
        fs::create_dir(&at).with_context(|| format!("cannot create {}", at.display()))?;
        let mut image = Self { mount: None, _image: image, file, at };
        image.mount()?;
        Ok(image)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn mount_point(&self) -> &Path {
        &self.at
    }

    fn mount(&mut self) -> Result<()> {
        ensure!(self.mount.is_none(), "{} is mounted", self.at.display());
        self.mount = Some(Guard::over(Made::Mount(self.at.clone()), || {
            run("mount", ["-o".as_ref(), OPTIONS.as_ref(), self.file.as_os_str(), self.at.as_os_str()])
        })?);
        Ok(())
    }

    /// The loop device under it, `MAJOR:MINOR`.
    ///
    /// # Errors
    /// It is not mounted.
    pub fn device(&self) -> Result<String> {
        let device = fs::metadata(&self.at)?.st_dev();
        ensure!(self.mount.is_some(), "{} is not mounted", self.at.display());
        Ok(format!("{}:{}", nix::sys::stat::major(device), nix::sys::stat::minor(device)))
    }

    /// Cuts the power: from here on nothing that was not synced can reach the disk. Whoever writes to it must be
    /// stopped already (SIGSTOP, and a moment for calls under way), else a sync that the kernel answers while
    /// the power goes looks like a lost one. Answers the bytes that the files had.
    ///
    /// # Errors
    /// The file system has no power switch.
    pub fn cut(&self) -> Result<u64> {
        let mut canary = File::create(self.at.join(CANARY)).context("cannot write the canary")?;
        canary.write_all(&vec![0xC5; CANARY_BYTES])?;
        let before = size_of(&self.at)?;
        shutdown::cut_power(&self.at)?;
        Ok(before)
    }

    /// Mounts it again after [`Image::cut`]; nobody may have files of it open.
    ///
    /// # Errors
    /// Somebody has; the file system is broken; or the cut lost nothing at all, not even the canary.
    pub fn power_on(&mut self, bytes_before: u64) -> Result<PowerCut> {
        if let Some(mount) = self.mount.take() {
            mount.undo()?;
        }
        self.mount()?;
        let canary = self.at.join(CANARY);
        if canary.exists() && fs::metadata(&canary)?.len() > 0 {
            bail!("the power cut of {} dropped nothing: unsynced bytes are still there", self.at.display());
        }
        let bytes_dropped = bytes_before.saturating_sub(size_of(&self.at)?);
        Ok(PowerCut { bytes_dropped })
    }

    /// Takes all free blocks, until the guard is dropped.
    ///
    /// # Errors
    /// The disk cannot be filled.
    pub fn fill(&self) -> Result<Guard> {
        let path = self.at.join("filler");
        Guard::over(Made::File(path.clone()), || fill(&path))
    }

    /// Free bytes.
    ///
    /// # Errors
    /// The system does not say.
    pub fn free(&self) -> Result<u64> {
        free(&self.at)
    }
}

fn free(at: &Path) -> Result<u64> {
    let about = statvfs(at).with_context(|| format!("cannot ask {} for its room", at.display()))?;
    Ok(about.blocks_available() * about.fragment_size())
}

/// Takes blocks until there are none, in smaller and smaller pieces. At once: a full disk is full before anybody
/// could write much more.
fn fill(path: &Path) -> Result<()> {
    let file = File::create(path)?;
    let (mut end, mut piece) = (0, 64 << 20);
    while piece >= 512 {
        match fallocate(&file, FallocateFlags::empty(), end, piece) {
            Ok(()) => end += piece,
            Err(Errno::ENOSPC) => piece /= 4,
            Err(error) => return Err(error).with_context(|| format!("cannot fill {}", path.display())),
        }
    }
    Ok(())
}

/// Bytes of all files below a folder. Files that go away meanwhile have none.
fn size_of(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        match entry.metadata() {
            Ok(about) if about.is_dir() => sum += size_of(&entry.path())?,
            Ok(about) => sum += about.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sum)
}
