//! I26, a hold is what its sender made of it. Confirmed it stands in the log where the answer says, and is confirmed by
//! every later answer too; never confirmed it is shown to nobody as a message; it is dropped when its sender says so or
//! its time is over, not before, and not confirmed after. Who asked for open holds knows in the end which are open;
//! who did not is told of none. A try that ended unknown may have been carried out or not.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use roomkeeper_types::{MessageId, RoomName};

use super::Findings;
use crate::history::event::Content;
use crate::history::holds::{Hold, Word};
use crate::history::{Answer, Asked, At, Ending, History, Room, Sub, SubEvent};

/// What clocks may be apart: a hold runs out by a node's wall clock.
const SLACK: Duration = Duration::from_millis(100);

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        if room.holds.is_empty() && room.subs.iter().all(|sub| !sub.sees_holds) {
            continue;
        }
        let stored = room.stored();
        let shown: HashSet<MessageId> = room.shown().map(|(seen, _)| seen.id).collect();
        let by_id: HashMap<MessageId, (&Hold, &Content)> = room
            .holds
            .iter()
            .flat_map(|hold| hold.messages.iter().map(move |content| (content.id, (hold, content))))
            .collect();
        for hold in &room.holds {
            findings.look(1);
            look_at_place(&mut findings, name, room, hold, &stored);
            look_at_words(&mut findings, name, hold);
            let may_be_there = hold.said(Word::Confirm).any(|asked| asked.may_be_done());
            if !may_be_there && hold.messages.iter().any(|content| shown.contains(&content.id)) {
                findings.wrong(name, None, || {
                    format!("hold {} was never confirmed, and shown as messages", hold.hold)
                });
            }
        }
        for sub in &room.subs {
            look_at_reader(&mut findings, name, sub, &by_id);
        }
    }
    findings
}

/// Confirmed, it stands where the answers say, which all say the same.
fn look_at_place(
    findings: &mut Findings,
    name: &RoomName,
    room: &Room,
    hold: &Hold,
    stored: &std::collections::BTreeMap<MessageId, roomkeeper_types::Offset>,
) {
    let Some((at, offsets)) = hold.confirmed() else { return };
    let id = hold.hold;
    if offsets.len() != hold.messages.len() {
        findings.wrong(name, Some(at), || {
            format!(
                "hold {id} of {} messages was confirmed at {} offsets",
                hold.messages.len(),
                offsets.len()
            )
        });
    }
    if hold.said(Word::Confirm).filter_map(|asked| asked.done()).any(|(_, other)| other != offsets) {
        findings.wrong(name, Some(at), || format!("hold {id} was confirmed at different offsets"));
    }
    if hold.dropped().is_some() {
        findings.wrong(name, Some(at), || format!("hold {id} was confirmed, and dropped"));
    }
    let Some(log) = &room.log else { return };
    for (content, offset) in hold.messages.iter().zip(offsets) {
        match stored.get(&content.id) {
            Some(stands) if stands == offset => {}
            None if *offset < log.first => {}
            Some(stands) => findings.wrong(name, Some(at), || {
                format!("hold {id} was confirmed at {offset} and stands at {stands}")
            }),
            None => {
                findings.wrong(name, Some(at), || format!("hold {id} was confirmed at {offset} and is lost"))
            }
        }
    }
}

/// What was answered to its sender fits together, and its time.
fn look_at_words(findings: &mut Findings, name: &RoomName, hold: &Hold) {
    let id = hold.hold;
    for (word, asked) in &hold.words {
        let Some(ended) = asked.ended else { continue };
        let earlier = |wanted| hold.said(wanted).any(|other| other.may_be_done() && other.invoked < ended);
        let wrong = match (&asked.answer, word) {
            (Answer::Fail { code, .. }, Word::Confirm) if code == "gone" => {
                let is_right = earlier(Word::Rollback) || is_over(hold, ended);
                (!is_right).then(|| format!("hold {id} of {} ms is gone before its time is over", hold.ms))
            }
            (Answer::Fail { code, .. }, Word::Rollback) if code == "too_late" => (!earlier(Word::Confirm))
                .then(|| format!("it is too late to drop hold {id}, which nobody confirmed")),
            (Answer::Fail { code, why }, _) => {
                // One whose placing ended unknown may be known to nobody.
                let was_taken = hold.taken().is_some_and(|taken| taken < asked.invoked);
                (was_taken || code != "not_found")
                    .then(|| format!("{word:?} of hold {id} was answered with {code}: {why}"))
            }
            (Answer::Ok(_), Word::Confirm) => {
                // An earlier try may have come in time.
                let in_time = |asked: &Asked<_>| {
                    hold.expires().is_none_or(|expires| asked.invoked <= expires.after(SLACK))
                };
                let may_be = |other: &Asked<_>| other.may_be_done() && other.invoked <= asked.invoked;
                let is_right = hold.said(Word::Confirm).any(|other| may_be(other) && in_time(other));
                (!is_right)
                    .then(|| format!("hold {id} of {} ms was confirmed after its time was over", hold.ms))
            }
            _ => None,
        };
        if let Some(what) = wrong {
            findings.wrong(name, Some(ended), || what);
        }
    }
}

