//! I13, epochs are monotonic and fence: once anything of an epoch was acked, nothing that begins later is newly
//! stored, answered or joined in an earlier one, by any node, be it a resumed one that slept through it all.

use roomkeeper_types::Epoch;

use super::Findings;
use super::acked_before::AckedBefore;
use crate::history::{At, History, ReadOutcome, Room};

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        let mut before = AckedBefore::new(room);
        for (began, epoch, what) in served(room) {
            findings.look(1);
            if let Some(acked) = before.highest_epoch(began).filter(|acked| epoch < *acked) {
                findings.wrong(name, Some(began), || {
                    format!("{what} was served in {epoch}, after an ack of {acked}")
                });
            }
        }
        let items = room.log.iter().flat_map(|log| log.items.windows(2));
        for pair in items.filter(|pair| pair[1].epoch < pair[0].epoch) {
            findings.wrong(name, None, || {
                let (one, other) = (pair[0], pair[1]);
                format!("{} of {} stands behind {} of {}", other.offset, other.epoch, one.offset, one.epoch)
            });
        }
    }
    findings
}

/// What was served, when it began and in which epoch; in the order in which it began. A duplicate's ack names
/// the epoch that stored it first, which may be long over.
fn served(room: &Room) -> Vec<(At, Epoch, String)> {
    let stored = room.sends.iter().filter(|send| send.invoke.attempt == 1 && !send.is_duplicate());
    let sends = stored.filter_map(|send| {
        let (_, epoch, _) = send.acked()?;
        Some((send.invoked, epoch, format!("publish {}", send.invoke.op)))
    });
    let reads = room.reads.iter().filter_map(|read| match &read.outcome {
        ReadOutcome::Ok { epoch, .. } => Some((read.invoked, *epoch, format!("read {}", read.op))),
        _ => None,
    });
    let joins = room
        .subs
        .iter()
        .filter_map(|sub| Some((sub.asked?, sub.place.epoch, format!("subscriber {}", sub.sub))));
    let mut served: Vec<_> = sends.chain(reads).chain(joins).collect();
    served.sort_by_key(|(began, ..)| *began);
    served
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found, seen};
    use super::*;

    fn two_epochs() -> Story {
        let mut story = Story::right();
        let op = story.send(0, &[5]);
        story.ok(op, 2, &[5]);
        story
    }

    #[test]
    fn epochs_that_grow_and_a_duplicate_of_an_old_one_are_fine() {
        let mut story = two_epochs();
        let again = story.send_again(0, 2, &[1]);
        story.duplicate(again, 1, &[1]);
        assert_fine(&check(&story.load()), 6);
    }

    #[test]
    fn publish_that_began_before_the_first_ack_of_the_next_epoch_may_be_of_the_old_one() {
        let mut story = Story::empty();
        let (old, new) = (story.send(0, &[1]), story.send(1, &[2]));
        story.ok(new, 2, &[2]);
        story.ok(old, 1, &[1]);
        assert_fine(&check(&story.load()), 2);
    }

    #[test]
    fn publish_read_and_join_served_by_a_zombie_are_found() {
        let mut publish = two_epochs();
        let op = publish.send(0, &[6]);
        publish.ok(op, 1, &[6]);
        assert_found(&check(&publish.load()), "was served in e1, after an ack of e2");
        let mut read = two_epochs();
        let op = read.read();
        read.read_ok(op, 1, 6);
        assert_found(&check(&read.load()), "read #");
        let mut join = two_epochs();
        join.subscribe(1, 6);
        assert_found(&check(&join.load()), "subscriber #");
    }

    #[test]
    fn log_whose_epochs_step_back_is_found() {
        let mut story = Story::right();
        let mut items = vec![seen(1, 1), seen(2, 2)];
        items[0].epoch = Epoch(2);
        story.set_log(items);
        assert_found(&check(&story.load()), "o2 of e1 stands behind o1 of e2");
    }
}
