//! I11, the committed offset never regresses: not for one reader from answer to answer, and not for a subscriber
//! across its reconnects, where it goes on exactly behind what it has and the head is not below that. One that follows
//! a cursor may be sent again what it has not committed. What is true of cursors themselves is in [`i11_cursors`].

use std::collections::HashMap;

use roomkeeper_types::{Offset, RoomName};

use super::{Findings, i11_cursors};
use crate::history::{History, ReadOutcome, Room, Sub, SubEvent};

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        look_at_reads(&mut findings, name, room);
        for sub in &room.subs {
            look_at_sub(&mut findings, name, sub);
        }
        i11_cursors::look(&mut findings, name, room);
    }
    findings
}

fn look_at_reads(findings: &mut Findings, name: &RoomName, room: &Room) {
    // Per reader: the highest answer, and when it came. A reader asks one thing after the other.
    let mut shown = HashMap::new();
    for read in &room.reads {
        let (ReadOutcome::Ok { next, .. }, Some(ended)) = (&read.outcome, read.ended) else { continue };
        findings.look(1);
        let (highest, at) = shown.entry(read.reader).or_insert((*next, ended));
        if *at < read.invoked && next < highest {
            findings.wrong(name, Some(ended), || {
                format!("reader {} was shown a log that ends before {next}, after {highest}", read.reader)
            });
        }
        (*highest, *at) = (*next.max(highest), ended);
    }
}

fn look_at_sub(findings: &mut Findings, name: &RoomName, sub: &Sub) {
    let mut expected = sub.place.from;
    for (at, event) in &sub.events {
        match event {
            SubEvent::Items(items) => {
                expected = items.iter().fold(expected, |expected, item| expected.max(item.offset.next()));
            }
            SubEvent::Gap { got, .. } => expected = expected.max(got.unwrap_or(Offset(0))),
            SubEvent::Resumed(place) => {
                findings.look(1);
                let is_right = match &sub.following {
                    Some(_) => place.from <= expected,
                    None => place.from == expected,
                };
                if place.head < expected || !is_right {
                    findings.wrong(name, Some(*at), || {
                        format!(
                            "subscriber {} came back for {expected} and was put at {} of a log that ends before {}",
                            sub.sub, place.from, place.head
                        )
                    });
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    #[test]
    fn growing_answers_and_exact_resumes_are_fine() {
        let mut story = Story::right();
        let sub = story.subscribe(1, 5);
        story.deliver(sub, &[(1, 1), (2, 2)]);
        story.resume(sub, 3, 5);
        assert_fine(&check(&story.load()), 2);
    }

    #[test]
    fn reader_shown_less_than_before_is_found() {
        let mut story = Story::right();
        let read = story.read();
        story.read_ok(read, 1, 4);
        assert_found(&check(&story.load()), "was shown a log that ends before o4, after o5");
    }

    #[test]
    fn resume_above_the_head_that_resets_is_found() {
        for (from, head) in [(1, 5), (3, 2), (4, 9)] {
            let mut story = Story::right();
            let sub = story.subscribe(1, 5);
            story.deliver(sub, &[(1, 1), (2, 2)]);
            story.resume(sub, from, head);
            assert_found(&check(&story.load()), "came back for o3");
        }
    }
}
