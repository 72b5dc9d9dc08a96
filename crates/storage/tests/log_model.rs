//! Random calls on a log and on a vector that should behave the same, with restarts in between.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use bytes::Bytes;
use proptest::prelude::*;
use roomkeeper_storage::{GroupLog, LogEngine, LogOptions, LogState};
use roomkeeper_types::{LogIndex, ReplicaId};
use support::append;

#[derive(Debug, Clone)]
enum Call {
    /// Entries of these lengths, behind the last one.
    Append(Vec<usize>),
    /// Keep this many permille of the entries, from the front.
    Truncate(u64),
    /// Purge so many permille of the entries; above 1000, beyond the last one.
    Purge(u64),
    Vote(u8),
    Committed(Option<u8>),
    /// Read from here to there, both in permille, and at most so many bytes.
    Read(u64, u64, usize),
    Restart,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => prop::collection::vec(0..400_usize, 0..12).prop_map(Call::Append),
        1 => (0..=1100_u64).prop_map(Call::Truncate),
        2 => (0..=1050_u64).prop_map(Call::Purge),
        1 => any::<u8>().prop_map(Call::Vote),
        1 => any::<Option<u8>>().prop_map(Call::Committed),
        6 => (0..1000_u64, 0..1100_u64, 0..4000_usize).prop_map(|(from, to, bytes)| Call::Read(from, to, bytes)),
        1 => Just(Call::Restart),
    ]
}

/// What the log should be.
#[derive(Debug, Default)]
struct Model {
    first: u64,
    entries: Vec<Bytes>,
    state: LogState,
    /// Makes every entry's bytes different, so that an old one cannot pass for a new one.
    written: u64,
}

impl Model {
    fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn state(&self) -> LogState {
        let some = !self.entries.is_empty();
        LogState {
            first: some.then_some(LogIndex(self.first)),
            last: some.then(|| LogIndex(self.next() - 1)),
            ..self.state.clone()
        }
    }

    /// The index at so many permille of the log.
    fn at(&self, permille: u64) -> u64 {
        self.first + self.entries.len() as u64 * permille / 1000
    }

    fn new_entry(&mut self, len: usize) -> Bytes {
        self.written += 1;
        let mut entry = self.written.to_be_bytes().to_vec();
        entry.resize(8 + len, b'.');
        Bytes::from(entry)
    }

    fn read(&self, from: u64, to: u64, max_bytes: usize) -> Vec<Bytes> {
        let from = from.clamp(self.first, self.next());
        let to = to.clamp(from, self.next());
        let mut left = max_bytes;
        let wanted = &self.entries[(from - self.first) as usize..(to - self.first) as usize];
        let fitting = wanted.iter().enumerate().take_while(|(position, entry)| {
            let fits = *position == 0 || entry.len() <= left;
            left = left.saturating_sub(entry.len());
            fits
        });
        fitting.map(|(_, entry)| entry.clone()).collect()
    }
}

async fn run(calls: Vec<Call>, options: LogOptions) {
    let dir = tempfile::tempdir().unwrap();
    let open = || -> GroupLog {
        LogEngine::open_with(dir.path(), options.clone()).unwrap().group(ReplicaId(1)).unwrap()
    };
    let mut log = open();
    let mut model = Model { first: 1, ..Model::default() };
    append(&log, 1, Vec::new()).await.unwrap();
    for call in calls {
        match call {
            Call::Append(lengths) => {
                let entries: Vec<Bytes> = lengths.into_iter().map(|len| model.new_entry(len)).collect();
                // Not waited for: later calls meet entries that are not on disk yet.
                log.append(LogIndex(model.next()), entries.clone(), Box::new(|done| done.unwrap()))
                    .await
                    .unwrap();
                model.entries.extend(entries);
            }
            Call::Truncate(permille) => {
                let kept = model.entries.len().min((model.at(permille) - model.first) as usize);
                let last = (model.first + kept as u64).checked_sub(1).map(LogIndex);
                log.truncate_after(last).await.unwrap();
                model.entries.truncate(kept);
            }
            Call::Purge(permille) => {
                let upto = model.at(permille);
                let mark = Bytes::from(upto.to_string());
                log.purge(LogIndex(upto), mark.clone()).await.unwrap();
                let gone = model.entries.len().min((upto + 1 - model.first) as usize);
                model.entries.drain(..gone);
                model.first = upto + 1;
                model.state.purged = Some(mark);
            }
            Call::Vote(vote) => {
                let vote = Bytes::from(vec![vote]);
                log.save_vote(vote.clone()).await.unwrap();
                model.state.vote = Some(vote);
            }
            Call::Committed(mark) => {
                let mark = mark.map(|mark| Bytes::from(vec![mark]));
                log.save_committed(mark.clone()).await.unwrap();
                model.state.committed = mark;
            }
            Call::Read(from, to, bytes) => {
                let (from, to) = (model.at(from), model.at(to));
                assert_eq!(log.entries(from..to, bytes).unwrap(), model.read(from, to, bytes));
            }
            Call::Restart => {
                // The only handle: its engine closes with it, and only then can it be opened again.
                drop(log);
                log = open();
            }
        }
        assert_eq!(log.state(), model.state());
        assert_eq!(log.entries(.., usize::MAX).unwrap(), model.entries);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_calls_with_restarts_behave_like_a_vector(
        calls in prop::collection::vec(call(), 1..60),
        cache in prop_oneof![Just(0_usize), Just(1000), Just(4 << 20)],
    ) {
        let options = LogOptions { group_cache_bytes: cache, ..LogOptions::default() };
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run(calls, options));
    }
}
