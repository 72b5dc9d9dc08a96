//! Heartbeats: what a client says it has of the last minute, compared with what it was handed.
//!
//! A heartbeat looks at what the client was handed before the one before: what is on its way is not missing. What
//! it leaves out of the last minute is sent again, in `sync` pushes. Ids are compared in memory; where this node has
//! not been there for that minute, as after a failover, the log is read first.

use std::collections::{HashSet, VecDeque};

use roomkeeper_protocol::Seen;
use roomkeeper_types::{MessageId, Offset, Timestamp};

use crate::hub::Entry;

/// What a heartbeat is about, milliseconds.
const WINDOW_MS: u64 = 60_000;
/// A client may list so many ids, so that no more messages are compared.
const COMPARED_MAX: u64 = 1_000;

/// How a subscription's heartbeats go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pulse {
    /// Where the subscription began.
    begin: Offset,
    /// What is below, the client was handed by another socket, if at all.
    since: Offset,
    /// The offset that was to be sent next at the heartbeat before.
    handed: Option<Offset>,
}

/// A heartbeat that is being answered.
pub(super) struct Beat {
    seen: HashSet<MessageId>,
    /// Compared from here …
    low: Offset,
    /// … to here, exclusive.
    end: Offset,
    begin: Offset,
    /// Whether the client takes up a former session: then it was handed what is below `begin`.
    resumed: bool,
    pub(super) step: Step,
}

/// What is to be done next.
pub(super) enum Step {
    /// The log is to be read from here on.
    Read(Offset, Vec<Entry>),
    /// These are missing: both inclusive, in order.
    Fetch(VecDeque<(Offset, Offset)>),
}

impl Pulse {
    pub(super) fn new(begin: Offset) -> Self {
        Self { begin, since: begin, handed: None }
    }

    /// The same, of a client that was handed what comes from `since` on by an earlier subscription.
    pub(super) fn since(self, since: Option<Offset>) -> Self {
        Self { since: since.map_or(self.since, |since| since.min(self.since)), ..self }
    }

    /// A heartbeat of a client that is to be sent `position` next.
    pub(super) fn beat(&mut self, position: Offset, seen: Seen, resumed: bool) -> Beat {
        let end = self.handed.replace(position).unwrap_or(self.begin);
        let newest = Offset(end.get().saturating_sub(COMPARED_MAX).max(1));
        let low = seen.upto.map_or(newest, |upto| newest.max(Offset(upto.get().saturating_add(1))));
        let (begin, seen) = (self.since, seen.seen.into_iter().collect());
        Beat { seen, low, end, begin, resumed, step: Step::Read(low, Vec::new()) }
    }
}

impl Beat {
    /// The offsets it compares: from the first to the second (exclusive).
    pub(super) fn span(&self) -> (Offset, Offset) {
        (self.low, self.end)
    }

    /// What stands below `first` is trimmed, and cannot be compared or sent any more.
    pub(super) fn go_on_at(&mut self, first: Offset) {
        match &mut self.step {
            Step::Read(at, _) => *at = first.max(*at),
            Step::Fetch(missing) => {
                missing.retain(|(_, to)| *to >= first);
                if let Some((from, _)) = missing.front_mut() {
                    *from = first.max(*from);
                }
            }
        }
    }

