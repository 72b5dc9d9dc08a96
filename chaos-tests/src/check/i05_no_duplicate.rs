//! I5, no duplicate per client UUID: a message has one offset, however often it is published and through
//! whichever node; a retry of what was acked is acked again, as a duplicate.

use std::collections::HashMap;

use super::Findings;
use crate::history::{History, Outcome, Room};

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        let mut places = HashMap::new();
        for (seen, witness) in room.shown() {
            let (offset, by) = *places.entry(seen.id).or_insert((seen.offset, witness));
            if offset != seen.offset {
                findings.wrong(name, None, || {
                    format!("{} is at {offset} to {by} and at {} to {witness}", seen.id, seen.offset)
                });
            }
        }
        for (retry, first_acked) in retries(room) {
            findings.look(1);
            let op = retry.invoke.op;
            match &retry.outcome {
                Outcome::Fail(why) => findings.wrong(name, retry.ended, || {
                    format!("publish {op} tries again what was acked at {first_acked}, and is refused: {why}")
                }),
                Outcome::Ok { duplicates, .. } if duplicates.contains(&false) => {
                    findings.wrong(name, retry.ended, || {
                        format!("publish {op} tries again what was acked at {first_acked}, and is new")
                    });
                }
                _ => {}
            }
        }
    }
    findings
}

/// Publishes that began when an ack of the same messages was there, and when that was.
fn retries(room: &Room) -> impl Iterator<Item = (&crate::history::Send, crate::history::At)> {
    let mut acked = HashMap::new();
    for send in &room.sends {
        if let (Some((at, ..)), Some(first)) = (send.acked(), send.invoke.messages.first()) {
            let known = acked.entry(first.id).or_insert(at);
            *known = at.min(*known);
        }
    }
    room.sends.iter().filter_map(move |send| {
        let at = *acked.get(&send.invoke.messages.first()?.id)?;
        (at < send.invoked).then_some((send, at))
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    #[test]
    fn retry_acked_as_a_duplicate_at_the_same_offset_is_fine() {
        let mut story = Story::right();
        let again = story.send_again(0, 2, &[2, 3]);
        story.duplicate(again, 1, &[2, 3]);
        assert_fine(&check(&story.load()), 1);
    }

    #[test]
    fn message_twice_in_the_log_is_found() {
        let story = Story::right().with_log(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 1)]);
        assert_found(&check(&story.load()), "is at o1 to the final log and at o5");
    }

    #[test]
    fn retry_acked_elsewhere_or_as_new_or_refused_is_found() {
        let mut elsewhere = Story::right();
        let again = elsewhere.send_again(0, 2, &[1]);
        elsewhere.duplicate(again, 1, &[9]);
        assert_found(&check(&elsewhere.load()), "and at o9 to the ack");
        let mut new = Story::right();
        let again = new.send_again(0, 2, &[1]);
        new.ok(again, 1, &[1]);
        assert_found(&check(&new.load()), "and is new");
        let mut refused = Story::right();
        let again = refused.send_again(0, 2, &[1]);
        refused.fail(again);
        assert_found(&check(&refused.load()), "and is refused: no");
    }
}
