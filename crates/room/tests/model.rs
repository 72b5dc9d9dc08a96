//! Random logs of entries, applied to rows and to a model of plain lists.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "model/mod.rs"]
mod plain;
#[path = "model/random.rs"]
mod random;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use roomkeeper_room::{
    Applier, Batch, Command, Effect, MemRows, Outcome, RoomHash, Rows, RowsError, Write, keys, read,
};
use roomkeeper_types::{LogPosition, Offset, Timestamp};

use plain::{Held, Model, SHARD, shards};
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
    let mut applier = Applier::new(rows, SHARD, shards());
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
            prop_assert_eq!((info.first, info.next), (room.first(), room.next()));
            prop_assert_eq!((info.messages, info.bytes), (room.kept().len() as u64, room.bytes()));
            prop_assert_eq!(info.options, room.options);
            prop_assert_eq!(info.hash, room.log.iter().fold(RoomHash::default(), RoomHash::append));
            let all = read::history(&applied.rows, info.life, Offset(1), Offset::MAX, usize::MAX, usize::MAX);
            prop_assert_eq!(&all.unwrap(), room.kept());
            for consumer in ["phone", "laptop"].map(|name| name.parse().unwrap()) {
                let cursor = read::cursor(&applied.rows, info.life, &consumer).unwrap();
                prop_assert_eq!(cursor, room.cursors.get(&consumer).copied());
            }
            let holds = read::holds(&applied.rows, info.life, usize::MAX).unwrap();
            let holds: Vec<_> = holds.into_iter().map(|hold| (hold.items, hold.expires)).collect();
            prop_assert_eq!(holds, room.holds.values().map(Held::seen).collect::<Vec<_>>());
        }
        for name in ["a", "ab", "aa"].map(|name| name.parse().unwrap()) {
            prop_assert_eq!(read::forward(&applied.rows, &name).unwrap(), model.forwards.get(&name).copied());
        }
        let dues = read::due(&applied.rows, Timestamp(0)..=Timestamp(u64::MAX), usize::MAX).unwrap();
        prop_assert!(dues.iter().eq(&model.dues), "{:?} is due, not {:?}", dues, model.dues);
        // Nothing of a deleted life is left but dues, and nothing but what the rooms are made of.
        prop_assert_eq!(applied.rows.iter().count(), model.row_count());
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

    /// Equal logs, equal hashes, trimmed or not; and whatever differs in two logs, their hashes differ too.
    #[test]
    fn rooms_have_equal_hashes_when_their_logs_are_equal_only(one in any_log(), other in any_log()) {
        let rooms_of = |log: &[(LogPosition, Batch)]| {
            let mut model = Model::default();
            log.iter().for_each(|(at, batch)| drop(model.apply(*at, batch, &mut vec![])));
            let rows = apply(&[log]).rows;
            let hash = |name| read::room(&rows, name).unwrap().unwrap().hash;
            model.rooms.iter().map(|(name, room)| (hash(name), room.log.clone())).collect::<Vec<_>>()
        };
        for (a, log) in rooms_of(&one) {
            for (b, other) in rooms_of(&other) {
                prop_assert_eq!(a == b, log == other);
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

/// The logs come to every outcome and effect there is, and to most refusals: else they would show little.
#[test]
fn logs_come_to_everything() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..600 {
        let log = any_log().new_tree(&mut runner).unwrap().current();
        let applied = apply(&[&log]);
        let outcomes = applied.outcomes.iter().flatten().map(|outcome| match outcome {
            Outcome::Refused(refusal) => format!("No::{}", name_of(refusal)),
            Outcome::Held { duplicate: true, .. } => String::from("HeldBefore"),
            Outcome::Published { duplicates, .. } if duplicates[0] => String::from("PublishedBefore"),
            outcome => name_of(outcome),
        });
        let effects = applied.effects.iter().map(|effect| format!("Effect::{}", name_of(effect)));
        outcomes.chain(effects).for_each(|name| *seen.entry(name).or_default() += 1);
    }
    let rare: Vec<_> =
        EVERYTHING.split_whitespace().filter(|name| seen.get(*name).is_none_or(|count| *count < 5)).collect();
    assert!(rare.is_empty(), "{rare:?} are rare in {seen:?}");
}

const EVERYTHING: &str = "
    Created Deleted Published PublishedBefore Held HeldBefore Confirmed RolledBack Committed Forwarded Swept
    Effect::Appended Effect::Deleted Effect::Held Effect::RolledBack Effect::Trimmed
    No::NotFound No::AlreadyExists No::Recreated No::Expected No::IdReused No::PartlyKnown No::WrongShard
    No::UnknownId No::NotOneHold No::NotSender No::TooLate No::Gone No::Held No::BeyondHead No::Malformed";

/// What a value's enum calls it.
fn name_of(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").chars().take_while(char::is_ascii_alphanumeric).collect()
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
    fn run_reads_so_often_per_room_message_and_due_at_most(log in any_log(), half in any::<u64>()) {
        let (before, run) = log.split_at(half as usize % (log.len() + 1));
        let rows = apply(&[before]).rows;
        let watched = watched(&rows, None);
        let (_, writes) = apply_run(&watched, run, &mut vec![]).unwrap();
        let commands = || run.iter().flat_map(|(_, batch)| &batch.commands);
        let rooms: std::collections::BTreeSet<_> = commands().filter_map(Command::room).collect();
        let ids: usize = commands().map(random::ids).sum();
        let cursors = commands().filter(|command| matches!(command, Command::Commit(_))).count();
        let trimmed = |write: &&Write| matches!(write, Write::Delete(key) if key[0] == keys::MESSAGE_TABLE);
        let trimmed = writes.iter().filter(trimmed).count();
        let due = |command: &Command| if let Command::Sweep(dues) = command { dues.len() } else { 0 };
        let dues: usize = commands().map(due).sum();
        // An id may bring its hold along. A due brings its room, by its life and by its name, and one row more,
        // or two.
        prop_assert!(watched.reads.get() <= 2 * rooms.len() + 2 * ids + cursors + trimmed + 6 * dues);
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
    let mut applier = Applier::new(&rows, SHARD, shards());
    let command = Command::Delete(roomkeeper_room::Delete { room: "a".parse().unwrap(), life: None });
    let batch = Batch { time: roomkeeper_types::Timestamp(1), commands: vec![command] };
    assert!(applier.apply(LogPosition::default(), batch, &mut vec![]).is_err());
    applier.into_writes();
}
