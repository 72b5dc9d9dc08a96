//! Holds what a room has against what its log says, message by message.

use roomkeeper_client::protocol::Item;
use roomkeeper_client::types::{MessageId, Offset};
use serde::Serialize;

use super::log_file::LogFile;
use super::wire;

/// How a sequence of messages differs from a log. All zero: it is the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Differences {
    /// Lines of which no message was seen.
    pub(crate) missing: u64,
    /// Messages beyond the first of their line.
    pub(crate) doubled: u64,
    /// Messages that came after one of a later line.
    pub(crate) out_of_order: u64,
    /// Messages with other bytes, or from another sender, than their line.
    pub(crate) changed: u64,
    /// Messages that stand at another offset than their ack said.
    pub(crate) moved: u64,
    /// Messages that are none of the log's lines.
    pub(crate) foreign: u64,
    /// Offsets that were skipped or repeated.
    pub(crate) gaps: u64,
    /// The first difference, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first: Option<String>,
}

impl Differences {
    /// Nothing differs.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Adds up the counts of both; the first words stay.
    pub(crate) fn add(&mut self, other: &Self) {
        self.missing += other.missing;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
        self.changed += other.changed;
        self.moved += other.moved;
        self.foreign += other.foreign;
        self.gaps += other.gaps;
        if self.first.is_none() {
            self.first.clone_from(&other.first);
        }
    }

    fn note(&mut self, words: impl FnOnce() -> String) {
        self.first.get_or_insert_with(words);
    }
}

/// Compares messages with a log as they come.
#[derive(Debug)]
pub(crate) struct Comparer<'a> {
    log: &'a LogFile,
    /// Whether each line was seen.
    seen: Vec<bool>,
    /// The latest line seen so far.
    latest: Option<u32>,
    /// The offset that comes next.
    next: Offset,
    differences: Differences,
}

impl<'a> Comparer<'a> {
    pub(crate) fn new(log: &'a LogFile) -> Self {
        let seen = vec![false; log.len() as usize];
        Self { log, seen, latest: None, next: Offset::FIRST, differences: Differences::default() }
    }

    /// The offset that comes next.
    pub(crate) fn next(&self) -> Offset {
        self.next
    }

    /// Takes the next message.
    pub(crate) fn take(&mut self, item: &Item) {
        let Item { offset, id, .. } = item;
        if *offset != self.next {
            self.differences.gaps += 1;
            let expected = self.next;
            self.differences.note(|| format!("{offset} came where {expected} was expected"));
        }
        self.next = offset.next();
        match self.log.ids.number(*id).and_then(|number| Some((number, self.log.line(number)?))) {
            Some((number, line)) => self.take_line(number, line, item),
            None => self.take_foreign(*offset, *id),
        }
    }

    /// What differs, now that nothing more comes.
    pub(crate) fn finish(mut self) -> Differences {
        let mut missing = self.seen.iter().enumerate().filter(|(_, seen)| !**seen).map(|(number, _)| number);
        if let Some(first) = missing.next() {
            self.differences.missing = 1 + missing.count() as u64;
            self.differences.note(|| format!("line {} is missing", first + 1));
        }
        self.differences
    }

    fn take_line(&mut self, number: u32, line: &[u8], item: &Item) {
        let differences = &mut self.differences;
        let (offset, shown) = (item.offset, number + 1);
        if wire::line(&item.data).as_deref() != Some(line) {
            differences.changed += 1;
            differences.note(|| format!("{offset} has other bytes than line {shown}"));
        } else if self.log.sender(number) != Some(&item.from) {
            differences.changed += 1;
            differences.note(|| format!("{offset} is from {}, unlike line {shown}", item.from));
        }
        // Each line was seen or not; `number` has a line, so it is in range.
        let Some(seen) = self.seen.get_mut(number as usize) else { return };
        if std::mem::replace(seen, true) {
            differences.doubled += 1;
            differences.note(|| format!("{offset} is line {shown} once more"));
            return;
        }
        match self.latest {
            Some(latest) if number < latest => {
                differences.out_of_order += 1;
                differences.note(|| format!("{offset} is line {shown}, after line {}", latest + 1));
            }
            _ => self.latest = Some(number),
        }
    }

    fn take_foreign(&mut self, offset: Offset, id: MessageId) {
        self.differences.foreign += 1;
        self.differences.note(|| format!("{offset} ({id}) is no line of the log"));
    }
}

