//! What a run did, in numbers; gates name them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::history::event::Change;
use crate::history::{At, History, Outcome, ReadOutcome};

/// Messages acked.
pub const ACKS: &str = "acks";
/// Messages whose outcome nobody knows.
pub const INFOS: &str = "infos";
/// Messages refused.
pub const FAILS: &str = "fails";
/// Messages whose retry, through whichever node, was answered as a duplicate.
pub const DEDUPED: &str = "deduped";
/// Messages delivered to subscribers.
pub const DELIVERIES: &str = "deliveries";
/// Times that a subscriber came back.
pub const RESUMES: &str = "resumes";
/// Reads answered.
pub const READS: &str = "reads";
/// Shards that got an owner in a new epoch after the first fault.
pub const ELECTIONS: &str = "elections";
/// Things done to the cluster.
pub const FAULTS: &str = "faults";
/// Of these, the ones with acks before and after.
pub const FAULTS_UNDER_LOAD: &str = "faults_under_load";
/// Publishes of several messages that were under way when a fault began.
pub const BULKS_IN_FLIGHT: &str = "bulks_in_flight";

/// The name of the count of one nemesis' faults.
#[must_use]
pub fn of_nemesis(nemesis: &str) -> String {
    format!("faults.{nemesis}")
}

/// All counts of a history, its own [`Event::Count`](crate::history::Event::Count)s too.
#[must_use]
pub fn counts(history: &History) -> BTreeMap<String, u64> {
    let mut counts = history.counted.clone();
    let names = [ACKS, INFOS, FAILS, DEDUPED, DELIVERIES, RESUMES, READS, ELECTIONS, FAULTS, BULKS_IN_FLIGHT];
    for name in names {
        counts.entry(name.to_owned()).or_default();
    }
    let mut add = |name: &str, more: usize| *counts.entry(name.to_owned()).or_default() += more as u64;
    let begun: Vec<At> = history.faults.iter().map(|fault| fault.begun).collect();
    for room in history.rooms.values() {
        for send in &room.sends {
            let messages = send.invoke.messages.len();
            match &send.outcome {
                Outcome::Ok { duplicates, .. } => {
                    add(DEDUPED, duplicates.iter().filter(|known| **known).count());
                    // An ack of what was acked before is no further message.
                    if send.invoke.attempt == 1 {
                        add(ACKS, messages);
                    }
                }
                Outcome::Fail(_) => add(FAILS, messages),
                Outcome::Info(_) | Outcome::Open => add(INFOS, messages),
            }
            let under_way = |fault: &At| send.invoked < *fault && send.ended.is_none_or(|end| end > *fault);
            if messages > 1 && begun.iter().any(under_way) {
                add(BULKS_IN_FLIGHT, 1);
            }
        }
        for sub in &room.subs {
            add(DELIVERIES, sub.items().count());
            add(RESUMES, sub.resumes().count());
        }
        let answered = |outcome: &ReadOutcome| matches!(outcome, ReadOutcome::Ok { .. });
        add(READS, room.reads.iter().filter(|read| answered(&read.outcome)).count());
    }
    add(ELECTIONS, elections(history).len());
    add(FAULTS, history.faults.len());
    for fault in &history.faults {
        add(&of_nemesis(&fault.begin.nemesis), 1);
    }
    add(FAULTS_UNDER_LOAD, begun.len() - idle_faults(history).len());
    counts
}

/// When shards got an owner in an epoch that they had none in before, after the first fault.
#[must_use]
pub fn elections(history: &History) -> Vec<At> {
    let Some(first) = history.faults.first().map(|fault| fault.begun) else { return Vec::new() };
    let mut known = BTreeSet::new();
    let gains = history.owns.iter().filter(|own| own.change == Change::Gain);
    let new: Vec<_> = gains.filter(|own| known.insert((own.shard, own.epoch))).collect();
    new.into_iter().filter(|own| own.at > first).map(|own| own.at).collect()
}

/// Faults that hit a cluster without load, or after which there was none: they show nothing.
#[must_use]
pub fn idle_faults(history: &History) -> Vec<&crate::history::Fault> {
    let acks = history.ack_times(None);
    let (first, last) = (acks.first(), acks.last());
    let idle =
        |begun: At| first.is_none_or(|first| *first >= begun) || last.is_none_or(|last| *last <= begun);
    history.faults.iter().filter(|fault| idle(fault.begun)).collect()
}

/// Publishes acked per second of the run, of all rooms.
#[must_use]
pub fn acks_per_second(history: &History) -> Vec<u64> {
    let mut seconds: HashMap<usize, u64> = HashMap::new();
    for at in history.ack_times(None) {
        *seconds.entry(usize::try_from(at.0 / 1_000_000).unwrap_or(usize::MAX)).or_default() += 1;
    }
    let len = usize::try_from(history.end.0 / 1_000_000).unwrap_or(0) + 1;
    (0..len).map(|second| seconds.get(&second).copied().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::Story;
    use super::*;

    #[test]
    fn counts_of_a_run_with_a_retry_a_bulk_in_flight_and_an_election() {
        let mut story = Story::right();
        story.own(3, 1, 0, Change::Gain);
        let bulk = story.send(0, &[5, 6]);
        story.fault("kill", &[0]);
        story.own(3, 2, 1, Change::Gain);
        story.own(3, 2, 1, Change::Gain);
        story.ok(bulk, 2, &[5, 6]);
        let again = story.send_again(0, 2, &[1]);
        story.duplicate(again, 1, &[1]);
        story.count("dropped_bytes", 5);
        story.count("dropped_bytes", 6);
        let counts = counts(&story.load());
        for (name, expected) in [
            (ACKS, 6),
            (DEDUPED, 1),
            (INFOS, 0),
            (DELIVERIES, 4),
            (READS, 1),
            (ELECTIONS, 1),
            (FAULTS_UNDER_LOAD, 1),
            (BULKS_IN_FLIGHT, 1),
            ("faults.kill", 1),
            ("dropped_bytes", 11),
        ] {
            assert_eq!(counts.get(name), Some(&expected), "{name}");
        }
    }
}
