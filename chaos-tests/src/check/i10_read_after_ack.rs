//! I10, read after ack: an owner that is asked after an ack of an offset shows a log that goes beyond it, to
//! readers and to those who join.

use super::Findings;
use super::acked_before::AckedBefore;
use crate::history::{At, History, ReadOutcome, Room};

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        let mut before = AckedBefore::new(room);
        for (asked, next, who) in answers(room) {
            findings.look(1);
            if let Some(acked) = before.highest_offset(asked).filter(|acked| next <= *acked) {
                findings.wrong(name, Some(asked), || {
                    format!("{who} asked after {acked} was acked and was shown a log that ends before {next}")
                });
            }
        }
    }
    findings
}

/// When an owner was asked, where its log ended by its answer, and who asked; in the order of the questions.
fn answers(room: &Room) -> Vec<(At, roomkeeper_types::Offset, String)> {
    let reads = room.reads.iter().filter_map(|read| match &read.outcome {
        ReadOutcome::Ok { next, .. } => Some((read.invoked, *next, format!("read {}", read.op))),
        _ => None,
    });
    let joins = room
        .subs
        .iter()
        .filter_map(|sub| Some((sub.asked?, sub.place.head, format!("subscriber {}", sub.sub))));
    let mut answers: Vec<_> = reads.chain(joins).collect();
    answers.sort_by_key(|(asked, ..)| *asked);
    answers
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    #[test]
    fn read_that_shows_what_was_acked_is_fine() {
        assert_fine(&check(&Story::right().load()), 2);
    }

    #[test]
    fn read_that_began_before_the_ack_may_miss_it() {
        let mut story = Story::empty();
        let (op, read) = (story.send(0, &[1]), story.read());
        story.ok(op, 1, &[1]);
        story.read_ok(read, 1, 1);
        assert_fine(&check(&story.load()), 1);
    }

    #[test]
    fn stale_read_and_stale_join_are_found() {
        let mut story = Story::right();
        let read = story.read();
        story.read_ok(read, 1, 4);
        assert_found(
            &check(&story.load()),
            "asked after o4 was acked and was shown a log that ends before o4",
        );
        let mut story = Story::right();
        story.subscribe(1, 3);
        assert_found(&check(&story.load()), "was shown a log that ends before o3");
    }
}