/// Compares acks with where a log's lines have to stand: line n at offset n. `None`: not acked.
pub(crate) fn check_acks(acks: &[Option<Offset>]) -> Differences {
    let mut differences = Differences::default();
    for (number, ack) in (1..).zip(acks) {
        if let Some(offset) = ack
            && offset.get() != number
        {
            differences.moved += 1;
            differences.note(|| format!("line {number} was acked at {offset}"));
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use roomkeeper_client::protocol::Data;
    use roomkeeper_client::types::{Epoch, Timestamp, UserId};

    use super::*;

    const LINES: &str = "[09:14] <ann> one\n[09:15] <bob> two\n=== cid has joined\n[09:16] <ann> four\n";

    fn log() -> LogFile {
        LogFile::new(LINES.into(), "r".parse().unwrap()).unwrap()
    }

    /// The log's lines as the room would have them, in that order at dense offsets.
    fn items(log: &LogFile, numbers: &[u32]) -> Vec<Item> {
        let item = |(offset, &number): (u64, &u32)| Item {
            offset: Offset(offset),
            epoch: Epoch(1),
            id: log.ids.id(number),
            from: log.nick(number).unwrap().clone(),
            time: Timestamp(0),
            sent: None,
            data: wire::data(log.line(number).unwrap()),
        };
        (1..).zip(numbers).map(item).collect()
    }

    fn compare(log: &LogFile, items: &[Item]) -> Differences {
        let mut comparer = Comparer::new(log);
        items.iter().for_each(|item| comparer.take(item));
        comparer.finish()
    }

    /// The counts: missing, doubled, out of order, changed, foreign, gaps.
    fn counts(differences: &Differences) -> [u64; 6] {
        let Differences { missing, doubled, out_of_order, changed, foreign, gaps, .. } = differences;
        assert_eq!(differences.is_none(), differences.first.is_none());
        [*missing, *doubled, *out_of_order, *changed, *foreign, *gaps]
    }

    #[test]
    fn room_equal_to_its_log_has_no_difference() {
        let log = log();
        assert!(compare(&log, &items(&log, &[0, 1, 2, 3])).is_none());
    }

    #[test]
    fn line_missing_is_counted_and_named() {
        let log = log();
        let differences = compare(&log, &items(&log, &[0, 1, 3]));
        assert_eq!(counts(&differences), [1, 0, 0, 0, 0, 0]);
        assert_eq!(differences.first.as_deref(), Some("line 3 is missing"));
        assert_eq!(counts(&compare(&log, &[])), [4, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn line_doubled_is_counted_and_named() {
        let log = log();
        let differences = compare(&log, &items(&log, &[0, 1, 1, 2, 3, 0]));
        assert_eq!(counts(&differences), [0, 2, 0, 0, 0, 0]);
        assert_eq!(differences.first.as_deref(), Some("o3 is line 2 once more"));
    }

    #[test]
    fn lines_swapped_are_out_of_order() {
        let log = log();
        let differences = compare(&log, &items(&log, &[0, 2, 1, 3]));
        assert_eq!(counts(&differences), [0, 0, 1, 0, 0, 0]);
        assert_eq!(differences.first.as_deref(), Some("o3 is line 2, after line 3"));
    }

    #[test]
    fn byte_sender_or_kind_changed_is_counted_and_named() {
        let log = log();
        let mut items = items(&log, &[0, 1, 2, 3]);
        items[0].data = Data::json_string("[09:14] <ann> onE");
        items[1].from = "eve".parse::<UserId>().unwrap();
        items[2].data = Data::Json("17".into());
        let differences = compare(&log, &items);
        assert_eq!(counts(&differences), [0, 0, 0, 3, 0, 0]);
        assert_eq!(differences.first.as_deref(), Some("o1 has other bytes than line 1"));
    }

    #[test]
    fn message_of_another_is_foreign() {
        let log = log();
        let mut items = items(&log, &[0, 1, 2, 3]);
        items[1].id = MessageId([9; 16]);
        // A line beyond the log's end is no line either.
        items[3].id = log.ids.id(4);
        assert_eq!(counts(&compare(&log, &items)), [2, 0, 0, 0, 2, 0]);
    }

    #[test]
    fn offset_skipped_or_repeated_is_a_gap() {
        let log = log();
        let mut items = items(&log, &[0, 1, 2, 3]);
        items[2].offset = Offset(4);
        items[3].offset = Offset(4);
        let differences = compare(&log, &items);
        assert_eq!(counts(&differences), [0, 0, 0, 0, 0, 2]);
        assert_eq!(differences.first.as_deref(), Some("o4 came where o3 was expected"));
    }

    #[test]
    fn ack_at_another_offset_than_its_line_is_moved() {
        assert!(check_acks(&[Some(Offset(1)), Some(Offset(2)), None]).is_none());
        let differences = check_acks(&[Some(Offset(1)), Some(Offset(3))]);
        assert_eq!(differences.moved, 1);
        assert_eq!(differences.first.as_deref(), Some("line 2 was acked at o3"));
    }
}
