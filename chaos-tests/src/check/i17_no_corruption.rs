//! I17, corruption is never served: wherever a message shows, its bytes are those that were published.

use std::collections::HashMap;

use super::Findings;
use crate::history::History;

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        let messages = room.sends.iter().flat_map(|send| &send.invoke.messages);
        let published: HashMap<_, _> = messages.map(|content| (content.id, content.hash)).collect();
        for (seen, witness) in room.shown() {
            findings.look(1);
            if published.get(&seen.id).is_some_and(|hash| *hash != seen.hash) {
                findings.wrong(name, None, || {
                    format!("{} at {} has other bytes to {witness} than were published", seen.id, seen.offset)
                });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found, seen};
    use super::*;
    use crate::history::event::Seen;

    #[test]
    fn bytes_as_published_are_fine() {
        assert_fine(&check(&Story::right().load()), 12);
    }

    #[test]
    fn other_bytes_in_the_log_or_to_a_subscriber_are_found() {
        let wrong = Seen { hash: 0, ..seen(1, 1) };
        let mut log = Story::right();
        log.set_log(vec![wrong]);
        assert_found(&check(&log.load()), "at o1 has other bytes to the final log");
        let mut story = Story::right();
        let sub = story.subscribe(1, 5);
        story.deliver_seen(sub, wrong);
        assert_found(&check(&story.load()), "at o1 has other bytes to subscriber");
    }
}
