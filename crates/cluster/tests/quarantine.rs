//! A node whose disk is not what it was: it never takes part as its former self, and comes back by itself where its
//! peers have a quorum. All acked messages stay.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use roomkeeper_cluster::{EventKind, Node, Start};
use roomkeeper_types::{Offset, RoomName};

/// A cluster of three with messages in every room, all of them on every node.
async fn three_with(rooms: &[RoomName]) -> [Site; 3] {
    let [mut a, mut b, mut c] = [Site::new().await, Site::new().await, Site::new().await];
    a.start(bootstrap(8, 3)).await;
    let seed = a.join();
    let (b_up, c_up) = tokio::join!(b.try_start(seed.clone()), c.try_start(seed));
    b_up.unwrap();
    c_up.unwrap();
    let sites = [a, b, c];
    {
        let nodes: Vec<&Node> = sites.iter().map(Site::node).collect();
        until_ready(&nodes).await;
        until_owned(&nodes).await;
        for room in rooms {
            publish_for_sure(&nodes, room, "first").await;
        }
        until_all_have(&nodes, rooms, Offset(2)).await;
    }
    sites
}

async fn until_all_have(nodes: &[&Node], rooms: &[RoomName], next: Offset) {
    for room in rooms {
        until(|| {
            let copies: Vec<_> = nodes.iter().map(|node| copy_of(node, room)).collect();
            let equal = copies.iter().all(|copy| *copy == copies[0]);
            let there = copies[0].as_ref().is_some_and(|(at, _)| *at == next);
            if equal && there { Ok(()) } else { Err(format!("copies of {room} are {copies:?}")) }
        })
        .await;
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn data_dir(site: &Site) -> PathBuf {
    site.dir.path().join("node")
}

/// The largest file that ends so, of a folder.
fn largest(dir: &Path, end: &str) -> PathBuf {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.to_string_lossy().ends_with(end));
    files.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

fn flip_middle(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end / 2] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

fn quarantined(node: &Node) -> usize {
    node.events(0).iter().filter(|recorded| recorded.event.kind == EventKind::Quarantine).count()
}

/// Damages the second node's directory while it does not run and the others go on; it must find that out, and have
/// everything again in the end.
async fn damaged_node_comes_back(damage: impl FnOnce(&Path)) {
    let rooms = rooms(16);
    let mut sites = three_with(&rooms).await;
    sites[1].stop().await;
    {
        let nodes = [sites[0].node(), sites[2].node()];
        until_owned(&nodes).await;
        for room in &rooms {
            assert_eq!(publish_for_sure(&nodes, room, "second").await, Offset(2));
        }
    }
    damage(&data_dir(&sites[1]));
    sites[1].start(Start::Existing).await;
    let nodes: Vec<&Node> = sites.iter().map(Site::node).collect();
    until(|| match quarantined(nodes[1]) {
        0 => Err("nothing in quarantine".to_owned()),
        _ => Ok(()),
    })
    .await;
    until_ready(&nodes).await;
    for room in &rooms {
        assert_eq!(publish_for_sure(&nodes, room, "third").await, Offset(3));
    }
    until_all_have(&nodes, &rooms, Offset(4)).await;
    // The new replicas vote: without another node there is still a quorum.
    for site in [0, 2] {
        assert_eq!(quarantined(nodes[site]), 0);
    }
    for mut site in sites {
        site.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wal_with_a_flipped_bit_is_found_and_the_node_rebuilt() {
    damaged_node_comes_back(|dir| flip_middle(&largest(&dir.join("log/db"), ".log"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_wiped_is_found_and_the_node_rebuilt() {
    damaged_node_comes_back(|dir| fs::remove_dir_all(dir.join("log")).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_and_rows_wiped_are_found_by_the_memory_of_peers() {
    damaged_node_comes_back(|dir| {
        fs::remove_dir_all(dir.join("log")).unwrap();
        fs::remove_dir_all(dir.join("data")).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_damaged_quarantine_the_whole_node_and_it_is_rebuilt() {
    damaged_node_comes_back(|dir| fs::write(dir.join("log/marks"), "nonsense").unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_database_that_cannot_be_opened_is_set_aside_and_the_node_rebuilt() {
    damaged_node_comes_back(|dir| fs::remove_file(dir.join("log/db/CURRENT")).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_copy_of_a_directory_is_found_by_the_memory_of_peers() {
    let rooms = rooms(16);
    let mut sites = three_with(&rooms).await;
    let old = tempfile::tempdir().unwrap();
    sites[1].stop().await;
    copy(&data_dir(&sites[1]), old.path());
    sites[1].start(Start::Existing).await;
    {
        let nodes: Vec<&Node> = sites.iter().map(Site::node).collect();
        until_ready(&nodes).await;
        for room in &rooms {
            publish_for_sure(&nodes, room, "second").await;
        }
        until_all_have(&nodes, &rooms, Offset(3)).await;
    }
    // The others tell each other once a second.
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    for site in &mut sites {
        site.stop().await;
    }
    let dir = data_dir(&sites[1]);
    fs::remove_dir_all(&dir).unwrap();
    copy(old.path(), &dir);
    // With the first node away the second one is needed for every quorum: as its old self it would vote once more in
    // a term in which it has voted, and elect a log without what was acked.
    let (one, rest) = sites.split_at_mut(1);
    let (two, three) = rest.split_at_mut(1);
    tokio::join!(two[0].start(Start::Existing), three[0].start(Start::Existing));
    until(|| match quarantined(two[0].node()) {
        0 => Err("nothing in quarantine".to_owned()),
        _ => Ok(()),
    })
    .await;
    one[0].start(Start::Existing).await;
    let nodes: Vec<&Node> = sites.iter().map(Site::node).collect();
    until_ready(&nodes).await;
    for room in &rooms {
        assert_eq!(publish_for_sure(&nodes, room, "third").await, Offset(3));
    }
    until_all_have(&nodes, &rooms, Offset(4)).await;
    for mut site in sites {
        site.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_cannot_be_opened_are_set_aside_and_built_anew() {
    let rooms = rooms(8);
    let mut sites = three_with(&rooms).await;
    sites[1].stop().await;
    let dir = data_dir(&sites[1]);
    fs::remove_file(dir.join("data/CURRENT")).unwrap();
    sites[1].start(Start::Existing).await;
    let nodes: Vec<&Node> = sites.iter().map(Site::node).collect();
    until_ready(&nodes).await;
    until_all_have(&nodes, &rooms, Offset(2)).await;
    let aside = fs::read_dir(dir.join("aside")).unwrap().count();
    assert_eq!(aside, 1, "nothing is deleted");
    for mut site in sites {
        site.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory_without_its_identity_is_refused() {
    let mut site = Site::new().await;
    site.start(bootstrap(2, 1)).await;
    until_ready(&[site.node()]).await;
    site.stop().await;
    fs::remove_file(data_dir(&site).join("identity")).unwrap();
    let refused = site.try_start(bootstrap(2, 1)).await.unwrap_err();
    assert!(matches!(refused, roomkeeper_cluster::StartError::IdentityLost { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_turn_out_to_be_unreadable_are_built_anew_while_the_node_goes_on() {
    let rooms = rooms(16);
    let sites = three_with(&rooms).await;
    let nodes: Vec<&Node> = sites.iter().map(Site::node).collect();
    let store = nodes[1].local(nodes[1].shard_of(&rooms[0])).unwrap().store;
    store.flush().unwrap();
    // Its first block, of the table that was written just now and that nobody has read yet.
    let tables = fs::read_dir(data_dir(&sites[1]).join("data")).unwrap().map(|entry| entry.unwrap().path());
    let tables = tables.filter(|path| path.extension().is_some_and(|extension| extension == "sst"));
    let table = tables.max_by_key(|path| path.metadata().unwrap().modified().unwrap()).unwrap();
    let mut bytes = fs::read(&table).unwrap();
    bytes[20] ^= 0x10;
    fs::write(table, bytes).unwrap();
    roomkeeper_room::read::room(&store, &rooms[0]).unwrap_err();

    until(|| match quarantined(nodes[1]) {
        1 => Ok(()),
        count => Err(format!("{count} in quarantine")),
    })
    .await;
    for room in &rooms {
        assert_eq!(publish_for_sure(&nodes, room, "second").await, Offset(2));
    }
    until_all_have(&nodes, &rooms, Offset(3)).await;
    until_ready(&nodes).await;
    for mut site in sites {
        site.stop().await;
    }
}
