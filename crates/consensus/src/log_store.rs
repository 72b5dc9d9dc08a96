//! openraft's log storage on the node's shared log engine.

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;

use futures::{Stream, StreamExt, stream};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_storage::GroupLog;
use roomkeeper_types::LogIndex;

use crate::format;
use crate::raft_types::{Entry, LogId, Types, Vote};
use crate::standing::Synced;

/// Most bytes of entries read at once: for replication (a peer's message stays well below its limit) and
/// for applying (a replica that is far behind does not load its whole log).
const READ_BYTES: usize = 1 << 20;

/// A replica's log as openraft sees it.
#[derive(Clone)]
pub(crate) struct LogStore {
    log: GroupLog,
    synced: Synced,
}

impl LogStore {
    pub(crate) fn new(log: GroupLog) -> Self {
        Self { log, synced: Synced::default() }
    }

    /// What of it is on disk, from now on and when it was opened.
    pub(crate) async fn synced(&mut self) -> io::Result<Synced> {
        if let Some(vote) = self.read_vote().await? {
            self.synced.voted(&vote);
        }
        let last = self.get_log_state().await?.last_log_id;
        self.synced.ends(last);
        Ok(self.synced.clone())
    }

    /// Whether nothing was ever written: no entry, no purge, no vote.
    pub(crate) fn is_pristine(&self) -> bool {
        let state = self.log.state();
        state.last.is_none() && state.purged.is_none() && state.vote.is_none()
    }

    /// Index of the last entry that was purged.
    pub(crate) fn purged(&self) -> io::Result<Option<u64>> {
        let purged = self.log.state().purged.map(format::decode_log_id).transpose()?;
        Ok(purged.map(|id| id.index))
    }

    fn read(&self, from: u64, to: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        self.log.entries(from..to, max_bytes)?.into_iter().map(format::decode_entry).collect()
    }

    fn bounds(&self, range: &impl RangeBounds<u64>) -> (u64, u64) {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let from = match range.start_bound() {
            Included(from) => *from,
            Excluded(before) => before + 1,
            Unbounded => self.log.state().first.map_or(0, |first| first.0),
        };
        let to = match range.end_bound() {
            Included(last) => last + 1,
            Excluded(to) => *to,
            Unbounded => self.log.state().last.map_or(0, |last| last.0 + 1),
        };
        (from, to)
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let (from, to) = self.bounds(&range);
        self.read(from, to, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, from: u64, to: u64) -> io::Result<Vec<Entry>> {
        self.read(from, to, READ_BYTES)
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = self.bounds(&range);
        let chunks = stream::unfold(Some((self.clone(), from)), move |state| async move {
            let (store, from) = state.filter(|(_, from)| *from < to)?;
            match store.read(from, to, READ_BYTES) {
                Ok(entries) if entries.is_empty() => {
                    // Past the end there is nothing to stream; before it, something is missing.
                    store.log.state().last.filter(|last| from <= last.0)?;
                    let gap = io::Error::new(io::ErrorKind::InvalidData, format!("log has no entry {from}"));
                    Some((vec![Err(gap)], None))
                }
                Ok(entries) => {
                    let next = from + entries.len() as u64;
                    Some((entries.into_iter().map(Ok).collect(), Some((store, next))))
                }
                Err(error) => Some((vec![Err(error)], None)),
            }
        });
        Box::pin(chunks.flat_map(stream::iter))
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.log.state().vote.map(format::decode_vote).transpose()
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let state = self.log.state();
        let purged = state.purged.map(format::decode_log_id).transpose()?;
        let last = match state.last {
            Some(last) => {
                let mut entries = self.read(last.0, last.0 + 1, 0)?;
                let entry =
                    entries.pop().ok_or_else(|| io::Error::other(format!("log has no entry {last}")))?;
                Some(entry.log_id)
            }
            None => purged,
        };
        Ok(LogState { last_purged_log_id: purged, last_log_id: last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        if sabotage::is(Bug::VoteNotKept) {
            return Ok(());
        }
        self.log.save_vote(format::encode_vote(vote)).await?;
        self.synced.voted(vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        Ok(self.log.save_committed(committed.as_ref().map(format::encode_log_id)).await?)
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        if sabotage::is(Bug::ShortLogVotes) {
            return Ok(None);
        }
        self.log.state().committed.map(format::decode_log_id).transpose()
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let (mut first, mut last) = (None, None);
        let mut encoded = Vec::new();
        for entry in entries {
            first.get_or_insert(entry.log_id.index);
            last = Some(entry.log_id);
            encoded.push(format::encode_entry(&entry)?);
        }
        let Some(first) = first else {
            callback.io_completed(Ok(()));
            return Ok(());
        };
        if sabotage::is(Bug::AckBeforeWrite) {
            self.log.append(LogIndex(first), encoded, Box::new(drop)).await?;
            callback.io_completed(Ok(()));
            return Ok(());
        }
        let synced = self.synced.clone();
        let done = Box::new(move |result: Result<(), roomkeeper_storage::Error>| {
            if result.is_ok() {
                synced.ends(last);
            }
            callback.io_completed(result.map_err(io::Error::from));
        });
        Ok(self.log.append(LogIndex(first), encoded, done).await?)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.log.truncate_after(last.map(|id| LogIndex(id.index))).await?;
        self.synced.ends(last);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.log.purge(LogIndex(upto.index), format::encode_log_id(&upto)).await?;
        // The rows that reach so far are on disk.
        self.synced.reaches(&upto);
        Ok(())
    }
}
