//! What a run makes on the machine, and how each of it is undone.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::command;

/// One thing on this machine that must not outlive the run that made it. Processes are not listed: they carry
/// the run's marker in their environment (see [`super::processes`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    /// A file system that `fsfreeze` stopped, by its mount point.
    Frozen(PathBuf),
    /// A limit in a file of the `blkio` controller, lifted by writing `MAJOR:MINOR 0`.
    Throttle {
        /// The controller's file.
        file: PathBuf,
        /// The device, `MAJOR:MINOR`.
        device: String,
    },
    /// A table of nft's bridge family.
    Table(String),
    /// A mount point.
    Mount(PathBuf),
    /// A disk image: a file, and the loop devices on it.
    Image(PathBuf),
    /// A network namespace, with the interfaces in it.
    Namespace(String),
    /// A network interface.
    Link(String),
    /// A file.
    File(PathBuf),
    /// A folder with everything in it.
    Folder(PathBuf),
}

impl Made {
    /// Order in which the things of a dead run are undone: a frozen disk holds its processes, a mount holds
    /// its image, a folder holds mount points.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Frozen(_) => 0,
            Self::Throttle { .. } => 1,
            Self::Table(_) => 2,
            Self::Mount(_) => 3,
            Self::Image(_) => 4,
            Self::Namespace(_) => 5,
            Self::Link(_) => 6,
            Self::File(_) => 7,
            Self::Folder(_) => 8,
        }
    }

    /// Undoes it, if it is there.
    pub(super) fn undo(&self) -> Result<()> {
        match self {
            Self::Frozen(at) => thaw(at),
            Self::Throttle { file, device } => fs::write(file, format!("{device} 0"))
                .with_context(|| format!("cannot lift the limit of {device} in {}", file.display())),
            Self::Table(name) if command::succeeds("nft", ["list", "table", "bridge", name]) => {
                command::run("nft", ["delete", "table", "bridge", name])
            }
            Self::Mount(at) if is_mounted(at)? => command::run("umount", [at]),
            Self::Image(file) => remove_image(file),
            Self::Namespace(name) if Path::new("/run/netns").join(name).exists() => {
                command::run("ip", ["netns", "delete", name])
            }
            Self::Link(name) if is_link(name) => match command::run("ip", ["link", "delete", name]) {
                // The end in a namespace goes with it, and takes this one along, at a moment of the kernel's choice.
                Err(_) if !is_link(name) => Ok(()),
                result => result,
            },
            Self::File(path) if path.exists() => {
                fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))
            }
            Self::Folder(path) if path.exists() => {
                fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Thawing what is not frozen is an error of `fsfreeze`, so that only what is still mounted is tried, and its
/// refusal counts as "was not frozen".
fn thaw(at: &Path) -> Result<()> {
    if is_mounted(at)? && !command::succeeds("fsfreeze", ["--unfreeze".as_ref(), at.as_os_str()]) {
        tracing::debug!(mount = %at.display(), "was not frozen");
    }
    Ok(())
}

fn is_link(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).exists()
}

fn remove_image(file: &Path) -> Result<()> {
    if !file.exists() {
        return Ok(());
    }
    let devices = command::output(
        "losetup",
        ["--noheadings".as_ref(), "--output=NAME".as_ref(), "--associated".as_ref(), file.as_os_str()],
    )?;
    for device in devices.split_whitespace() {
        command::run("losetup", ["--detach", device])?;
    }
    fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))
}

/// Whether something is mounted there.
fn is_mounted(at: &Path) -> Result<bool> {
    let table = fs::read_to_string("/proc/self/mounts")?;
    Ok(table.lines().any(|line| line.split(' ').nth(1).is_some_and(|point| Path::new(point) == at)))
}
