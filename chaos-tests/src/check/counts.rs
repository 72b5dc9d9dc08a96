//! What a run did, in numbers; gates name them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use roomkeeper_types::{ConsumerId, Offset};

use super::i25_credit::against_limit;
use crate::history::event::Change;
use crate::history::holds::Word;
use crate::history::{At, History, Outcome, ReadOutcome, Room, SubEvent};

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

/// Commits acked.
pub const COMMITS: &str = "commits";
/// Messages that were sent to a consumer again, as they had not been committed.
pub const REDELIVERED: &str = "redelivered";
/// Messages that were the last ones a consumer had given credit for.
pub const CREDIT_SPENT: &str = "credit_spent";
/// Holds confirmed.
pub const HOLDS_CONFIRMED: &str = "holds_confirmed";
/// Holds rolled back.
pub const HOLDS_ROLLED_BACK: &str = "holds_rolled_back";
/// Holds that ran out, as their sender was told.
pub const HOLDS_EXPIRED: &str = "holds_expired";
/// Held messages that subscribers were told of.
pub const HELD_TOLD: &str = "held_told";
/// Publishes stored on a condition.
pub const CONDITIONAL: &str = "conditional";
/// Publishes refused as their condition did not hold.
pub const CONFLICTS: &str = "conflicts";
/// Members that subscribers were told of when they came, and when they went.
pub const PRESENCE_JOINS: &str = "presence_joins";
/// See [`PRESENCE_JOINS`].
pub const PRESENCE_LEAVES: &str = "presence_leaves";
/// Things that guests asked for and were refused as not theirs.
pub const REFUSED_GUESTS: &str = "refused_guests";
/// Pushes of their own rooms that guests were sent.
pub const TOLD_GUESTS: &str = "told_guests";
/// Sockets that ended because their token had run out.
pub const TOKENS_RUN_OUT: &str = "tokens_run_out";
/// The close code of those.
const UNAUTHORIZED: u16 = 4_500;

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
                    if send.invoke.expect.is_some() {
                        add(CONDITIONAL, 1);
                    }
                }
                Outcome::Fail(_) if send.is_conflict() => add(CONFLICTS, 1),
                Outcome::Fail(_) => add(FAILS, messages),
                // Tries with little patience, made to end so.
                Outcome::Info(_) if send.invoke.expect.is_some() => {}
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
        of_features(room, &mut add);
    }
    for guest in &history.guests {
        let refused = guest.asked.iter().filter(|(_, asked)| asked.code.as_deref() == Some("forbidden"));
        add(REFUSED_GUESTS, refused.count());
        add(TOLD_GUESTS, guest.told.len());
        let ran_out = guest.end.as_ref().is_some_and(|(_, end)| end.code == Some(UNAUTHORIZED));
        add(TOKENS_RUN_OUT, usize::from(ran_out));
    }
    add(ELECTIONS, elections(history).len());
    add(FAULTS, history.faults.len());
    for fault in &history.faults {
        add(&of_nemesis(&fault.begin.nemesis), 1);
    }
    add(FAULTS_UNDER_LOAD, begun.len() - idle_faults(history).len());
    counts
}

/// Of cursors, holds and presence. Nothing is counted where a run had none.
fn of_features(room: &Room, add: &mut impl FnMut(&str, usize)) {
    if !room.commits.is_empty() {
        add(COMMITS, room.commits.iter().filter(|commit| commit.asked.done().is_some()).count());
    }
    let mut covered: HashMap<&ConsumerId, Offset> = HashMap::new();
    for sub in &room.subs {
        if let Some(following) = &sub.following {
            let before = covered.entry(&following.consumer).or_default();
            add(REDELIVERED, sub.items().filter(|(_, item)| item.offset <= *before).count());
            *before = sub.items().fold(*before, |before, (_, item)| before.max(item.offset));
            add(CREDIT_SPENT, against_limit(room, sub).filter(|(_, offset, limit)| offset == limit).count());
        }
        for (_, event) in &sub.events {
            match event {
                SubEvent::Held(messages) => add(HELD_TOLD, messages.len()),
                SubEvent::Company(company) => {
                    add(PRESENCE_JOINS, company.joined.len());
                    add(PRESENCE_LEAVES, company.left.len());
                }
                _ => {}
            }
        }
    }
    for hold in &room.holds {
        let rolled_back = hold.said(Word::Rollback).any(|asked| asked.done().is_some());
        add(HOLDS_CONFIRMED, usize::from(hold.confirmed().is_some()));
        add(HOLDS_ROLLED_BACK, usize::from(rolled_back));
        let gone = hold.said(Word::Confirm).any(|asked| asked.refused("gone").is_some());
        add(HOLDS_EXPIRED, usize::from(gone && hold.said(Word::Rollback).next().is_none()));
    }
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
    fn counts_of_cursors_holds_presence_and_guests() {
        let mut story = Story::right();
        for _ in 0..2 {
            let sub = story.follow(0, 2);
            story.deliver(sub, &[(1, 1), (2, 2)]);
        }
        let sub = story.follow(0, 2);
        let op = story.commit(sub, 1);
        story.committed(op, 1);
        let holds = [story.hold(&[10], 1), story.hold(&[11], 1_000), story.hold(&[12], 1_000)];
        let op = story.settle(holds[0], Word::Confirm);
        story.refused(op, "gone");
        let op = story.settle(holds[1], Word::Rollback);
        story.settled(op, &[]);
        let op = story.settle(holds[2], Word::Confirm);
        story.settled(op, &[5]);
        let sub = story.subscribe_to_holds(1, 5);
        story.told_held(sub, &[11, 12]);
        story.enter("ann/a", None);
        story.company(sub, "ann/a", "", "ann/a");
        let op = story.send_expecting(0, 5, &[20]);
        story.conflict(op);
        let op = story.send_expecting(0, 6, &[21]);
        story.ok(op, 1, &[6]);
        let guest = story.guest(10);
        story.guest_asked(guest, "elsewhere", "join", Some("forbidden"));
        story.guest_told(guest, "general");
        story.guest_closed(guest, Some(UNAUTHORIZED));
        let counts = counts(&story.load());
        for (name, expected) in [
            (COMMITS, 1),
            (REDELIVERED, 2),
            (CREDIT_SPENT, 2),
            (HOLDS_CONFIRMED, 1),
            (HOLDS_ROLLED_BACK, 1),
            (HOLDS_EXPIRED, 1),
            (HELD_TOLD, 2),
            (PRESENCE_JOINS, 1),
            (PRESENCE_LEAVES, 0),
            (CONDITIONAL, 1),
            (CONFLICTS, 1),
            (FAILS, 0),
            (REFUSED_GUESTS, 1),
            (TOLD_GUESTS, 1),
            (TOKENS_RUN_OUT, 1),
        ] {
            assert_eq!(counts.get(name), Some(&expected), "{name}");
        }
    }

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
