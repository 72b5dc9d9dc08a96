//! What happened when: acks and latencies per bucket of time, times without acks, ownership.

use std::collections::BTreeMap;

use roomkeeper_types::{Epoch, RoomName, ShardId};
use serde::Serialize;

use crate::history::event::Change;
use crate::history::{At, Fault, History, Outcome, Phase};

/// About so many buckets, none narrower than this.
const BUCKETS: u64 = 300;
const BUCKET_US_MIN: u64 = 100_000;
/// A time without an ack of a room is shown from this on.
const GAP_US_MIN: u64 = 200_000;
/// Nemeses that stop the process: what it owned it owns no more, though it could not say so.
const STOPS: &[&str] = &["kill", "power_cut", "wipe", "corrupt", "old_copy", "lost_quorum"];

/// What clients got in a stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Bucket {
    /// Publishes acked.
    pub(super) acks: u64,
    /// Publishes that ended unknown.
    pub(super) infos: u64,
    /// Publishes that were refused.
    pub(super) fails: u64,
    /// From publish to ack, microseconds: median, 90 %, 99 %, longest; `None` without acks.
    pub(super) latency: Option<[u64; 4]>,
}

/// A time without an ack of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Gap {
    pub(super) room: RoomName,
    pub(super) from: At,
    pub(super) to: At,
}

/// A node owned a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Span {
    pub(super) from: At,
    pub(super) to: At,
    pub(super) node: usize,
    pub(super) epoch: Epoch,
}

/// Where the page ends: when the last publish and the last fault were over. What comes then is reading back.
pub(super) fn end(history: &History) -> At {
    let sends = history.rooms.values().flat_map(|room| &room.sends).filter_map(|send| send.ended);
    let faults = history.faults.iter().filter_map(|fault| fault.ended);
    let drain = history.phase(Phase::Drain);
    let last = sends.chain(faults).chain(drain).max();
    last.map_or(history.end, |last| history.end.min(At(last.0 + BUCKET_US_MIN)))
}

/// The width of a bucket, and all of them. Only first tries count: a retry's time says little.
pub(super) fn buckets(history: &History) -> (u64, Vec<Bucket>) {
    let end = end(history);
    let width = (end.0 / BUCKETS).max(BUCKET_US_MIN);
    let index = |at: At| usize::try_from(at.0 / width).unwrap_or(usize::MAX);
    let mut buckets = vec![Bucket::default(); index(end) + 1];
    let mut latencies = vec![Vec::new(); buckets.len()];
    for send in history.rooms.values().flat_map(|room| &room.sends) {
        let Some(ended) = send.ended.filter(|_| send.invoke.attempt == 1) else { continue };
        let bucket = &mut buckets[index(ended)];
        match send.outcome {
            Outcome::Ok { .. } => {
                bucket.acks += 1;
                latencies[index(ended)].push(ended.0.saturating_sub(send.invoked.0));
            }
            // A condition that does not hold, or had little patience, is no trouble.
            Outcome::Fail(_) | Outcome::Info(_) if send.invoke.expect.is_some() => {}
            Outcome::Fail(_) => bucket.fails += 1,
            Outcome::Info(_) | Outcome::Open => bucket.infos += 1,
        }
    }
    for (bucket, mut times) in buckets.iter_mut().zip(latencies) {
        times.sort_unstable();
        bucket.latency = percentiles(&times);
    }
    (width, buckets)
}

fn percentiles(sorted: &[u64]) -> Option<[u64; 4]> {
    let last = sorted.len().checked_sub(1)?;
    Some([50, 90, 99, 100].map(|percent| sorted[last * percent / 100]))
}

/// Times without an ack while the load went on.
pub(super) fn gaps(history: &History) -> Vec<Gap> {
    let drain = history.phase(Phase::Drain).unwrap_or(history.end);
    let mut gaps = Vec::new();
    for name in history.rooms.keys() {
        let times = history.ack_times(Some(name));
        for pair in times.windows(2).filter(|pair| pair[0] < drain) {
            if pair[1].0 - pair[0].0 >= GAP_US_MIN {
                gaps.push(Gap { room: name.clone(), from: pair[0], to: pair[1] });
            }
        }
    }
    gaps
}

