//! Removal of a replica: nothing of it is left, also when the process is killed (SIGKILL) in the middle, and it
//! never comes back.
//!
//! The child is this same test binary, run again with a folder in its environment.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use roomkeeper_consensus::GroupId;
use roomkeeper_room::Write;
use roomkeeper_storage::{DataStore, Error, LogEngine};
use roomkeeper_types::{LogIndex, ReplicaId, ShardId};
use support::{Cluster, Counters, TIMING, leader};

const ORDERS: &str = "ROOMKEEPER_CONSENSUS_REMOVAL_CHILD";
const CHILD: &str = "child_process_without_orders_does_nothing";
/// The replicas that the child has, beside the one of its node.
const REPLICAS: std::ops::Range<u64> = 100..180;

#[tokio::test(flavor = "multi_thread")]
async fn running_replica_removed_is_gone_and_never_opened_again() {
    let (cluster, mut nodes) = Cluster::three().await;
    let lead = leader(&nodes).await;
    nodes[lead].group.propose(None, Bytes::from_static(b"a")).await.unwrap();
    let gone = nodes.remove((lead + 1) % 3);
    let (member, consensus) = (gone.member, gone.consensus.clone());
    consensus.remove(GroupId::Meta, member.replica).await.unwrap();
    // Again, as after an answer that was lost.
    consensus.remove(GroupId::Meta, member.replica).await.unwrap();
    let refused = consensus.open(GroupId::Meta, member.replica, TIMING, Counters).await.err().unwrap();
    assert!(refused.to_string().contains("was removed"), "{refused}");
    gone.stop().await;
    drop(consensus);

    let refused = cluster.try_start(&cluster.data_dir(member.node.0), member.node.0, member.replica.0).await;
    assert!(refused.err().unwrap().to_string().contains("was removed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_of_a_former_replica_leaves_the_present_one_running() {
    let (_cluster, nodes) = Cluster::three().await;
    leader(&nodes).await;
    nodes[0].consensus.remove(GroupId::Meta, ReplicaId(999)).await.unwrap();
    let lead = leader(&nodes).await;
    nodes[lead].group.propose(None, Bytes::from_static(b"a")).await.unwrap();
    support::counted(&nodes[0], b"a", 1).await;
}

#[test]
fn child_process_without_orders_does_nothing() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let (first, dir) = orders.split_once(' ').unwrap();
    let remaining = first.parse().unwrap()..REPLICAS.end;
    tokio::runtime::Runtime::new().unwrap().block_on(remove_all(remaining, Path::new(dir)));
}

fn say(what: &str, replica: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{what} {replica}").unwrap();
    out.flush().unwrap();
}

async fn remove_all(replicas: std::ops::Range<u64>, dir: &Path) {
    let cluster = Cluster::new();
    let node = cluster.start_in(dir, 1, 1).await;
    for replica in replicas {
        say("removing", replica);
        node.consensus.remove(GroupId::Shard(ShardId(0)), ReplicaId(replica)).await.unwrap();
        say("removed", replica);
    }
}

/// Replicas with a log and a store each.
async fn fill(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    let log = LogEngine::open(&dir.join("log")).unwrap();
    let data = DataStore::open(&dir.join("data")).unwrap();
    for replica in REPLICAS.map(ReplicaId) {
        let store = data.replica(replica).unwrap();
        store.write(&[Write::Put(Bytes::from_static(b"\x01row"), Bytes::new())]).unwrap();
        store.flush().unwrap();
        let (done, written) = tokio::sync::oneshot::channel();
        let group = log.group(replica).unwrap();
        let told = Box::new(move |result| done.send(result).unwrap());
        group.append(LogIndex(1), vec![Bytes::from_static(b"entry")], told).await.unwrap();
        written.await.unwrap().unwrap();
    }
    log.close();
}

/// Has a child remove replicas from `first` on until it has said `lines` lines; returns the replicas that it said were removed.
fn killed_after(lines: usize, first: u64, dir: &Path) -> BTreeSet<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture"])
        .env(ORDERS, format!("{first} {}", dir.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut count, mut removed) = (0, BTreeSet::new());
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some((what, Ok(replica))) = line.split_once(' ').map(|(what, number)| (what, number.parse()))
        else {
            continue;
        };
        count += 1;
        if what == "removed" {
            removed.insert(replica);
        }
        if count == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    removed
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_killed_anywhere_are_finished_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fill(dir).await;
    let mut told = BTreeSet::new();
    for lines in [1, 8, 15, 24, 33] {
        let next = told.last().map_or(REPLICAS.start, |last| last + 1);
        told.extend(killed_after(lines, next, dir));
        // What a start does; the node's own replica is not among them.
        let cluster = Cluster::new();
        cluster.start_in(dir, 1, 1).await.stop().await;

        let log = LogEngine::open(&dir.join("log")).unwrap();
        let data = DataStore::open(&dir.join("data")).unwrap();
        let (logs, stores) = (log.replicas().unwrap(), data.replicas());
        let tombstones = data.tombstones().unwrap();
        for replica in REPLICAS {
            let (id, removed) = (ReplicaId(replica), tombstones.contains(&ReplicaId(replica)));
            assert!(removed || !told.contains(&replica), "{id} was said to be removed");
            assert_eq!(stores.contains(&id), !removed, "{id}: half a store");
            assert_eq!(logs.contains(&id), !removed, "{id}: half a log");
            if removed {
                assert!(matches!(data.replica(id), Err(Error::Tombstoned(_))));
            }
        }
        log.close();
    }
    assert!(told.len() > 20, "too few were removed before a kill: {told:?}");
}
