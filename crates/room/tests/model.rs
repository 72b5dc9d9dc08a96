//! Random logs of entries, applied to rows and to a model of plain lists.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "model/mod.rs"]
mod plain;
#[path = "model/random.rs"]
mod random;

use proptest::prelude::*;
use roomkeeper_room::{
    Applier, Batch, Command, Effect, MemRows, Outcome, RoomHash, Rows, RowsError, Write, read,
};
use roomkeeper_types::{LogPosition, Offset, ShardCount, ShardId};

use plain::Model;
use random::{any_log, cut};

/// What applying a log comes to.
#[derive(Debug, PartialEq)]
struct Applied {
    rows: MemRows,
    outcomes: Vec<Vec<Outcome>>,
    effects: Vec<Effect>,
}

/// Applies a log in runs; each run's writes are made before the next begins.
fn apply(runs: &[&[(LogPosition, Batch)]]) -> Applied {
    let mut applied = Applied { rows: MemRows::default(), outcomes: Vec::new(), effects: Vec::new() };
    for run in runs {
        let (outcomes, writes) = apply_run(&applied.rows, run, &mut applied.effects).unwrap();
        applied.outcomes.extend(outcomes);
        applied.rows.apply_writes(&writes);
    }
    applied
}

type RunResult = Result<(Vec<Vec<Outcome>>, Vec<Write>), RowsError>;

fn apply_run<R: Rows>(rows: &R, run: &[(LogPosition, Batch)], effects: &mut Vec<Effect>) -> RunResult {
    let mut applier = Applier::new(rows, ShardId(0), ShardCount::new(1).unwrap());
    let outcomes = run.iter().map(|(at, batch)| applier.apply(*at, batch.clone(), effects));
    let outcomes = outcomes.collect::<Result<_, _>>()?;
    Ok((outcomes, applier.into_writes()))
}

proptest! {
    #[test]
    fn log_applied_does_what_the_model_does(log in any_log(), cuts in any::<u64>()) {
        let mut model = Model::default();
        let mut effects = Vec::new();
        let outcomes: Vec<Vec<Outcome>> =
            log.iter().map(|(at, batch)| model.apply(*at, batch, &mut effects)).collect();
        let applied = apply(&cut(&log, cuts));
        prop_assert_eq!(&applied.outcomes, &outcomes);
        prop_assert_eq!(&applied.effects, &effects);

        let rooms = read::rooms(&applied.rows, "", None, usize::MAX).unwrap();
        prop_assert_eq!(rooms.len(), model.rooms.len());
        for (info, (name, room)) in rooms.into_iter().zip(&model.rooms) {
            prop_assert_eq!(Some(info.clone()), read::room(&applied.rows, name).unwrap());
            prop_assert_eq!((&info.room, info.life, info.created), (name, room.life, room.created));
            prop_assert_eq!((info.first, info.next), (Offset(1), room.next()));
            prop_assert_eq!(info.messages, room.log.len() as u64);
            prop_assert_eq!(info.bytes, room.log.iter().map(|item| item.payload.bytes.len() as u64).sum::<u64>());
            prop_assert_eq!(info.hash, room.log.iter().fold(RoomHash::default(), RoomHash::append));
            let all = read::history(&applied.rows, info.life, Offset(1), Offset::MAX, usize::MAX, usize::MAX);
            prop_assert_eq!(&all.unwrap(), &room.log);
        }
    }

    /// Nothing of a deleted life is left, and nothing but what the rooms are made of.
    #[test]
    fn log_applied_leaves_no_row_beside_its_rooms(log in any_log()) {
        let applied = apply(&[&log]);
        let rooms = read::rooms(&applied.rows, "", None, usize::MAX).unwrap();
        let rows: u64 = rooms.iter().map(|room| 2 + 2 * room.messages).sum();
        prop_assert_eq!(applied.rows.iter().count() as u64, rows);
    }

    #[test]
    fn log_cut_into_other_runs_comes_to_the_same(log in any_log(), cuts in any::<u64>()) {
        let one_by_one: Vec<_> = log.chunks(1).collect();
        let entry_by_entry = apply(&one_by_one);
        prop_assert_eq!(&entry_by_entry, &apply(&[&log]));
        prop_assert_eq!(&entry_by_entry, &apply(&cut(&log, cuts)));
    }

    /// Two replicas that cut their runs alike make the same writes in the same order: no map order shows.
    #[test]
    fn run_applied_twice_makes_the_same_writes(log in any_log()) {
        let rows = MemRows::default();
        let (first, second) = (apply_run(&rows, &log, &mut vec![]), apply_run(&rows, &log, &mut vec![]));
        prop_assert_eq!(first.unwrap(), second.unwrap());
    }

    #[test]
    fn command_refused_changes_nothing(log in any_log()) {
        let mut rows = MemRows::default();
        for (at, batch) in log {
            let mut effects = Vec::new();
            let (outcomes, writes) = apply_run(&rows, &[(at, batch)], &mut effects).unwrap();
            if outcomes[0].iter().all(|outcome| matches!(outcome, Outcome::Refused(_))) {
                prop_assert_eq!((&writes, &effects), (&vec![], &vec![]));
            }
            rows.apply_writes(&writes);
        }
    }

    /// Equal logs, equal hashes; and whatever differs in the logs of one name, its hashes differ too.
    #[test]
    fn rooms_have_equal_hashes_when_their_logs_are_equal_only(one in any_log(), other in any_log()) {
        let (one, other) = (apply(&[&one]).rows, apply(&[&other]).rows);
        let log_of = |rows: &MemRows, room: &read::RoomInfo| {
            read::history(rows, room.life, Offset(1), Offset::MAX, usize::MAX, usize::MAX).unwrap()
        };
        for a in read::rooms(&one, "", None, usize::MAX).unwrap() {
            for b in read::rooms(&other, "", None, usize::MAX).unwrap() {
                prop_assert_eq!(a.hash == b.hash, log_of(&one, &a) == log_of(&other, &b));
            }
        }
    }

    #[test]
    fn hash_changes_with_every_field(log in any_log()) {
        let mut effects = Vec::new();
        apply_run(&MemRows::default(), &log, &mut effects).unwrap();
        let items = effects.iter().filter_map(|effect| match effect {
            Effect::Appended { items, .. } => Some(items[0].clone()),
            _ => None,
        });
        for item in items {
            let hash = RoomHash::default().append(&item);
            for changed in random::changed_by_one_field(&item) {
                prop_assert_ne!(hash, RoomHash::default().append(&changed));
            }
            prop_assert_ne!(hash, hash.append(&item));
        }
    }
}