    /// What is missing of `entries`, which are all of the span that may be of the last minute, in order.
    pub(super) fn compare(&mut self, entries: &[Entry], now: Timestamp) {
        let cutoff = now.millis().saturating_sub(WINDOW_MS);
        let window = || entries.iter().filter(|entry| entry.time.millis() >= cutoff);
        // Below its beginning a client is held to what it shows to have, or took up with its session.
        let shown = window().find(|entry| self.seen.contains(&entry.id)).map(|entry| entry.offset);
        let floor = if self.resumed { Offset(0) } else { shown.unwrap_or(self.begin).min(self.begin) };
        let mut runs: VecDeque<(Offset, Offset)> = VecDeque::new();
        for entry in window().filter(|entry| entry.offset >= floor && !self.seen.contains(&entry.id)) {
            match runs.back_mut() {
                Some((_, last)) if last.next() == entry.offset => *last = entry.offset,
                _ => runs.push_back((entry.offset, entry.offset)),
            }
        }
        self.step = Step::Fetch(runs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(100_000);

    fn id(offset: u64) -> MessageId {
        MessageId([offset as u8; 16])
    }

    fn entries(offsets: impl IntoIterator<Item = u64>) -> Vec<Entry> {
        let entry = |offset| Entry { offset: Offset(offset), id: id(offset), time: NOW };
        offsets.into_iter().map(entry).collect()
    }

    fn seen(offsets: impl IntoIterator<Item = u64>, upto: Option<u64>) -> Seen {
        Seen { here: true, seen: offsets.into_iter().map(id).collect(), upto: upto.map(Offset) }
    }

    fn missing(mut beat: Beat, entries: &[Entry]) -> Vec<(u64, u64)> {
        let (low, end) = beat.span();
        let spanned: Vec<Entry> =
            entries.iter().filter(|entry| low <= entry.offset && entry.offset < end).copied().collect();
        beat.compare(&spanned, NOW);
        match beat.step {
            Step::Fetch(runs) => runs.into_iter().map(|(a, b)| (a.get(), b.get())).collect(),
            Step::Read(..) => panic!("compared"),
        }
    }

    /// The second heartbeat of a client that joined at `begin` and had all up to `handed` (exclusive) at the first.
    fn second(begin: u64, handed: u64, seen: Seen) -> Beat {
        let mut pulse = Pulse::new(Offset(begin));
        pulse.beat(Offset(handed), Seen { here: true, seen: Vec::new(), upto: None }, false);
        pulse.beat(Offset(handed + 5), seen, false)
    }

    #[test]
    fn beat_that_leaves_some_out_gets_exactly_those() {
        let all = entries(1..=15);
        assert_eq!(missing(second(1, 11, seen([1, 2, 4, 5, 6, 9, 10], None)), &all), [(3, 3), (7, 8)]);
        assert_eq!(missing(second(1, 11, seen(1..=10, None)), &all), []);
        assert_eq!(missing(second(1, 11, seen([9], Some(7))), &all), [(8, 8), (10, 10)]);
        assert_eq!(missing(second(1, 11, seen([], Some(10))), &all), []);
    }

    #[test]
    fn beat_does_not_count_what_was_handed_since_the_one_before() {
        assert_eq!(missing(second(1, 11, seen(1..=10, None)), &entries(1..=15)), []);
        let mut pulse = Pulse::new(Offset(1));
        assert_eq!(missing(pulse.beat(Offset(9), seen([], None), false), &entries(1..=15)), []);
    }

    #[test]
    fn first_beat_of_a_client_that_came_back_is_held_to_what_it_shows_or_resumed() {
        let first = |seen, resumed| Pulse::new(Offset(11)).beat(Offset(11), seen, resumed);
        let all = entries(1..=15);
        assert_eq!(missing(first(seen([], None), false), &all), [], "it may be here for the first time");
        assert_eq!(missing(first(seen([2, 4], None), false), &all), [(3, 3), (5, 10)]);
        assert_eq!(missing(first(seen([2, 4], None), true), &all), [(1, 1), (3, 3), (5, 10)]);
        assert_eq!(missing(first(seen(1..=10, None), true), &all), []);
    }

    #[test]
    fn beat_goes_on_behind_what_was_trimmed() {
        let beat = |step| Beat { step, ..second(1, 11, seen([], None)) };
        let fetch = |first| {
            let mut beat = beat(Step::Fetch([(3, 4), (6, 9)].map(|(a, b)| (Offset(a), Offset(b))).into()));
            beat.go_on_at(Offset(first));
            let Step::Fetch(left) = beat.step else { panic!("it fetches") };
            left.into_iter().map(|(a, b)| (a.get(), b.get())).collect::<Vec<_>>()
        };
        assert_eq!(fetch(4), [(4, 4), (6, 9)]);
        assert_eq!(fetch(5), [(6, 9)]);
        assert_eq!(fetch(9), [(9, 9)]);
        assert_eq!(fetch(10), []);
        let mut beat = beat(Step::Read(Offset(2), Vec::new()));
        beat.go_on_at(Offset(7));
        assert!(matches!(beat.step, Step::Read(Offset(7), _)));
    }

    #[test]
    fn beat_is_about_the_last_minute_and_a_thousand_messages() {
        let mut old = entries(1..=10);
        old[..4].iter_mut().for_each(|entry| entry.time = Timestamp(NOW.millis() - WINDOW_MS - 1));
        assert_eq!(missing(second(1, 11, seen([], None)), &old), [(5, 10)]);
        assert_eq!(second(1, 5_001, seen([], None)).span(), (Offset(4_001), Offset(5_001)));
    }
}
