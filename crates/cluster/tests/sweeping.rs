//! What is due is carried out by itself: nobody has to touch a room for its holds to run out and its messages to age.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::time::Duration;

use common::*;
use roomkeeper_cluster::{Node, Ownership};
use roomkeeper_room::read::{self, OpenHold};
use roomkeeper_room::{Command, Create, Hold, HoldRef, Outcome, Refusal, RefusedIds, RoomOptions};
use roomkeeper_types::{MessageId, RoomName};

fn room() -> RoomName {
    "general".parse().unwrap()
}

async fn one() -> Site {
    let mut site = Site::new().await;
    site.start(bootstrap(2, 1)).await;
    until_ready(&[site.node()]).await;
    until_owned(&[site.node()]).await;
    site
}

fn owned(node: &Node) -> Ownership {
    owner(&[node], node.shard_of(&room())).unwrap()
}

/// Holds a message and returns its id.
async fn hold(node: &Node, hold_ms: u64) -> MessageId {
    let message = message("held");
    let id = message.id;
    let hold = Hold {
        room: room(),
        life: None,
        from: "ann".parse().unwrap(),
        messages: vec![message],
        hold_ms,
        create: Some(RoomOptions::default()),
        placed: false,
    };
    let outcome = submit(&owned(node), Command::Hold(hold)).await;
    assert!(matches!(outcome, Ok(Outcome::Held { duplicate: false, .. })), "{outcome:?}");
    id
}

fn holds(node: &Node) -> Vec<OpenHold> {
    let rows = &node.local(node.shard_of(&room())).unwrap().store;
    let life = read::room(rows, &room()).unwrap().unwrap().life;
    read::holds(rows, life, 100).unwrap()
}

async fn until_dropped(node: &Node) {
    until(|| if holds(node).is_empty() { Ok(()) } else { Err("it is held".to_owned()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_that_nobody_confirms_runs_out_by_itself() {
    let mut site = one().await;
    let node = site.node().clone();
    let (long, short) = (hold(&node, 60_000).await, hold(&node, 300).await);
    until(|| if holds(&node).len() == 1 { Ok(()) } else { Err("both are held".to_owned()) }).await;

    let confirm = |id| {
        let (from, ids) = ("ann".parse().unwrap(), vec![id]);
        Command::Confirm(HoldRef { room: room(), life: None, from, ids })
    };
    let gone = submit(&owned(&node), confirm(short)).await;
    assert_eq!(gone, Ok(Outcome::Refused(Refusal::Gone(RefusedIds(vec![(0, short)])))));
    let kept = submit(&owned(&node), confirm(long)).await;
    assert!(matches!(kept, Ok(Outcome::Confirmed { .. })), "{kept:?}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_that_runs_out_while_its_node_is_down_is_dropped_by_the_next_owner() {
    let mut site = one().await;
    hold(site.node(), 1_000).await;
    site.stop().await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    site.start(bootstrap(2, 1)).await;
    until_owned(&[site.node()]).await;
    until_dropped(&site.node().clone()).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_are_too_old_are_trimmed_by_themselves() {
    let mut site = one().await;
    let node = site.node().clone();
    let options = RoomOptions { retain_ms: Some(300), ..RoomOptions::default() };
    let create = Create { room: room(), exclusive: true, options, placed: false };
    let outcome = submit(&owned(&node), Command::Create(create)).await;
    assert!(matches!(outcome, Ok(Outcome::Created { existed: false, .. })), "{outcome:?}");
    let last = publish_for_sure(&[&node], &room(), "old").await;
    until(|| {
        let rows = &node.local(node.shard_of(&room())).unwrap().store;
        let info = read::room(rows, &room()).unwrap().unwrap();
        if info.messages == 0 && info.first == last.next() { Ok(()) } else { Err(format!("{info:?}")) }
    })
    .await;
    site.stop().await;
}
