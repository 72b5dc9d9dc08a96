//! What faults are made of, one by one: a cut link, a power cut, a full disk.
//!
//! The claim: **an injected fault really happens.** A suite whose partitions let packets through, or whose power
//! cuts lose nothing, would pass with any program.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use std::time::Duration;

use chaos_tests::cluster::{Cluster, Setup};
use chaos_tests::disk::DiskKind;
use chaos_tests::machine::{Machine, Need};
use chaos_tests::net::{Link, Links};
use roomkeeper_client::message;
use roomkeeper_protocol::{Data, From};
use tokio::time::sleep;

/// Long enough for pings and heartbeats to run into a cut.
const A_MOMENT: Duration = Duration::from_secs(1);

/// A cluster on disks and in namespaces of its own, where the machine can have one.
async fn cluster(size: usize) -> Option<Cluster> {
    if let Some(why) = Machine::look().refuses(&[Need::Partitions, Need::PowerCuts]) {
        println!("skipped: {why}");
        return None;
    }
    let setup = Setup { size, bridged: true, disk: DiskKind::Image { mib: 256 } };
    Some(Cluster::start_with(setup).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_link_drops_packets_and_clients_still_reach_both_sides() {
    let Some(cluster) = cluster(3).await else { return };
    let isolated = Links::from([
        Link { from: 0, to: 1 },
        Link { from: 1, to: 0 },
        Link { from: 0, to: 2 },
        Link { from: 2, to: 0 },
    ]);
    let cut = cluster.net().cut(&isolated).unwrap();
    sleep(A_MOMENT).await;
    for k in 0..3 {
        cluster.map(k).await.unwrap();
    }
    assert!(cut.heal().unwrap() > 0, "the cut dropped no packet");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cut_of_all_nodes_drops_unsynced_bytes_and_keeps_what_was_acked() {
    let Some(mut cluster) = cluster(3).await else { return };
    let name = "power".parse().unwrap();
    let room = cluster.client().room(name);
    let sent: Vec<_> = (0..50).map(|n| message(Data::Json(format!("{n}").into()))).collect();
    for message in &sent {
        room.publish(vec![message.clone()]).await.unwrap();
    }
    let cut = cluster.cut_power(&[0, 1, 2]).await.unwrap();
    assert!(cut.bytes_dropped > 0);
    cluster.start_all().await.unwrap();
    let kept = room.history(From::Beginning, 100).await.unwrap();
    let kept: Vec<_> = kept.items.into_iter().map(|item| item.id).collect();
    let sent: Vec<_> = sent.into_iter().map(|message| message.id).collect();
    assert_eq!(kept, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filler_takes_the_whole_disk_and_gives_it_back() {
    let Some(cluster) = cluster(1).await else { return };
    let image = cluster.disk(0).image().unwrap();
    let before = image.free().unwrap();
    let filler = image.fill().unwrap();
    assert!(image.free().unwrap() < 64 * 1024);
    filler.undo().unwrap();
    assert!(image.free().unwrap() > before / 2);
}
