//! I9, FIFO per sender: what one connection publishes stands in the order in which it was published.

use std::collections::HashMap;

use super::Findings;
use crate::history::History;

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        let stored = room.stored();
        // What is tried again through another node may come behind what followed it.
        let tries = room.sends_by_id();
        let mut heads = HashMap::new();
        for send in room.sends.iter().filter(|send| send.invoke.attempt == 1) {
            let messages = &send.invoke.messages;
            let again = |id| tries.get(id).is_some_and(|tries| tries.len() > 1);
            if send.acked().is_none() && messages.iter().any(|content| again(&content.id)) {
                continue;
            }
            let offsets = messages.iter().filter_map(|content| stored.get(&content.id).copied());
            let (Some(first), Some(last)) = (offsets.clone().min(), offsets.max()) else { continue };
            findings.look(1);
            let head = heads.entry(send.invoke.writer).or_insert((last, send.invoke.op));
            if head.1 != send.invoke.op && first <= head.0 {
                findings.wrong(name, Some(send.invoked), || {
                    let (op, writer) = (send.invoke.op, send.invoke.writer);
                    format!("writer {writer} sent {op} at {first} after {} at {}", head.1, head.0)
                });
            }
            *head = (last, send.invoke.op);
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    #[test]
    fn publishes_of_a_writer_in_their_order_are_fine() {
        assert_fine(&check(&Story::right().load()), 3);
    }

    #[test]
    fn writer_overtaken_by_itself_is_found_also_without_acks() {
        let mut story = Story::empty().with_log(&[(1, 2), (2, 1)]);
        let (one, two) = (story.send(0, &[1]), story.send(0, &[2]));
        story.info(one);
        story.info(two);
        assert_found(&check(&story.load()), "at o1 after #1 at o2");
    }

    #[test]
    fn two_writers_and_a_retry_after_an_unknown_end_may_stand_in_any_order() {
        let mut story = Story::empty().with_log(&[(1, 2), (2, 3), (3, 1)]);
        let (one, two, other) = (story.send(0, &[1]), story.send(0, &[2]), story.send(1, &[3]));
        story.info(one);
        story.ok(two, 1, &[1]);
        story.ok(other, 1, &[2]);
        let again = story.send_again(0, 2, &[1]);
        story.ok(again, 1, &[3]);
        assert_fine(&check(&story.load()), 2);
    }
}