/// Whether its time may be over then: it began after it was first asked for.
fn is_over(hold: &Hold, at: At) -> bool {
    let begun = hold.placed.first().map_or(At(0), |placed| placed.invoked);
    at.after(SLACK) >= begun.after(Duration::from_millis(hold.ms))
}

fn look_at_reader(
    findings: &mut Findings,
    name: &RoomName,
    sub: &Sub,
    by_id: &HashMap<MessageId, (&Hold, &Content)>,
) {
    let mut open: BTreeSet<MessageId> = BTreeSet::new();
    for (at, event) in &sub.events {
        match event {
            SubEvent::Held(messages) => {
                findings.look(messages.len());
                for content in messages {
                    let known = by_id.get(&content.id).is_some_and(|(_, held)| **held == *content);
                    if !sub.sees_holds || !known {
                        findings.wrong(name, Some(*at), || {
                            let why = if known { "did not ask for holds" } else { "nobody held that" };
                            format!("subscriber {} was told that {} is held: {why}", sub.sub, content.id)
                        });
                    }
                    open.insert(content.id);
                }
            }
            SubEvent::RolledBack(ids) => {
                findings.look(ids.len());
                for id in ids {
                    open.remove(id);
                    let is_right = sub.sees_holds
                        && by_id.get(id).is_some_and(|(hold, _)| {
                            let mut words = hold.said(Word::Rollback);
                            let was_said = words.any(|asked| asked.may_be_done() && asked.invoked < *at);
                            hold.confirmed().is_none() && (was_said || is_over(hold, *at))
                        });
                    if !is_right {
                        findings.wrong(name, Some(*at), || {
                            format!("subscriber {} was told that {id} was dropped, and it was not", sub.sub)
                        });
                    }
                }
            }
            SubEvent::Items(items) => open.retain(|id| items.iter().all(|item| item.id != *id)),
            // What is still open is told again.
            SubEvent::Resumed(_) => open.clear(),
            _ => {}
        }
    }
    let Ending::Left(left) = sub.end else { return };
    if sub.sees_holds {
        look_at_end(findings, name, (sub, left), &open, by_id);
    }
}

