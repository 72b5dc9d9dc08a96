//! I16, no vote with a shortened log: a replica that a node put into quarantine owns nothing until it was built
//! anew. (That a shortened log is noticed at all is shown by I1 and I2, after a fault that shortens one.)

use std::collections::HashMap;

use super::Findings;
use crate::history::event::Change;
use crate::history::{At, History};

/// Kinds of events of a node, as it writes them.
const QUARANTINE: &str = "quarantine";
const REPAIR: &str = "repair";

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    // Which shards' replicas are in quarantine on which node, and when that changed.
    let mut changes: Vec<(At, usize, roomkeeper_types::ShardId, bool)> = Vec::new();
    for said in &history.said {
        let Some(shard) = said.shard else { continue };
        match said.kind.as_str() {
            QUARANTINE => changes.push((said.at, said.node, shard, true)),
            REPAIR => changes.push((said.at, said.node, shard, false)),
            _ => {}
        }
    }
    findings.look(changes.iter().filter(|(.., begins)| *begins).count());
    let mut changes = changes.into_iter().peekable();
    let mut quarantined = HashMap::new();
    for own in history.owns.iter().filter(|own| own.change == Change::Gain) {
        while let Some((at, node, shard, begins)) = changes.next_if(|(at, ..)| *at <= own.at) {
            if begins {
                quarantined.insert((node, shard), at);
            } else {
                quarantined.remove(&(node, shard));
            }
        }
        if let Some(since) = quarantined.get(&(own.node, own.shard)) {
            findings.wrong_of_run(Some(own.at), || {
                format!("node {} owns {}, whose replica is in quarantine since {since}", own.node, own.shard)
            });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    #[test]
    fn replica_that_was_built_anew_may_own_again_and_others_always() {
        let mut story = Story::right();
        story.said(1, QUARANTINE, 3);
        story.own(3, 2, 0, Change::Gain);
        story.own(4, 2, 1, Change::Gain);
        story.said(1, REPAIR, 3);
        story.own(3, 4, 1, Change::Gain);
        assert_fine(&check(&story.load()), 1);
    }

    #[test]
    fn owner_in_quarantine_is_found() {
        let mut story = Story::right();
        story.said(1, QUARANTINE, 3);
        story.own(3, 2, 1, Change::Gain);
        assert_found(&check(&story.load()), "node 1 owns s3, whose replica is in quarantine");
    }
}
