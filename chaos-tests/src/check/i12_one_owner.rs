//! I12, at most one owner per (shard, epoch): by what nodes say themselves, and by who answered clients as one.

use std::collections::HashMap;

use roomkeeper_types::{Epoch, NodeId};

use super::Findings;
use crate::history::event::Change;
use crate::history::{History, ReadOutcome, Room};

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    let mut owners = HashMap::new();
    for own in history.owns.iter().filter(|own| own.change == Change::Gain) {
        findings.look(1);
        let owner = *owners.entry((own.shard, own.epoch)).or_insert(own.node);
        if owner != own.node {
            findings.wrong_of_run(Some(own.at), || {
                format!("{} has two owners in {}: nodes {owner} and {}", own.shard, own.epoch, own.node)
            });
        }
    }
    for (name, room) in &history.rooms {
        let mut owners = HashMap::new();
        for (epoch, node) in answered(room) {
            findings.look(1);
            let owner = *owners.entry(epoch).or_insert(node);
            if owner != node {
                findings.wrong(name, None, || {
                    format!("{owner} and {node} both answered as its owner in {epoch}")
                });
            }
        }
    }
    findings
}

/// Who answered clients as the owner, and in which epoch.
fn answered(room: &Room) -> impl Iterator<Item = (Epoch, NodeId)> {
    let reads = room.reads.iter().filter_map(|read| match &read.outcome {
        ReadOutcome::Ok { owner: Some(owner), epoch, .. } => Some((*epoch, *owner)),
        _ => None,
    });
    let places = room.subs.iter().flat_map(|sub| sub.resumes().map(|(_, place)| place).chain([sub.place]));
    reads.chain(places.map(|place| (place.epoch, place.owner)))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    #[test]
    fn one_owner_at_a_time_also_when_it_comes_back_is_fine() {
        let mut story = Story::right();
        story.own(3, 2, 1, Change::Gain);
        story.own(3, 2, 1, Change::Lose);
        story.own(3, 2, 1, Change::Gain);
        story.own(3, 3, 2, Change::Gain);
        story.own(4, 3, 0, Change::Gain);
        assert_fine(&check(&story.load()), 6);
    }

    #[test]
    fn two_owners_in_one_epoch_are_found() {
        let mut story = Story::right();
        story.own(3, 2, 1, Change::Gain);
        story.own(3, 2, 2, Change::Gain);
        assert_found(&check(&story.load()), "s3 has two owners in e2: nodes 1 and 2");
    }

    #[test]
    fn two_nodes_that_answer_as_the_owner_in_one_epoch_are_found() {
        let mut story = Story::right();
        let read = story.read();
        story.read_ok_by(read, 2, 1, 5);
        assert_found(&check(&story.load()), "both answered as its owner in e1");
    }
}
