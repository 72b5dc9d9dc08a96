//! I23, no late ghosts: what its sender was told is not there, and never will be, is shown to nobody, whatever became
//! of earlier tries that ended unknown: a publish whose condition did not hold, and a hold that was dropped. (That what
//! ended unknown appears once at most is I5.)

use std::collections::HashMap;

use super::Findings;
use crate::history::event::Content;
use crate::history::{At, History, Room};

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        let gone = gone(room);
        findings.look(gone.len());
        for (seen, witness) in room.shown() {
            if let Some((at, what)) = gone.get(&seen.id) {
                findings.wrong(name, Some(*at), || {
                    format!(
                        "{what} is not there by its sender's last answer, and {} was shown to {witness}",
                        seen.id
                    )
                });
            }
        }
    }
    findings
}

/// Messages whose sender was told that they are not there and cannot come any more.
fn gone(room: &Room) -> HashMap<roomkeeper_types::MessageId, (At, String)> {
    let mut gone = HashMap::new();
    let mut add = |messages: &[Content], at: At, what: String| {
        gone.extend(messages.iter().map(|content| (content.id, (at, what.clone()))));
    };
    // An offset that another message has is never free again. While a try is under way, its refusal says nothing of it.
    for send in room.sends.iter().filter(|send| send.is_conflict()) {
        if let Some(at) = send.ended {
            add(&send.invoke.messages, at, format!("publish {}", send.invoke.op));
        }
    }
    for hold in &room.holds {
        if let Some(at) = hold.dropped() {
            add(&hold.messages, at, format!("hold {}", hold.hold));
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;
    use crate::history::holds::Word;

    #[test]
    fn refused_and_dropped_messages_that_nobody_saw_are_fine() {
        let mut story = Story::right();
        let op = story.send_expecting(0, 3, &[8]);
        story.conflict(op);
        let hold = story.hold(&[9], 1_000);
        let op = story.settle(hold, Word::Rollback);
        story.settled(op, &[]);
        assert_fine(&check(&story.load()), 2);
    }

    #[test]
    fn publish_refused_after_a_try_that_ended_unknown_and_stored_is_found() {
        let mut story = Story::right().with_log(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 8)]);
        let op = story.send_expecting(0, 5, &[8]);
        story.info(op);
        let again = story.send_expecting(0, 5, &[8]);
        story.conflict(again);
        assert_found(&check(&story.load()), "was shown to the final log");
    }

    #[test]
    fn hold_rolled_back_or_gone_and_stored_is_found() {
        for (word, gone) in [(Word::Rollback, false), (Word::Confirm, true)] {
            let mut story = Story::right();
            let sub = story.subscribe(1, 5);
            let hold = story.hold(&[9], 1_000);
            let op = story.settle(hold, Word::Confirm);
            story.unknown(op);
            let op = story.settle(hold, word);
            if gone {
                story.refused(op, "gone")
            } else {
                story.settled(op, &[])
            }
            story.deliver(sub, &[(5, 9)]);
            assert_found(&check(&story.load()), "was shown to subscriber");
        }
    }
}
