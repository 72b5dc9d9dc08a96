//! I8, linearizable append: if a publish was acked before another one of the same room began, its offsets are
//! the smaller ones. One clock stamps both, so that "before" is certain.

use super::Findings;
use super::acked_before::AckedBefore;
use crate::history::History;

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        let mut before = AckedBefore::new(room);
        // In the order in which they began. A retry may have been stored by an earlier try.
        for send in room.sends.iter().filter(|send| send.invoke.attempt == 1) {
            let Some((at, _, offsets)) = send.acked() else { continue };
            let Some(first) = offsets.iter().min() else { continue };
            findings.look(1);
            if let Some(highest) = before.highest_offset(send.invoked).filter(|highest| first <= highest) {
                findings.wrong(name, Some(at), || {
                    format!(
                        "publish {} was acked at {first}, and began after an ack at {highest}",
                        send.invoke.op
                    )
                });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    #[test]
    fn appends_in_the_order_of_their_acks_are_fine() {
        assert_fine(&check(&Story::right().load()), 3);
    }

    #[test]
    fn concurrent_appends_may_stand_in_either_order() {
        let mut story = Story::empty();
        let (one, two) = (story.send(0, &[1]), story.send(1, &[2]));
        story.ok(one, 1, &[2]);
        story.ok(two, 1, &[1]);
        assert_fine(&check(&story.load()), 2);
    }

    #[test]
    fn append_before_what_was_acked_before_it_began_is_found() {
        let mut story = Story::empty();
        let one = story.send(0, &[1]);
        story.ok(one, 1, &[5]);
        let two = story.send(1, &[2]);
        story.ok(two, 1, &[4]);
        assert_found(&check(&story.load()), "was acked at o4, and began after an ack at o5");
    }
}
