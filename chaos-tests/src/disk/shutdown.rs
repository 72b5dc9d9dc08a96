//! ext4's power switch.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::{Context, Result};

/// `EXT4_GOING_FLAGS_NOLOGFLUSH`: the journal's commits in memory and all dirty pages are dropped.
const DROP_LOG_AND_DIRTY_PAGES: u32 = 2;

#[allow(unsafe_code, reason = "an ioctl that no crate wraps; the call is below")]
mod ffi {
    // include/uapi/linux/ext4.h: #define EXT4_IOC_SHUTDOWN _IOR('X', 125, __u32)
    nix::ioctl_read!(
        /// Shuts an ext4 file system down; reads its flag from the pointer, whatever the name says.
        ext4_shutdown, b'X', 125, u32
    );
}

/// Cuts the power of the ext4 file system that is mounted there. All calls on it fail from then on; it has to be
/// unmounted.
///
/// # Errors
/// Not root, not ext4, or already cut.
pub(super) fn cut_power(mount_point: &Path) -> Result<()> {
    let folder = File::open(mount_point).with_context(|| format!("cannot open {}", mount_point.display()))?;
    let mut flag = DROP_LOG_AND_DIRTY_PAGES;
    // SAFETY: the descriptor is open for the whole call, and the kernel only reads the four bytes behind the
    // pointer, which live on this stack frame until it returns.
    #[allow(unsafe_code, reason = "the one call of this crate into the kernel that needs it")]
    let result = unsafe { ffi::ext4_shutdown(folder.as_raw_fd(), &raw mut flag) };
    result.with_context(|| format!("cannot cut the power of {}", mount_point.display()))?;
    Ok(())
}
