//! Many who come and go at once.

use std::time::Instant;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::common::{Client, Way, two_nodes};

/// Clients that come at once.
const CROWD: usize = 1_000;
/// Above so many members only their number is told.
const SHOWN_MAX: u64 = 100;
/// Between two batches.
const BATCH_MS: u128 = 200;

/// Reads what is told of who is there until there are so many. All the pushes.
async fn until_count(client: &mut Client, count: usize) -> Vec<Value> {
    let mut pushes: Vec<Value> = Vec::new();
    while pushes.last().is_none_or(|push| push["count"] != count) {
        pushes.push(client.push().await.unwrap()["presence"].clone());
    }
    pushes
}

/// There are as many pushes as batches, in none of which a crowd is named.
fn check(pushes: &[Value], took_ms: u128) {
    let batches = took_ms / BATCH_MS + 3;
    assert!(pushes.len() as u128 <= batches, "{} pushes in {took_ms} ms", pushes.len());
    for push in pushes {
        let named = |field: &str| push[field].as_array().map_or(0, Vec::len) as u64;
        let count = push["count"].as_u64().unwrap();
        assert!(named("joined").max(named("members")) <= SHOWN_MAX, "{push}");
        if count > SHOWN_MAX {
            assert_eq!(named("joined") + named("left") + named("members"), 0, "{push}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_that_come_at_once_are_told_in_batches_and_by_their_number() {
    let (_cluster, owner, other) = two_nodes().await;
    let told = json!({ "presence": true });
    let mut watchers = Vec::new();
    for (way, user) in [(Way::Session, "ann"), (Way::FarProto, "bob")] {
        watchers.push(way.join((&owner, &other), "a", user, told.clone()).await.0);
    }
    until_count(&mut watchers[0], 2).await;
    let mut crowd = Vec::new();
    for n in 0..CROWD {
        crowd.push(owner.client(&format!("/v1/rooms/a/ws?user=user{n}")).await);
    }
    let begun = Instant::now();
    join_all(crowd.iter_mut().map(|client| client.ok("join", json!({})))).await;
    for watcher in &mut watchers {
        let pushes = until_count(watcher, CROWD + 2).await;
        check(&pushes, begun.elapsed().as_millis());
        let counts: Vec<_> = pushes.iter().map(|push| push["count"].as_u64()).collect();
        assert!(counts.is_sorted(), "{counts:?}");
        let members = watcher.ok("presence", json!({ "room": "a" })).await;
        assert_eq!(members["members"].as_array().unwrap().len(), CROWD + 2, "the command has all");
    }
    let begun = Instant::now();
    drop(crowd);
    for watcher in &mut watchers {
        let pushes = until_count(watcher, 2).await;
        check(&pushes, begun.elapsed().as_millis());
    }
}
