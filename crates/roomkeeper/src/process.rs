//! What this process takes of the machine, as Linux tells it. Elsewhere: nothing.

use std::time::Duration;

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

/// Time that it ran on a core, in its own code and in the system's.
pub(crate) fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let ticks_per_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    Some(Duration::from_millis(cpu_ticks(&stat)? * 1_000 / ticks_per_second))
}

/// The 14th and 15th field of `/proc/PID/stat`. The second one is a name in parentheses, which may have blanks and
/// parentheses in it.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11).map(str::parse::<u64>);
    Some(fields.next()?.ok()? + fields.next()?.ok()?)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn cpu_ticks_are_those_of_the_process_in_user_and_system_mode() {
        let stat =
            "412 (a (b) c) S 1 412 412 0 -1 4194560 2412 0 3 0 1400 23 7 9 20 0 12 0 5511 123456 789 18446";
        assert_eq!(cpu_ticks(stat), Some(1_423));
        assert_eq!(cpu_ticks("412 (a) S 1"), None);
    }

    #[test]
    fn process_that_works_has_taken_time() {
        let begun = cpu_time().unwrap();
        let until = std::time::Instant::now() + Duration::from_secs(30);
        while cpu_time().unwrap() == begun && std::time::Instant::now() < until {}
        assert!(cpu_time().unwrap() > begun);
    }

    #[test]
    fn process_has_memory_and_open_files() {
        assert!(resident_bytes().unwrap() > 100_000);
        let file = std::fs::File::open("/proc/self/statm").unwrap();
        assert!(open_files().unwrap() >= 1);
        drop(file);
    }
}