/// Who owned each shard when. Ownership ends when its node says so, when another one has it, or when the node is
/// stopped from outside.
pub(super) fn ownership(history: &History) -> BTreeMap<ShardId, Vec<Span>> {
    enum Turn<'h> {
        Own(&'h crate::history::Own),
        Stop(&'h Fault),
    }
    let owns = history.owns.iter().map(|own| (own.at, Turn::Own(own)));
    let stops = history.faults.iter().filter(|fault| STOPS.contains(&fault.begin.nemesis.as_str()));
    let mut changes: Vec<_> = owns.chain(stops.map(|fault| (fault.begun, Turn::Stop(fault)))).collect();
    changes.sort_by_key(|(at, _)| *at);
    let mut spans: BTreeMap<ShardId, Vec<Span>> = BTreeMap::new();
    // Per shard whether the last span is still open.
    let mut open: BTreeMap<ShardId, bool> = BTreeMap::new();
    for (at, change) in changes {
        match change {
            Turn::Own(own) => {
                let row = spans.entry(own.shard).or_default();
                let is_open = open.entry(own.shard).or_default();
                let last = row.last_mut().filter(|_| *is_open);
                match own.change {
                    Change::Gain => {
                        if let Some(last) = last {
                            last.to = at;
                        }
                        row.push(Span { from: at, to: end(history), node: own.node, epoch: own.epoch });
                        *is_open = true;
                    }
                    Change::Lose => {
                        if let Some(last) =
                            last.filter(|last| last.node == own.node && last.epoch == own.epoch)
                        {
                            last.to = at;
                            *is_open = false;
                        }
                    }
                }
            }
            Turn::Stop(fault) => {
                for (shard, row) in &mut spans {
                    let is_open = open.entry(*shard).or_default();
                    let last =
                        row.last_mut().filter(|last| *is_open && fault.begin.nodes.contains(&last.node));
                    if let Some(last) = last {
                        last.to = at;
                        *is_open = false;
                    }
                }
            }
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::sample::Story;

    #[test]
    fn buckets_hold_acks_and_percentiles_of_first_tries() {
        let mut story = Story::right();
        let again = story.send_again(0, 2, &[1]);
        story.duplicate(again, 1, &[1]);
        let (width, buckets) = buckets(&story.load());
        assert_eq!(width, BUCKET_US_MIN);
        assert_eq!((buckets[0].acks, buckets[0].infos, buckets[0].fails), (3, 0, 0));
        assert_eq!(buckets[0].latency, Some([1_000; 4]));
        assert_eq!(percentiles(&[]), None);
        assert_eq!(percentiles(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), Some([5, 9, 9, 10]));
    }

    #[test]
    fn ownership_ends_by_word_by_successor_and_by_a_kill() {
        let mut story = Story::empty();
        story.own(1, 1, 0, Change::Gain);
        story.own(1, 1, 0, Change::Lose);
        story.own(1, 2, 1, Change::Gain);
        story.own(1, 3, 2, Change::Gain);
        story.fault("kill", &[2]);
        story.own(1, 4, 0, Change::Gain);
        let history = story.load();
        let shown: Vec<_> = ownership(&history)[&ShardId(1)]
            .iter()
            .map(|span| (span.from.0 / 1_000, span.to.0 / 1_000, span.node))
            .collect();
        assert_eq!(shown, [(1, 2, 0), (3, 4, 1), (4, 5, 2), (7, end(&history).0 / 1_000, 0)]);
    }

    #[test]
    fn long_time_without_an_ack_is_a_gap_of_its_room() {
        let mut story = Story::right();
        story.wait(std::time::Duration::from_millis(500));
        let op = story.send(0, &[9]);
        story.ok(op, 2, &[5]);
        let gaps = gaps(&story.load());
        assert_eq!(gaps.len(), 1);
        assert!((gaps[0].to.0 - gaps[0].from.0) / 1_000 > 500);
    }
}