/// Who left in peace knew what was open.
fn look_at_end(
    findings: &mut Findings,
    name: &RoomName,
    (sub, left): (&Sub, At),
    open: &BTreeSet<MessageId>,
    by_id: &HashMap<MessageId, (&Hold, &Content)>,
) {
    for (id, (hold, _)) in by_id {
        let is_settled = hold.confirmed().map(|(at, _)| at).or_else(|| hold.dropped());
        let is_open = is_settled.is_none()
            && hold.words.is_empty()
            && hold.taken().is_some_and(|taken| taken < left)
            && !is_over(hold, left.after(SLACK));
        if is_open && !open.contains(id) {
            findings.wrong(name, Some(left), || {
                format!("subscriber {} left without a word of hold {}, which is open", sub.sub, hold.hold)
            });
        }
        if is_settled.is_some_and(|at| at < left) && open.contains(id) {
            findings.wrong(name, Some(left), || {
                format!("subscriber {} left without a word of the end of hold {}", sub.sub, hold.hold)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    const LONG: u64 = 60_000;

    fn with_5() -> Story {
        Story::right().with_log(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 9)])
    }

    #[test]
    fn holds_confirmed_dropped_expired_and_open_are_fine() {
        let mut story = with_5();
        let sub = story.subscribe_to_holds(1, 5);
        let (kept, dropped) = (story.hold(&[9], LONG), story.hold(&[10], LONG));
        let (over, _open) = (story.hold(&[11], 50), story.hold(&[12], LONG));
        story.told_held(sub, &[9, 10, 11, 12]);
        for _ in 0..2 {
            let op = story.settle(kept, Word::Confirm);
            story.settled(op, &[5]);
        }
        let op = story.settle(kept, Word::Rollback);
        story.refused(op, "too_late");
        let op = story.settle(dropped, Word::Rollback);
        story.settled(op, &[]);
        story.wait(Duration::from_millis(100));
        let op = story.settle(over, Word::Confirm);
        story.refused(op, "gone");
        story.deliver(sub, &[(5, 9)]);
        story.told_rolled_back(sub, &[10, 11]);
        story.leave(sub);
        assert_fine(&check(&story.load()), 10);
    }

    #[test]
    fn word_that_ended_unknown_may_count_or_not() {
        for log in [&[(1, 1), (2, 2), (3, 3), (4, 4)][..], &[(1, 1), (2, 2), (3, 3), (4, 4), (5, 9)]] {
            let mut story = Story::right().with_log(log);
            let hold = story.hold(&[9], LONG);
            let op = story.settle(hold, Word::Confirm);
            story.unknown(op);
            assert_fine(&check(&story.load()), 1);
        }
    }

    #[test]
    fn confirmed_hold_that_is_lost_elsewhere_or_dropped_too_is_found() {
        let confirmed = |mut story: Story| {
            let hold = story.hold(&[9], LONG);
            let op = story.settle(hold, Word::Confirm);
            story.settled(op, &[5]);
            (story, hold)
        };
        assert_found(&check(&confirmed(Story::right()).0.load()), "was confirmed at o5 and is lost");
        let elsewhere = Story::right().with_log(&[(1, 1), (2, 2), (3, 3), (4, 9), (5, 4)]);
        assert_found(&check(&confirmed(elsewhere).0.load()), "was confirmed at o5 and stands at o4");
        let (mut both, hold) = confirmed(with_5());
        let op = both.settle(hold, Word::Rollback);
        both.settled(op, &[]);
        assert_found(&check(&both.load()), "was confirmed, and dropped");
        let (mut twice, hold) = confirmed(with_5());
        let op = twice.settle(hold, Word::Confirm);
        twice.settled(op, &[6]);
        assert_found(&check(&twice.load()), "was confirmed at different offsets");
    }

    #[test]
    fn hold_shown_without_a_confirmation_is_found() {
        let mut story = with_5();
        let hold = story.hold(&[9], LONG);
        let op = story.settle(hold, Word::Confirm);
        story.refused(op, "gone");
        assert_found(&check(&story.load()), "was never confirmed, and shown as messages");
    }

    #[test]
    fn hold_that_ends_before_its_time_or_lives_beyond_it_is_found() {
        let mut early = Story::right();
        let hold = early.hold(&[9], LONG);
        let op = early.settle(hold, Word::Confirm);
        early.refused(op, "gone");
        assert_found(&check(&early.load()), "is gone before its time is over");
        let mut lost = Story::right();
        let hold = lost.hold(&[9], LONG);
        let op = lost.settle(hold, Word::Confirm);
        lost.refused(op, "not_found");
        assert_found(&check(&lost.load()), "was answered with not_found");
        let mut late = with_5();
        let hold = late.hold(&[9], 50);
        late.wait(Duration::from_secs(1));
        let op = late.settle(hold, Word::Confirm);
        late.settled(op, &[5]);
        assert_found(&check(&late.load()), "was confirmed after its time was over");
        let mut never = Story::right();
        let hold = never.hold(&[9], LONG);
        let op = never.settle(hold, Word::Rollback);
        never.refused(op, "too_late");
        assert_found(&check(&never.load()), "which nobody confirmed");
    }

    #[test]
    fn reader_told_wrongly_is_found() {
        let mut plain = Story::right();
        let sub = plain.subscribe(1, 5);
        plain.hold(&[9], LONG);
        plain.told_held(sub, &[9]);
        assert_found(&check(&plain.load()), "did not ask for holds");
        let mut phantom = Story::right();
        let sub = phantom.subscribe_to_holds(1, 5);
        phantom.told_held(sub, &[9]);
        assert_found(&check(&phantom.load()), "nobody held that");
        let mut dropped = Story::right();
        let sub = dropped.subscribe_to_holds(1, 5);
        dropped.hold(&[9], LONG);
        dropped.told_held(sub, &[9]);
        dropped.told_rolled_back(sub, &[9]);
        assert_found(&check(&dropped.load()), "was dropped, and it was not");
    }

    #[test]
    fn reader_that_does_not_know_what_is_open_is_found() {
        let mut untold = Story::right();
        let sub = untold.subscribe_to_holds(1, 5);
        untold.hold(&[9], LONG);
        untold.leave(sub);
        assert_found(&check(&untold.load()), "left without a word of hold");
        let mut again = Story::right();
        let sub = again.subscribe_to_holds(1, 5);
        again.hold(&[9], LONG);
        again.told_held(sub, &[9]);
        again.resume(sub, 1, 5);
        again.leave(sub);
        assert_found(&check(&again.load()), "left without a word of hold");
        let mut ended = Story::right();
        let sub = ended.subscribe_to_holds(1, 5);
        let hold = ended.hold(&[9], LONG);
        ended.told_held(sub, &[9]);
        let op = ended.settle(hold, Word::Rollback);
        ended.settled(op, &[]);
        ended.leave(sub);
        assert_found(&check(&ended.load()), "left without a word of the end of hold");
    }
}
