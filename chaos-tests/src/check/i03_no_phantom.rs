//! I3, no phantom: whatever anybody was shown in a room, somebody had published it there.

use std::collections::HashSet;

use super::Findings;
use crate::history::History;

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        let held = room.holds.iter().flat_map(|hold| &hold.messages);
        let messages = room.sends.iter().flat_map(|send| &send.invoke.messages).chain(held);
        let published: HashSet<_> = messages.map(|content| content.id).collect();
        for (seen, witness) in room.shown() {
            findings.look(1);
            if !published.contains(&seen.id) {
                findings.wrong(name, None, || {
                    format!("{} at {} was never published, and was shown to {witness}", seen.id, seen.offset)
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
    fn what_was_published_is_fine() {
        assert_fine(&check(&Story::right().load()), 12);
    }

    #[test]
    fn message_that_nobody_published_is_found() {
        let story = Story::right().with_log(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 77)]);
        assert_found(&check(&story.load()), "was never published, and was shown to the final log");
    }

    #[test]
    fn message_of_another_room_is_found() {
        let mut story = Story::right();
        let op = story.send_to("elsewhere", 0, &[8]);
        story.ok(op, 1, &[1]);
        let sub = story.subscribe(1, 5);
        story.deliver(sub, &[(5, 8)]);
        assert_found(&check(&story.load()), "was never published");
    }
}
