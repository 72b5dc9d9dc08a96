//! What this process takes of the machine, as Linux tells it. Elsewhere: nothing.

use nix::unistd::{SysconfVar, sysconf};

/// Memory in use.
pub(crate) fn resident_bytes() -> Option<u64> {
    // Pages: the whole, then what is resident.
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    let page = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * u64::try_from(page).ok()?)
}

/// Open file descriptors.
pub(crate) fn open_files() -> Option<u64> {
    let count = std::fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    // One of them is for the reading.
    Some(count.saturating_sub(1))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn process_has_memory_and_open_files() {
        assert!(resident_bytes().unwrap() > 100_000);
        let file = std::fs::File::open("/proc/self/statm").unwrap();
        assert!(open_files().unwrap() >= 1);
        drop(file);
    }
}
