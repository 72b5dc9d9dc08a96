//! Every node of a cluster stopped with SIGTERM and started again, one after the other, under load.
//!
//! The claim: **nobody's publish fails.** Not those of clients that only follow what the protocol tells them
//! (redirects and `moved`), and everything is stored once, where its ack says, in the order of its sender.
//! Clients of the SDK see every message once and in order besides.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

mod plain;
mod trial;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use roomkeeper_client::Client;
use roomkeeper_protocol::From;
use roomkeeper_types::Offset;

use plain::{Publishers, Ready, Report, Way};
use trial::Trial;

/// How long ordinary load may take to make some progress.
const LOAD_LIMIT: Duration = Duration::from_secs(20);
/// Acks of every room of the SDK's load before, between and after the restarts.
const SOME: u64 = 20;
/// Acks that each kind of plain client must have, or the test says little.
const ACKS_MIN: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_restarted_in_turn_under_load_fails_no_publish() {
    let mut trial = Trial::start("rolling", 3, 3).await;
    trial.load.more_acks(SOME, LOAD_LIMIT).await.unwrap();
    let ready = Ready::watch(trial.cluster.urls());
    let rooms: Vec<String> = (0..4).map(|n| format!("plain-{n}")).collect();
    let plain = Publishers::start(&ready, &rooms);
    trial.load.more_acks(SOME, LOAD_LIMIT).await.unwrap();

    for k in 0..3 {
        let fault = trial.fault("restart", &[k], "SIGTERM");
        let begun = Instant::now();
        trial.cluster.stop(k).await.unwrap();
        println!("node {k} stopped after {:?}", begun.elapsed());
        trial.load.more_acks(SOME, LOAD_LIMIT).await.unwrap();
        trial.cluster.start_node(k).await.unwrap();
        trial.undone(fault);
        trial.load.more_acks(SOME, LOAD_LIMIT).await.unwrap();
    }

    let reports = plain.finish().await;
    say(&reports);
    for report in &reports {
        assert!(report.failed.is_empty(), "{:?} of {}: {:#?}", report.way, report.room, report.failed);
    }
    assert_stored(trial.cluster.client(), &reports).await;
    trial.end().await;
}

/// Prints what each kind of client went through, and fails where that is too little.
fn say(reports: &[Report]) {
    let mut kinds: BTreeMap<Way, Vec<&Report>> = BTreeMap::new();
    for report in reports {
        kinds.entry(report.way).or_default().push(report);
    }
    for (way, reports) in kinds {
        let sum = |count: fn(&Report) -> usize| reports.iter().map(|report| count(report)).sum::<usize>();
        let acked = sum(|report| report.acked.len());
        let failed = sum(|report| report.failed.len());
        let (followed, again) = (sum(|report| report.followed as usize), sum(|report| report.again as usize));
        let longest = reports.iter().map(|report| report.longest).max().unwrap_or_default();
        println!(
            "{way:?}: {acked} acked, {failed} failed, {followed} times followed, {again} sent again, longest {longest:?}"
        );
        assert!(acked >= ACKS_MIN, "{way:?}: only {acked} acks");
        assert!(way == Way::SessionSocket || followed > 0, "{way:?} was never sent elsewhere");
    }
}

/// What was acked is stored once, where it was said, and in order.
async fn assert_stored(client: &Client, reports: &[Report]) {
    let mut logs: HashMap<&str, Vec<String>> = HashMap::new();
    for report in reports {
        if !logs.contains_key(report.room.as_str()) {
            logs.insert(&report.room, log(client, &report.room).await);
        }
        let log = &logs[report.room.as_str()];
        for (id, offset) in &report.acked {
            let places: Vec<usize> =
                (1..).zip(log).filter(|(_, stored)| *stored == id).map(|(n, _)| n).collect();
            assert_eq!(places, [*offset as usize], "{id} of {:?}", report.way);
        }
        assert!(report.acked.is_sorted_by_key(|(_, offset)| *offset), "{:?} of {}", report.way, report.room);
    }
}

/// The ids of a room's log, by offset.
async fn log(client: &Client, room: &str) -> Vec<String> {
    let room = client.room(room.parse().unwrap());
    let (mut ids, mut at) = (Vec::new(), Offset::FIRST);
    loop {
        let page = room.history(From::Offset(at), 1_000).await.unwrap();
        if page.items.is_empty() {
            return ids;
        }
        at = page.next;
        ids.extend(page.items.iter().map(|item| item.id.to_string()));
    }
}
