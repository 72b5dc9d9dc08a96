//! I15, atomic bulk: the messages of one publish, or of one hold, are all in the log, next to each other and in their
//! order, or none is; its ack has an offset for each. A publish on a condition got the offset that it asked for.

use std::collections::BTreeMap;

use roomkeeper_types::{MessageId, Offset, RoomName};

use super::Findings;
use crate::history::event::Content;
use crate::history::{History, Send};

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        let stored = room.stored();
        for send in &room.sends {
            look_at_ack(&mut findings, name, send);
            if room.log.is_some() {
                let what = || format!("publish {}", send.invoke.op);
                look_at_log(&mut findings, name, &stored, &send.invoke.messages, what);
            }
        }
        for hold in room.holds.iter().filter(|_| room.log.is_some()) {
            look_at_log(&mut findings, name, &stored, &hold.messages, || format!("hold {}", hold.hold));
        }
    }
    findings
}

fn look_at_ack(findings: &mut Findings, name: &RoomName, send: &Send) {
    let Some((at, _, offsets)) = send.acked() else { return };
    let (op, messages) = (send.invoke.op, &send.invoke.messages);
    if offsets.len() != messages.len() || !are_neighbours(offsets) {
        findings.wrong(name, Some(at), || {
            let shown: Vec<u64> = offsets.iter().map(|offset| offset.get()).collect();
            format!("publish {op} of {} messages was acked at offsets {shown:?}", messages.len())
        });
    }
    // What was stored by an earlier try is answered as it stands; so is what this try stored before its first answer
    // was lost.
    if let (Some(expect), Some(first)) = (send.invoke.expect, offsets.first()) {
        findings.look(1);
        if expect != *first {
            findings.wrong(name, Some(at), || {
                format!("publish {op} was to be stored at {expect} or not at all, and was acked at {first}")
            });
        }
    }
}

fn look_at_log(
    findings: &mut Findings,
    name: &RoomName,
    stored: &BTreeMap<MessageId, Offset>,
    messages: &[Content],
    what: impl Fn() -> String,
) {
    if messages.len() < 2 {
        return;
    }
    findings.look(1);
    let there: Vec<Offset> = messages.iter().filter_map(|content| stored.get(&content.id).copied()).collect();
    match there.as_slice() {
        [] => {}
        [first, ..] if there.len() < messages.len() => findings.wrong(name, None, || {
            let (some, all) = (there.len(), messages.len());
            format!("of the {all} messages of {} only {some} are in the log, from {first} on", what())
        }),
        [first, ..] if !are_neighbours(&there) => {
            findings.wrong(name, None, || format!("{} at {first} is not in one piece", what()));
        }
        _ => {}
    }
}

fn are_neighbours(offsets: &[Offset]) -> bool {
    offsets.windows(2).all(|pair| pair[1] == pair[0].next())
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    #[test]
    fn bulk_in_one_piece_or_not_there_at_all_is_fine() {
        let mut story = Story::right();
        let op = story.send(1, &[7, 8, 9]);
        story.info(op);
        assert_fine(&check(&story.load()), 2);
    }

    #[test]
    fn bulk_in_part_is_found_whatever_its_outcome() {
        let mut story = Story::right().with_log(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 7), (6, 8)]);
        let op = story.send(1, &[7, 8, 9]);
        story.info(op);
        assert_found(&check(&story.load()), "of the 3 messages of publish #");
    }

    #[test]
    fn bulk_torn_apart_or_out_of_order_is_found() {
        for log in [[(1, 1), (2, 2), (3, 4), (4, 3)], [(1, 1), (2, 3), (3, 2), (4, 4)]] {
            assert_found(&check(&Story::right().with_log(&log).load()), "is not in one piece");
        }
    }

    #[test]
    fn ack_with_too_few_or_scattered_offsets_is_found() {
        for offsets in [&[5][..], &[5, 7]] {
            let mut story = Story::right();
            let op = story.send(1, &[7, 8]);
            story.ok(op, 1, offsets);
            assert_found(&check(&story.load()), "of 2 messages was acked at offsets");
        }
    }
    #[test]
    fn hold_in_part_is_found() {
        let mut story = Story::right().with_log(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 8)]);
        story.hold(&[8, 9], 1_000);
        assert_found(&check(&story.load()), "of the 2 messages of hold #");
    }

    #[test]
    fn condition_that_held_is_fine_and_an_ack_elsewhere_is_found() {
        let mut story = Story::right();
        let op = story.send_expecting(0, 5, &[9]);
        let mut other = story.clone();
        story.ok(op, 1, &[5]);
        assert_fine(&check(&story.load()), 2);
        other.ok(op, 1, &[6]);
        assert_found(&check(&other.load()), "was to be stored at o5 or not at all, and was acked at o6");
    }
}
