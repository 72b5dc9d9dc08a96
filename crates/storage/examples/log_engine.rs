//! How fast the raft log takes small appends: 32 groups, 64 callers, 200 bytes each, one entry at a time.
//!
//! `cargo run --release -p roomkeeper-storage --example log_engine [DIR [SECONDS]]`. DIR should be on the disk
//! that is meant: a tmpfs syncs nothing. Prints entries per second, synced writes per second, and the time from
//! the call to the acknowledged sync.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use roomkeeper_storage::LogEngine;
use roomkeeper_types::{LogIndex, ReplicaId};
use tokio::sync::{Mutex, oneshot};

const GROUPS: u64 = 32;
const CALLERS_PER_GROUP: u64 = 2;
const ENTRY_BYTES: usize = 200;

/// A group's next index. Callers of a group take turns to append, as one raft group would; they wait for the
/// disk side by side.
struct Group {
    log: roomkeeper_storage::GroupLog,
    next: Mutex<u64>,
}

async fn call(group: &Group, entry: &Bytes, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut waits = Vec::new();
    while Instant::now() < until {
        let started = Instant::now();
        let (sender, written) = oneshot::channel();
        {
            let mut next = group.next.lock().await;
            // Nobody waits for it when the time is over.
            let done = Box::new(move |result| drop(sender.send(result)));
            group.log.append(LogIndex(*next), vec![entry.clone()], done).await?;
            *next += 1;
            if *next % 1000 == 0 {
                group.log.purge(LogIndex(*next - 500), Bytes::new()).await?;
            }
        }
        written.await.context("the writer is gone")??;
        waits.push(started.elapsed());
    }
    Ok(waits)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let base = arguments.next().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let seconds: u64 = arguments.next().map_or(Ok(5), |seconds| seconds.parse()).context("SECONDS")?;
    let dir = tempfile::tempdir_in(base)?;
    let engine = LogEngine::open(dir.path())?;

    let entry = Bytes::from(vec![b'x'; ENTRY_BYTES]);
    let started = Instant::now();
    let until = started + Duration::from_secs(seconds);
    let mut callers = Vec::new();
    for replica in 1..=GROUPS {
        let group = Group { log: engine.group(ReplicaId(replica))?, next: Mutex::new(1) };
        let group = std::sync::Arc::new(group);
        for _ in 0..CALLERS_PER_GROUP {
            let (group, entry) = (std::sync::Arc::clone(&group), entry.clone());
            callers.push(tokio::spawn(async move { call(&group, &entry, until).await }));
        }
    }
    let mut waits = Vec::new();
    for caller in callers {
        waits.extend(caller.await??);
    }
    let elapsed = started.elapsed().as_secs_f64();

    waits.sort_unstable();
    let at = |permille: usize| waits.get(waits.len() * permille / 1000).copied().unwrap_or_default();
    println!("{:.0} entries/s of {ENTRY_BYTES} bytes", waits.len() as f64 / elapsed);
    println!("{:.0} synced writes/s", engine.synced_writes() as f64 / elapsed);
    println!("p50 {:?}, p99 {:?}, p99.9 {:?}", at(500), at(990), at(999));
    Ok(())
}
