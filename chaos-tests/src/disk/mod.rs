//! What nodes keep their data on: a plain folder, or a disk of their own whose power can be cut.

mod image;
mod shutdown;
mod stall;
pub mod wreck;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use image::{Image, PowerCut};
pub use stall::{Frozen, Slowed};

/// Which kind of disk nodes get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskKind {
    /// A folder of the machine's own disk.
    Folder,
    /// An ext4 image of so many MiB on a loop device. Needs root.
    Image {
        /// Size in MiB.
        mib: u64,
    },
}

/// The disk of one node.
#[derive(Debug)]
pub enum Disk {
    /// A folder.
    Folder(PathBuf),
    /// An image.
    Image(Image),
}

impl Disk {
    /// An empty disk, with what belongs to it below `folder` under this name.
    ///
    /// # Errors
    /// The image cannot be made or mounted.
    pub fn new(kind: DiskKind, folder: &Path, name: &str) -> Result<Self> {
        match kind {
            DiskKind::Folder => Ok(Self::Folder(folder.join(name))),
            DiskKind::Image { mib } => Ok(Self::Image(Image::new(folder, name, mib)?)),
        }
    }

    /// The node's data directory, on the disk.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        match self {
            Self::Folder(path) => path.clone(),
            Self::Image(image) => image.mount_point().join("data"),
        }
    }

    /// The image.
    ///
    /// # Errors
    /// It is a folder.
    pub fn image(&self) -> Result<&Image> {
        match self {
            Self::Image(image) => Ok(image),
            Self::Folder(path) => bail!("{} is a folder, not a disk of its own", path.display()),
        }
    }

    /// The same, to cut its power.
    ///
    /// # Errors
    /// As [`Disk::image`].
    pub fn image_mut(&mut self) -> Result<&mut Image> {
        match self {
            Self::Image(image) => Ok(image),
            Self::Folder(path) => bail!("{} is a folder, not a disk of its own", path.display()),
        }
    }

    /// Removes the data directory. The node must not run.
    ///
    /// # Errors
    /// The system refuses.
    pub fn wipe(&self) -> Result<()> {
        let data = self.data();
        if data.exists() {
            fs::remove_dir_all(&data).with_context(|| format!("cannot wipe {}", data.display()))?;
        }
        Ok(())
    }
}
