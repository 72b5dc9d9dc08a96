//! I7, monotonic delivery: offsets that a subscriber is sent strictly increase, also across reconnects, since it
//! comes back with the last offset it has.

use super::Findings;
use crate::history::History;

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        for sub in &room.subs {
            let mut last = None;
            for (at, item) in sub.items() {
                findings.look(1);
                if item.offset < sub.place.from {
                    findings.wrong(name, Some(at), || {
                        format!(
                            "subscriber {} began at {} and was sent {}",
                            sub.sub, sub.place.from, item.offset
                        )
                    });
                }
                if let Some(last) = last.filter(|last| item.offset <= *last) {
                    findings.wrong(name, Some(at), || {
                        format!("subscriber {} was sent {} after {last}", sub.sub, item.offset)
                    });
                }
                last = last.max(Some(item.offset));
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
    fn increasing_offsets_are_fine() {
        assert_fine(&check(&Story::right().load()), 4);
    }

    #[test]
    fn repeat_and_step_back_are_found() {
        for (second, words) in [((2, 2), "was sent o2 after o2"), ((1, 1), "was sent o1 after o2")] {
            let mut story = Story::right();
            let sub = story.subscribe(1, 5);
            story.deliver(sub, &[(1, 1), (2, 2)]);
            story.resume(sub, 3, 5);
            story.deliver(sub, &[second]);
            assert_found(&check(&story.load()), words);
        }
    }

    #[test]
    fn message_below_the_start_is_found() {
        let mut story = Story::right();
        let sub = story.subscribe(3, 5);
        story.deliver(sub, &[(2, 2)]);
        assert_found(&check(&story.load()), "began at o3 and was sent o2");
    }
}
