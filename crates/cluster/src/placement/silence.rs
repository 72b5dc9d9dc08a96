//! How long other nodes have been silent, as one node sees it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use roomkeeper_types::NodeId;

use super::table::Silence;

/// A node that was heard for so long without a break has come back.
const BACK_AFTER: Duration = Duration::from_secs(3);
/// What a node that is silent for so long was to get goes to another one.
const LONG: Duration = Duration::from_secs(15);

/// For how long each other node was silent, or heard, in one go.
#[derive(Debug, Default)]
pub(super) struct Watch {
    nodes: BTreeMap<NodeId, Streak>,
    last: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Streak {
    heard: bool,
    lasts: Duration,
}

impl Watch {
    /// Looks again. Looks are to be about `tick` apart: of a longer pause only twice that much counts, since it was
    /// this node that slept then.
    pub(super) fn look(
        &mut self,
        now: Instant,
        tick: Duration,
        nodes: &[NodeId],
        is_heard: impl Fn(NodeId) -> bool,
    ) {
        let passed =
            self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last).min(tick * 2));
        self.last = Some(now);
        self.nodes.retain(|node, _| nodes.contains(node));
        for node in nodes {
            let heard = is_heard(*node);
            let streak = self.nodes.entry(*node).or_insert(Streak { heard, lasts: Duration::ZERO });
            if streak.heard == heard {
                streak.lasts += passed;
            } else {
                *streak = Streak { heard, lasts: Duration::ZERO };
            }
        }
    }

    pub(super) fn of(&self, node: NodeId) -> Silence {
        match self.nodes.get(&node) {
            Some(Streak { heard: false, lasts }) if *lasts >= LONG => Silence::Long,
            Some(Streak { heard: false, .. }) => Silence::Short,
            Some(_) | None => Silence::None,
        }
    }

    /// Whether the node was silent for this long.
    pub(super) fn is_silent_for(&self, node: NodeId, duration: Duration) -> bool {
        self.nodes.get(&node).is_some_and(|streak| !streak.heard && streak.lasts >= duration)
    }

    /// Whether the node has been heard for long enough to count on it.
    pub(super) fn is_back(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|streak| streak.heard && streak.lasts >= BACK_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(2);
    const TICK: Duration = Duration::from_secs(1);

    fn looks(watch: &mut Watch, from: Instant, seconds: std::ops::Range<u64>, heard: bool) {
        for second in seconds {
            watch.look(from + Duration::from_secs(second), TICK, &[NODE], |_| heard);
        }
    }

    #[test]
    fn silence_adds_up_until_the_node_is_heard() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        looks(&mut watch, start, 0..10, false);
        assert_eq!(watch.of(NODE), Silence::Short);
        assert!(watch.is_silent_for(NODE, Duration::from_secs(9)));
        assert!(!watch.is_silent_for(NODE, Duration::from_secs(10)));
        looks(&mut watch, start, 10..20, false);
        assert_eq!(watch.of(NODE), Silence::Long);
        looks(&mut watch, start, 20..22, true);
        assert_eq!((watch.of(NODE), watch.is_back(NODE)), (Silence::None, false));
        looks(&mut watch, start, 22..25, true);
        assert!(watch.is_back(NODE));
    }

    #[test]
    fn own_sleep_is_not_the_others_silence() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        looks(&mut watch, start, 0..2, false);
        watch.look(start + Duration::from_secs(3_600), TICK, &[NODE], |_| false);
        assert!(!watch.is_silent_for(NODE, Duration::from_secs(5)));
    }
}
