//! The ids of a room's last two minutes, to compare with what a client says it has.

use std::collections::VecDeque;

use roomkeeper_protocol::Item;
use roomkeeper_types::{MessageId, Offset, Timestamp};

/// How long ids are kept, milliseconds.
const KEPT_MS: u64 = 120_000;
/// Most ids that are kept; older ones are read from the log again.
const ENTRIES_MAX: usize = 8_192;

/// A message of the last minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) offset: Offset,
    pub(crate) id: MessageId,
    pub(crate) time: Timestamp,
}

impl From<&Item> for Entry {
    fn from(item: &Item) -> Self {
        Self { offset: item.offset, id: item.id, time: item.time }
    }
}

/// Neighbouring messages up to the newest.
#[derive(Default)]
pub(super) struct Recent {
    entries: VecDeque<Entry>,
    /// Every message from here on is in `entries`, or will be.
    from: Option<Offset>,
    /// Every message below is older than what is kept.
    old_below: Offset,
}

impl Recent {
    /// Messages from `next` on will be told.
    pub(super) fn begin(&mut self, next: Offset) {
        self.from.get_or_insert(next);
    }

    /// Messages were appended; they follow on what is here, or take its place.
    pub(super) fn append(&mut self, items: &[Item]) {
        let Some(first) = items.first() else { return };
        let end = self.entries.back().map(|entry| entry.offset.next()).or(self.from);
        if end != Some(first.offset) {
            self.entries.clear();
            self.from = Some(first.offset);
        }
        self.entries.extend(items.iter().map(Entry::from));
        while self.entries.len() > ENTRIES_MAX {
            self.drop_oldest();
        }
    }

    /// What the log has below: neighbouring messages, the last of which stands right before what is here.
    pub(super) fn rebuild(&mut self, read: &[Entry]) {
        let (Some(from), Some(first), Some(last)) = (self.from, read.first(), read.last()) else { return };
        if last.offset.next() == from && read.len() + self.entries.len() <= ENTRIES_MAX {
            read.iter().rev().for_each(|entry| self.entries.push_front(*entry));
            self.from = Some(first.offset);
        }
    }

    /// Forgets what is too old.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        let cutoff = now.millis().saturating_sub(KEPT_MS);
        while self.entries.front().is_some_and(|entry| entry.time.millis() < cutoff) {
            self.old_below = self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) -> Offset {
        let end = self.entries.pop_front().map(|entry| entry.offset.next()).unwrap_or_default();
        self.from = Some(end);
        end
    }

    /// Of the offsets from `low` to `end` (exclusive), those that the log has to be asked about: they may be of the
    /// last minutes and are not here.
    pub(super) fn unknown(&self, low: Offset, end: Offset) -> Option<(Offset, Offset)> {
        let low = low.max(self.old_below);
        let end = self.from.map_or(end, |from| from.min(end));
        (low < end).then_some((low, end))
    }

    /// The messages from `low` to `end` (exclusive) that are here, in order.
    pub(super) fn range(&self, low: Offset, end: Offset) -> Vec<Entry> {
        let start = self.entries.partition_point(|entry| entry.offset < low);
        let end = self.entries.partition_point(|entry| entry.offset < end);
        self.entries.range(start..end.max(start)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use roomkeeper_protocol::Data;
    use roomkeeper_types::Epoch;

    use super::*;

    fn item(offset: u64, time: u64) -> Item {
        Item {
            offset: Offset(offset),
            epoch: Epoch(1),
            id: MessageId([offset as u8; 16]),
            from: "ann".parse().unwrap(),
            time: Timestamp(time),
            sent: None,
            data: Data::Json(Bytes::from_static(b"1")),
        }
    }

    fn offsets(recent: &Recent, low: u64, end: u64) -> Vec<u64> {
        recent.range(Offset(low), Offset(end)).iter().map(|entry| entry.offset.get()).collect()
    }

    fn unknown(recent: &Recent, low: u64, end: u64) -> Option<(u64, u64)> {
        recent.unknown(Offset(low), Offset(end)).map(|(low, end)| (low.get(), end.get()))
    }

    #[test]
    fn recent_knows_what_came_and_asks_for_what_was_before() {
        let mut recent = Recent::default();
        assert_eq!(unknown(&recent, 1, 9), Some((1, 9)));
        recent.begin(Offset(7));
        recent.append(&[item(7, 100), item(8, 100)]);
        assert_eq!((unknown(&recent, 1, 9), unknown(&recent, 7, 9)), (Some((1, 7)), None));
        let read: Vec<Entry> = (4..7).map(|offset| Entry::from(&item(offset, 90))).collect();
        recent.rebuild(&read);
        assert_eq!((offsets(&recent, 5, 8), unknown(&recent, 4, 9)), (vec![5, 6, 7], None));
    }

    #[test]
    fn recent_that_is_old_is_forgotten_and_not_asked_for() {
        let mut recent = Recent::default();
        recent.append(&[item(1, 0), item(2, 1_000), item(3, 100_000)]);
        recent.sweep(Timestamp(KEPT_MS + 50_000));
        assert_eq!((offsets(&recent, 1, 9), unknown(&recent, 1, 4)), (vec![3], None));
        recent.sweep(Timestamp(KEPT_MS * 9));
        assert_eq!((offsets(&recent, 1, 9), unknown(&recent, 1, 4)), (vec![], None));
        recent.append(&[item(4, KEPT_MS * 9)]);
        assert_eq!((offsets(&recent, 1, 9), unknown(&recent, 1, 5)), (vec![4], None));
    }

    #[test]
    fn recent_after_a_jump_asks_the_log() {
        let mut recent = Recent::default();
        recent.append(&[item(1, 5)]);
        recent.append(&[item(9, 5)]);
        assert_eq!((offsets(&recent, 1, 99), unknown(&recent, 1, 10)), (vec![9], Some((1, 9))));
    }

    #[test]
    fn recent_is_bounded() {
        let mut recent = Recent::default();
        let items: Vec<Item> = (1..=ENTRIES_MAX as u64 + 3).map(|offset| item(offset, 5)).collect();
        recent.append(&items);
        assert_eq!(recent.entries.len(), ENTRIES_MAX);
        assert_eq!(unknown(&recent, 1, 10), Some((1, 4)));
    }
}
