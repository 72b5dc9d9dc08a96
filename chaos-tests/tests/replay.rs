//! The real `roomkeeper replay` on the log that the project ships: it proves rooms equal to their log while a
//! node is killed, and does not say so of rooms that are not.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chaos_tests::cluster::Cluster;
use chaos_tests::process::{Launch, Process, log_tail};
use chaos_tests::scratch::Scratch;
use roomkeeper_client::{Client, message};
use roomkeeper_protocol::{Data, From, Item, NewMessage};
use roomkeeper_types::RoomName;
use serde_json::{Value, json};
use tokio::time::sleep;

const LINES: u64 = 300;
/// The log's 39 minutes in eight seconds: time enough to kill a node in the middle.
const SPEED: &str = "--speed=300";
/// For rooms that never become what their log asks for: nothing is down, so that a minute would be wasted.
const SHORT_PATIENCE: &str = "--patience=5s";
const LIMIT: Duration = Duration::from_secs(90);
/// Exit codes of `roomkeeper replay`: a room is not its log, or could not be played.
const DIFFERENT: i32 = 1;
const NOT_PLAYED: i32 = 2;

fn log_file() -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../examples/logs/ubuntu-2008-04-20.txt")
}

fn room(prefix: &str) -> RoomName {
    format!("{prefix}.ubuntu-2008-04-20").parse().unwrap()
}

/// A running `roomkeeper replay`.
struct Replay {
    process: Process,
    out: PathBuf,
    _scratch: Scratch,
}

impl Replay {
    fn start(cluster: &Cluster, prefix: &str, more: &[&str]) -> Self {
        let scratch = Scratch::new().unwrap();
        let out = scratch.path().join("out");
        let mut args = vec!["replay".to_owned(), log_file().display().to_string()];
        args.push(format!("--url={}", cluster.urls().join(",")));
        args.push(format!("--room-prefix={prefix}"));
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        Self { process: Process::start(&Launch::of(&args), &out).unwrap(), out, _scratch: scratch }
    }

    async fn end(mut self) -> (Option<i32>, String) {
        let status = self.process.wait(LIMIT).await.unwrap();
        (status.code(), log_tail(&self.out, 1_000))
    }
}

async fn wait_for_messages(client: &Client, room: &RoomName, count: u64) {
    let start = Instant::now();
    loop {
        if client.room_info(room).await.is_ok_and(|info| info.next.get() > count) {
            return;
        }
        assert!(start.elapsed() < LIMIT, "room {room} has no {count} messages");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn items(client: &Client, room: &RoomName) -> Vec<Item> {
    client.room(room.clone()).history(From::Beginning, 1_000).await.unwrap().items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_proves_rooms_equal_to_their_log_and_only_those() {
    let mut cluster = Cluster::start(3).await.unwrap();
    node_killed_half_way_loses_nothing(&mut cluster).await;
    second_run_stores_nothing(&cluster).await;
    members_are_those_who_speak(&cluster).await;
    line_with_other_data_is_found(&cluster).await;
    message_that_is_no_line_is_found(&cluster).await;
}

async fn node_killed_half_way_loses_nothing(cluster: &mut Cluster) {
    let room = room("killed");
    let mut replay = Replay::start(cluster, "killed", &[SPEED, "--json"]);
    wait_for_messages(cluster.client(), &room, LINES / 2).await;
    let victim = cluster.owner_of(&room).await.unwrap();
    cluster.kill9(victim).await.unwrap();
    let at = cluster.client().room_info(&room).await.unwrap().next.get();
    assert!(at < LINES, "the log was played before the kill: {at}");
    assert!(replay.process.ended().unwrap().is_none(), "replay ended with the node");
    wait_for_messages(cluster.client(), &room, LINES * 3 / 4).await;
    cluster.start_node(victim).await.unwrap();

    let (code, said) = replay.end().await;
    assert_eq!(code, Some(0), "{said}");
    let report: Value = serde_json::from_str(&said[said.find('{').unwrap()..]).unwrap();
    assert_eq!((&report["equal"], &report["acked"]), (&true.into(), &LINES.into()), "{said}");
    for difference in ["missing", "doubled", "out_of_order", "changed", "moved", "foreign", "gaps"] {
        assert_eq!(report["differences"][difference], 0, "{said}");
    }
    assert!(report["reconnects"].as_u64().is_some_and(|count| count > 0), "the kill hit nobody: {said}");
    let replicas = &report["rooms"][0]["replicas"];
    assert_eq!((&replicas["expected"], &replicas["equal"]), (&3.into(), &3.into()), "{said}");
}

async fn second_run_stores_nothing(cluster: &Cluster) {
    let before = items(cluster.client(), &room("killed")).await;
    let (code, said) = Replay::start(cluster, "killed", &[]).end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("EQUAL: 1 room, 300 lines acked"), "{said}");
    assert!(said.contains("0 lost, 0 doubled, 0 out of order, 0 changed"), "{said}");
    assert!(said.contains("the replicas of every room are equal"), "{said}");
    assert_eq!(items(cluster.client(), &room("killed")).await, before);
}

async fn members_are_those_who_speak(cluster: &Cluster) {
    let (code, said) = Replay::start(cluster, "company", &["--presence", "--json"]).end().await;
    assert_eq!(code, Some(0), "{said}");
    let report: Value = serde_json::from_str(&said[said.find('{').unwrap()..]).unwrap();
    let room = &report["rooms"][0];
    // And the reader.
    let expected = room["nicks"].as_u64().unwrap() + 1;
    let members = json!({
        "expected": expected, "present": expected, "strangers": 0, "told": expected, "lingering": 0,
    });
    assert_eq!((&report["equal"], &room["members"]), (&true.into(), &members), "{said}");
    // Somebody else who is there is found.
    let stranger = cluster.client().as_user("stranger".parse().unwrap()).room(self::room("company"));
    let there = stranger.subscribe(From::Latest).await.unwrap();
    let (code, said) = Replay::start(cluster, "company", &["--presence", SHORT_PATIENCE]).end().await;
    assert_eq!(code, Some(DIFFERENT), "{said}");
    assert!(said.contains("stranger is named and has not joined"), "{said}");
    drop(there);
}

/// The room is made anew with the same ids, senders and data, but for one line.
async fn line_with_other_data_is_found(cluster: &Cluster) {
    let (client, room) = (cluster.client(), room("killed"));
    let items = items(client, &room).await;
    client.room(room.clone()).delete().await.unwrap();
    for (number, item) in items.into_iter().take(10).enumerate() {
        let data = if number == 7 { Data::json_string("tampered with") } else { item.data };
        let publisher = client.as_user(item.from).room(room.clone());
        publisher.publish(vec![NewMessage { id: item.id, data, sent: None }]).await.unwrap();
    }
    let (code, said) = Replay::start(cluster, "killed", &[SHORT_PATIENCE]).end().await;
    assert_eq!(code, Some(NOT_PLAYED), "{said}");
    assert!(said.contains("DIFFERENT") && said.contains("conflict: message id"), "{said}");
}

async fn message_that_is_no_line_is_found(cluster: &Cluster) {
    let foreign = message(Data::json_string("who is this"));
    cluster.client().room(room("foreign")).publish(vec![foreign]).await.unwrap();
    let (code, said) = Replay::start(cluster, "foreign", &[SHORT_PATIENCE]).end().await;
    assert_eq!(code, Some(DIFFERENT), "{said}");
    assert!(said.contains("DIFFERENT: 1 room"), "{said}");
}
