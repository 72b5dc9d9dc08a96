//! I6, gap-free offsets: the log is dense from its first offset to its head; a subscriber is sent every offset
//! from its start to the head, also across reconnects, or is told that some are missing and why.

use roomkeeper_types::{Offset, RoomName};

use super::Findings;
use crate::history::{Ending, History, Log, Sub, SubEvent};

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        let Some(log) = &room.log else { continue };
        look_at_log(&mut findings, name, log);
        for sub in &room.subs {
            look_at_sub(&mut findings, name, log, sub);
        }
    }
    findings
}

fn look_at_log(findings: &mut Findings, name: &RoomName, log: &Log) {
    let mut expected = log.first;
    for item in &log.items {
        findings.look(1);
        if item.offset != expected {
            findings
                .wrong(name, None, || format!("in the log {} stands where {expected} should", item.offset));
        }
        expected = item.offset.next();
    }
    if expected != log.next {
        findings.wrong(name, None, || {
            format!("the log ends before {expected}, its owner says before {}", log.next)
        });
    }
}

fn look_at_sub(findings: &mut Findings, name: &RoomName, log: &Log, sub: &Sub) {
    let mut expected = sub.place.from;
    for (at, event) in &sub.events {
        match event {
            SubEvent::Items(items) => {
                for item in items {
                    findings.look(1);
                    // What comes too early is I7's.
                    if item.offset > expected {
                        findings.wrong(name, Some(*at), || {
                            format!(
                                "subscriber {} was sent {} where {expected} should come",
                                sub.sub, item.offset
                            )
                        });
                    }
                    expected = expected.max(item.offset.next());
                }
            }
            SubEvent::Gap { got, .. } => expected = expected.max(got.unwrap_or(Offset(0))),
            _ => {}
        }
    }
    if matches!(sub.end, Ending::Left(_)) && expected < log.next {
        findings.wrong(name, None, || {
            format!(
                "subscriber {} was sent nothing from {expected} on, the log ends before {}",
                sub.sub, log.next
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    #[test]
    fn dense_log_and_subscriber_are_fine() {
        assert_fine(&check(&Story::right().load()), 8);
    }

    #[test]
    fn log_with_a_hole_or_shorter_than_its_owner_says_is_found() {
        let hole = Story::right().with_log(&[(1, 1), (2, 2), (4, 4)]);
        assert_found(&check(&hole.load()), "in the log o4 stands where o3 should");
        let short = Story::right().with_log_until(&[(1, 1), (2, 2)], 5);
        assert_found(&check(&short.load()), "the log ends before o3, its owner says before o5");
    }

    #[test]
    fn subscriber_that_misses_something_is_found_unless_it_was_told() {
        let mut story = Story::right();
        let sub = story.subscribe(1, 5);
        story.deliver(sub, &[(1, 1), (3, 3)]);
        assert_found(&check(&story.load()), "was sent o3 where o2 should come");
        let mut told = Story::right();
        let sub = told.subscribe(1, 5);
        told.gap(sub, 1, 3);
        told.deliver(sub, &[(3, 3), (4, 4)]);
        told.leave(sub);
        assert_fine(&check(&told.load()), 10);
    }

    #[test]
    fn subscriber_that_left_before_the_head_is_found() {
        let mut story = Story::right();
        let sub = story.subscribe(1, 1);
        story.deliver(sub, &[(1, 1), (2, 2)]);
        story.leave(sub);
        assert_found(&check(&story.load()), "was sent nothing from o3 on");
    }
}