/// Counts reads, and fails one of them.
struct Watched<'r> {
    rows: &'r MemRows,
    reads: std::cell::Cell<usize>,
    fails: Option<usize>,
}

impl Rows for Watched<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<bytes::Bytes>, RowsError> {
        let read = self.reads.replace(self.reads.get() + 1);
        if self.fails == Some(read) {
            Err(RowsError::Io("the disk is gone".into()))
        } else {
            self.rows.get(key)
        }
    }

    fn scan(&self, _: &[u8], _: &[u8], _: roomkeeper_room::rows::Visitor<'_>) -> Result<(), RowsError> {
        panic!("apply never scans");
    }
}

fn watched(rows: &MemRows, fails: Option<usize>) -> Watched<'_> {
    Watched { rows, reads: std::cell::Cell::new(0), fails }
}

proptest! {
    #[test]
    fn run_reads_twice_per_room_and_once_per_message_at_most(log in any_log(), half in any::<u64>()) {
        let (before, run) = log.split_at(half as usize % (log.len() + 1));
        let rows = apply(&[before]).rows;
        let watched = watched(&rows, None);
        apply_run(&watched, run, &mut vec![]).unwrap();
        let commands = || run.iter().flat_map(|(_, batch)| &batch.commands);
        let rooms: std::collections::BTreeSet<_> = commands().filter_map(Command::room).collect();
        let messages: usize = commands().map(random::messages).sum();
        prop_assert!(watched.reads.get() <= 2 * rooms.len() + messages);
    }

    /// Every read of a run failed in turn: none is taken for "nothing there".
    #[test]
    fn run_with_a_failed_read_is_an_error(log in any_log(), half in any::<u64>()) {
        let (before, run) = log.split_at(half as usize % (log.len() + 1));
        let rows = apply(&[before]).rows;
        let whole = watched(&rows, None);
        apply_run(&whole, run, &mut vec![]).unwrap();
        for fails in 0..whole.reads.get() {
            let result = apply_run(&watched(&rows, Some(fails)), run, &mut vec![]);
            prop_assert!(matches!(result, Err(RowsError::Io(_))));
        }
    }

    /// Every row unreadable in turn: apply says so or does not need it, but never goes on as if it were gone.
    #[test]
    fn run_over_a_corrupt_row_is_an_error_or_unharmed(log in any_log(), half in any::<u64>()) {
        let (before, run) = log.split_at(half as usize % (log.len() + 1));
        let rows = apply(&[before]).rows;
        let (outcomes, _) = apply_run(&rows, run, &mut vec![]).unwrap();
        for (key, _) in rows.iter() {
            let mut broken = rows.clone();
            broken.apply_writes(&[Write::Put(key.clone(), bytes::Bytes::from_static(b"\xff"))]);
            match apply_run(&broken, run, &mut vec![]) {
                Ok((same, _)) => prop_assert_eq!(&same, &outcomes),
                Err(RowsError::Corrupt { key: named, .. }) => prop_assert_eq!(&named, key),
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            }
        }
    }
}

#[test]
#[should_panic(expected = "a run that could not read its rows")]
fn writes_of_a_failed_run_are_refused() {
    let rows = MemRows::default();
    let rows = watched(&rows, Some(0));
    let mut applier = Applier::new(&rows, ShardId(0), ShardCount::new(1).unwrap());
    let command = Command::Delete(roomkeeper_room::Delete { room: "a".parse().unwrap(), life: None });
    let batch = Batch { time: roomkeeper_types::Timestamp(1), commands: vec![command] };
    assert!(applier.apply(LogPosition::default(), batch, &mut vec![]).is_err());
    applier.into_writes();
}
