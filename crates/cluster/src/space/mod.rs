//! A disk that fills up: writes are refused while there is still room for what Raft itself needs.
//!
//! A write that finds no room is tried again for some time and is fatal after that, so that it must not come to that.
//! Below a reserve of free bytes an owner proposes nothing more: its clients are told, reads go on, and it looks for
//! another replica that has room and will own the shard ([`offers`]). The rest of the reserve is for elections, and for the appends of leaders
//! elsewhere that have room. When space returns, writes are taken again by themselves.
//!
//! A disk that is full all at once leaves no reserve: then the [`ballast`] is given up. When half of that is used too,
//! appends of leaders elsewhere are refused, as if this node were not reached; they come again later.

mod ballast;
mod offers;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use tokio::sync::Notify;

use self::ballast::Ballast;
pub(crate) use self::offers::offer_shards;
use crate::events::{Event, EventKind};
use crate::node::Shared;

/// How often the disk is asked.
const INTERVAL: Duration = Duration::from_millis(100);
/// The reserve is this part of the disk, or more where the configuration says so.
const PART: u64 = 100;
/// The ballast is at most this part of the disk.
const BALLAST_PART: u64 = 8;

/// Whether the disk has room for more writes.
#[derive(Debug, Default)]
pub(crate) struct Space {
    full: AtomicBool,
    starved: AtomicBool,
    /// Woken when there is no room any more.
    filled: Notify,
}

impl Space {
    /// New writes are refused.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Not even entries of leaders elsewhere have room.
    pub(crate) fn is_starved(&self) -> bool {
        self.starved.load(Ordering::Acquire)
    }

    /// Takes note of what is free; whether that changes anything. There is room again a quarter above the reserve,
    /// so that it does not flap.
    pub(crate) fn look(&self, free: u64, reserve: u64) -> bool {
        let enough = if self.is_full() { reserve.saturating_add(reserve / 4) } else { reserve };
        let full = free < enough;
        let news = self.full.swap(full, Ordering::AcqRel) != full;
        if news && full {
            self.filled.notify_one();
        }
        news
    }
}

/// Bytes that are free for this process, and bytes of the whole file system. Blocks.
fn free_and_total(path: &Path) -> io::Result<(u64, u64)> {
    let found = statvfs(path)?;
    let unit = found.fragment_size();
    Ok((found.blocks_available().saturating_mul(unit), found.blocks().saturating_mul(unit)))
}

/// Watches the disk, for ever.
pub(crate) async fn watch_space(shared: Arc<Shared>) {
    loop {
        let looking = shared.clone();
        match tokio::task::spawn_blocking(move || look_at_disk(&looking)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot tell how much of the disk is free"),
            Err(error) => tracing::error!(%error, "looking at the disk failed"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Blocks.
fn look_at_disk(shared: &Shared) -> io::Result<()> {
    let path = shared.dir.path();
    let (free, total) = free_and_total(path)?;
    let reserve = shared.tuning.disk_reserve.max(total / PART);
    let ballast = Ballast::new(shared.dir.ballast(), shared.tuning.disk_ballast.min(total / BALLAST_PART));
    let there = ballast.is_there();
    // Without the ballast its room is not to be written to.
    let left = if there { free } else { free.saturating_sub(ballast.bytes()) };
    if shared.space.look(left, reserve) {
        tell(shared, left, reserve);
    }
    if shared.space.is_full() {
        let starved = !there && free < ballast.bytes() / 2;
        shared.space.starved.store(starved, Ordering::Release);
        return ballast.drop_it();
    }
    shared.space.starved.store(false, Ordering::Release);
    if there || left < reserve { Ok(()) } else { ballast.make() }
}

fn tell(shared: &Shared, free: u64, reserve: u64) {
    let (free, reserve) = (free >> 20, reserve >> 20);
    let reason = match shared.space.is_full() {
        true => format!("the disk is full: {free} MiB are free, writes are refused below {reserve}"),
        false => format!("the disk has room again: {free} MiB are free"),
    };
    tracing::error!(free_mib = free, reserve_mib = reserve, "space on the disk");
    shared.events.record(Event { from: Some(shared.identity.node), ..Event::new(EventKind::Disk, reason) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_below_the_reserve_is_full_until_a_quarter_more_is_free() {
        let space = Space::default();
        let seen: Vec<(bool, bool)> = [100, 99, 100, 124, 125, 100]
            .into_iter()
            .map(|free| (space.look(free, 100), space.is_full()))
            .collect();
        let expected =
            [(false, false), (true, true), (false, true), (false, true), (true, false), (false, false)];
        assert_eq!(seen, expected);
    }

    #[test]
    fn free_space_is_part_of_the_whole() {
        let (free, total) = free_and_total(Path::new(".")).unwrap();
        assert!(free <= total && total > 0);
    }
}
