//! I2, one total order for all: an offset of a room names one message, with one epoch, to everybody who was ever
//! shown it: senders, subscribers, readers, replicas.

use std::collections::HashMap;

use super::Findings;
use crate::history::History;

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        let mut known = HashMap::new();
        for (seen, witness) in room.shown() {
            findings.look(1);
            let (first, by) = known.entry(seen.offset).or_insert((seen, witness));
            if *first != seen {
                findings.wrong(name, None, || {
                    format!(
                        "{} is {} in {} to {by}, and {} in {} to {witness}",
                        seen.offset, first.id, first.epoch, seen.id, seen.epoch
                    )
                });
            }
        }
        for pair in room.copies.windows(2) {
            findings.look(1);
            let [one, other] = pair else { continue };
            if one.next == other.next && one.hash != other.hash {
                findings
                    .wrong(name, None, || format!("the copies on {} and {} differ", one.node, other.node));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found, seen};
    use super::*;

    #[test]
    fn one_log_shown_to_all_is_fine() {
        assert_fine(&check(&Story::right().load()), 14);
    }

    #[test]
    fn subscriber_that_was_sent_another_message_is_found() {
        let mut story = Story::right();
        let sub = story.subscribe(1, 5);
        story.deliver(sub, &[(1, 2)]);
        assert_found(&check(&story.load()), "to subscriber");
    }

    #[test]
    fn acks_of_one_offset_for_two_messages_are_found() {
        let mut story = Story::right();
        let op = story.send(0, &[9]);
        story.ok(op, 1, &[4]);
        assert_found(&check(&story.load()), "to the ack of publish");
    }

    #[test]
    fn message_with_another_epoch_or_other_bytes_is_found() {
        let mut story = Story::right();
        let sub = story.subscribe(1, 5);
        let mut other = seen(1, 1);
        other.epoch = other.epoch.next();
        story.deliver_seen(sub, other);
        assert_found(&check(&story.load()), "in e2 to subscriber");
        let mut story = Story::right();
        let sub = story.subscribe(1, 5);
        story.deliver_seen(sub, crate::history::event::Seen { hash: 77, ..seen(1, 1) });
        assert_found(&check(&story.load()), "to subscriber");
    }

    #[test]
    fn copies_that_differ_are_found() {
        let story = Story::right().with_copies(&[(1, 5, "a"), (2, 5, "b"), (3, 5, "a")]);
        assert_found(&check(&story.load()), "the copies on n1 and n2 differ");
    }
}
