//! Durability claims, against processes that are really killed (SIGKILL; the kernel's page cache survives, so
//! this is a crash and not a power cut):
//!
//! - the log: what was acknowledged is there, votes included, and there are no holes;
//! - the data: a replica's rows are those after some earlier write, although nothing was flushed on purpose.
//!
//! The child is this same test binary, run again with orders in its environment.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use roomkeeper_room::{Rows, Write};
use roomkeeper_storage::{DataOptions, DataStore, LogEngine, ReplicaStore};
use roomkeeper_types::{LogIndex, ReplicaId};
use support::{all_rows, append, entries, entry, put, write};

const REPLICA: ReplicaId = ReplicaId(1);
const ORDERS: &str = "ROOMKEEPER_STORAGE_CRASH_CHILD";
const CHILD: &str = "child_process_without_orders_does_nothing";

#[test]
fn child_process_without_orders_does_nothing() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let (what, dir) = orders.split_once(' ').unwrap();
    match what {
        "log" => write_log(Path::new(dir)),
        "data" => write_data(Path::new(dir)),
        _ => panic!("unknown orders {orders}"),
    }
}

/// Tells the parent; it reads whole lines only.
fn say(what: &str, number: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{what} {number}").unwrap();
    out.flush().unwrap();
}

/// Starts a child on `dir`, kills it after `lines` lines, and returns the last number it said of each thing.
fn killed_after(lines: usize, what: &str, dir: &Path) -> BTreeMap<String, u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture"])
        .env(ORDERS, format!("{what} {}", dir.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BTreeMap::new();
    let mut count = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some((what, number)) = line.split_once(' ')
            && let Ok(number) = number.parse()
        {
            said.insert(what.to_owned(), number);
            count += 1;
            if count == lines {
                // What is in the pipe already is read to its end: it was said before the kill.
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    assert!(count >= lines, "the child ended by itself after {count} lines");
    said
}

fn write_log(dir: &Path) {
    let run = async {
        let engine = LogEngine::open(dir).unwrap();
        let log = engine.group(REPLICA).unwrap();
        let mut next = log.state().last.map_or(1, |last| last.0 + 1);
        loop {
            for _ in 0..20 {
                let last = next + 2;
                let done = Box::new(move |result: Result<(), _>| {
                    result.unwrap();
                    say("appended", last);
                });
                log.append(LogIndex(next), entries(next..last + 1), done).await.unwrap();
                next = last + 1;
            }
            log.save_vote(entry(next)).await.unwrap();
            say("voted", next);
            if next > 200 {
                log.purge(LogIndex(next - 150), entry(next - 150)).await.unwrap();
            }
        }
    };
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run);
}

#[tokio::test]
async fn killed_process_had_acknowledged_nothing_that_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    for lines in [1, 15, 60, 200, 333] {
        let said = killed_after(lines, "log", dir.path());
        let engine = LogEngine::open(dir.path()).unwrap();
        let log = engine.group(REPLICA).unwrap();
        let state = log.state();
        let (first, last) = (state.first.unwrap().0, state.last.unwrap().0);
        assert!(last >= said["appended"], "{said:?} {state:?}");
        assert_eq!(log.entries(.., usize::MAX).unwrap(), entries(first..last + 1));
        if let Some(&voted) = said.get("voted") {
            let vote = String::from_utf8(state.vote.unwrap().to_vec()).unwrap();
            let vote: u64 = vote.strip_prefix("entry ").unwrap().parse().unwrap();
            assert!(vote >= voted, "{vote} {said:?}");
        }
        append(&log, last + 1, entries(last + 1..last + 2)).await.unwrap();
    }
}

/// One write of the data child, a function of its number only.
fn step(number: u64) -> Vec<Write> {
    let row = |number: u64| format!("row {:04}", number % 500);
    let mut writes = vec![put("step", number.to_string())];
    for part in 0..3 {
        writes.push(put(row(number * 7 + part), format!("{number} {}", "x".repeat(400))));
    }
    match number % 5 {
        0 => writes.push(Write::Delete(Bytes::from(row(number * 3)))),
        1 => writes.push(Write::DeleteRange(Bytes::from(row(number)), Bytes::from(row(number + 4)))),
        _ => {}
    }
    writes
}

fn last_step(store: &ReplicaStore) -> u64 {
    let row = store.get(b"step").unwrap();
    row.map_or(0, |row| std::str::from_utf8(&row).unwrap().parse().unwrap())
}

fn small_buffers() -> DataOptions {
    DataOptions { write_buffer_bytes: 128 << 10, ..DataOptions::default() }
}

fn write_data(dir: &Path) {
    let store = DataStore::open_with(dir, small_buffers()).unwrap().replica(REPLICA).unwrap();
    for number in last_step(&store) + 1.. {
        write(&store, &step(number));
        say("wrote", number);
    }
}

#[test]
fn rows_after_a_kill_without_a_flush_are_those_after_some_earlier_write() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = roomkeeper_room::MemRows::default();
    let (mut at, mut went_back) = (0, false);
    for lines in [10, 500, 1500, 700, 1100] {
        let said = killed_after(lines, "data", dir.path());
        let store = DataStore::open_with(dir.path(), small_buffers()).unwrap().replica(REPLICA).unwrap();
        let last = last_step(&store);
        assert!((at..=said["wrote"] + 1).contains(&last), "{last} after {at}, {said:?}");
        went_back |= last < said["wrote"];
        for number in at + 1..=last {
            model.apply_writes(&step(number));
        }
        at = last;
        assert_eq!(all_rows(&store).unwrap(), all_rows(&model).unwrap());
        // Or dropping it would write out its memtable, and the next round would start from there.
        assert_eq!(store.unflushed_bytes(), 0);
    }
    assert!(at > 0, "nothing was ever written out, so nothing was tested");
    assert!(went_back, "nothing was ever lost, so nothing was tested");
}
