//! I15, atomic bulk: the messages of one publish are all in the log, next to each other and in their order, or
//! none is; its ack has an offset for each.

use roomkeeper_types::Offset;

use super::Findings;
use crate::history::History;

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        let stored = room.stored();
        for send in &room.sends {
            let (op, messages) = (send.invoke.op, &send.invoke.messages);
            if let Some((at, _, offsets)) = send.acked()
                && (offsets.len() != messages.len() || !are_neighbours(offsets))
            {
                findings.wrong(name, Some(at), || {
                    let shown: Vec<u64> = offsets.iter().map(|offset| offset.get()).collect();
                    format!("publish {op} of {} messages was acked at offsets {shown:?}", messages.len())
                });
            }
            if messages.len() < 2 || room.log.is_none() {
                continue;
            }
            findings.look(1);
            let there: Vec<Offset> =
                messages.iter().filter_map(|content| stored.get(&content.id).copied()).collect();
            match there.as_slice() {
                [] => {}
                [first, ..] if there.len() < messages.len() => findings.wrong(name, None, || {
                    let (some, all) = (there.len(), messages.len());
                    format!(
                        "of the {all} messages of publish {op} only {some} are in the log, from {first} on"
                    )
                }),
                [first, ..] if !are_neighbours(&there) => {
                    findings.wrong(name, None, || format!("publish {op} at {first} is not in one piece"));
                }
                _ => {}
            }
        }
    }
    findings
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
}
