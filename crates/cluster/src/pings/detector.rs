//! Who is thought dead, from what was heard when. Pure: the clock is an argument.
//!
//! - A node that refuses a connection is dead: its process is gone.
//! - A node that comes back as another incarnation was dead: what its former self led is led by nobody.
//! - A node that is silent for too long is suspected.
//! - A node that calls itself unfit (its disk hangs) shall lead nothing.
//! - A detector that was itself asleep knows nothing: all that silence was its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use roomkeeper_types::NodeId;

/// How long a node that came back counts as suspected: long enough for its former groups to be led by others.
const RESTARTED_FOR: Duration = Duration::from_secs(1);

/// Names one run of a node's process; drawn at random when it starts.
pub(crate) type Incarnation = u64;

/// Why a node is thought not to lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nothing listens at its address.
    Refused,
    /// It came back as another incarnation.
    Restarted,
    /// Nothing was heard of it for too long.
    Silent,
    /// It says of itself that it is unfit to lead.
    Unfit,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Refused => "its process is gone",
            Self::Restarted => "it was restarted",
            Self::Silent => "it is silent",
            Self::Unfit => "it is unfit to lead",
        })
    }
}

/// What a node says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// Its disk hangs: it should lead nothing, and what it leads is led by nobody.
    pub(crate) unfit: bool,
    /// It is about to stop: it gives away what it leads, and should be given nothing.
    pub(crate) leaving: bool,
}

/// A node that is thought not to lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Suspicion {
    pub(crate) node: NodeId,
    pub(crate) cause: Cause,
    pub(crate) since: Instant,
    /// It was heard before, since this node started.
    pub(crate) known: bool,
}

/// What this node says of another one when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Opinion {
    /// It leads nothing, as far as seen from here.
    Dead,
    /// It was heard just now.
    Alive,
    /// Not heard just now, and not silent for long enough.
    Unsure,
}

/// How often is spoken, and how long silence may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rhythm {
    pub(crate) interval: Duration,
    pub(crate) silence_max: Duration,
}

struct Peer {
    heard: Instant,
    /// None before the first word.
    incarnation: Option<Incarnation>,
    suspected: Option<(Cause, Instant)>,
    leaving: bool,
}

/// What was heard of the other nodes.
pub(crate) struct Detector {
    rhythm: Rhythm,
    ticked: Instant,
    peers: BTreeMap<NodeId, Peer>,
}

impl Detector {
    pub(crate) fn new(rhythm: Rhythm, now: Instant) -> Self {
        Self { rhythm, ticked: now, peers: BTreeMap::new() }
    }

    /// These are the other nodes. One that is new counts as heard now.
    pub(crate) fn set_peers(&mut self, nodes: &[NodeId], now: Instant) {
        self.peers.retain(|node, _| nodes.contains(node));
        for node in nodes {
            let new = || Peer { heard: now, incarnation: None, suspected: None, leaving: false };
            self.peers.entry(*node).or_insert_with(new);
        }
    }

    /// The node spoke. Returns whether that changed what is thought of it.
    pub(crate) fn heard(
        &mut self,
        node: NodeId,
        incarnation: Incarnation,
        health: Health,
        now: Instant,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(&node) else { return false };
        let Health { unfit, leaving } = health;
        peer.leaving = leaving;
        let former = peer.suspected.map(|(cause, _)| cause);
        peer.heard = now;
        let restarted = peer.incarnation.replace(incarnation).is_some_and(|known| known != incarnation);
        let lasting = |(cause, since): &(Cause, Instant)| match cause {
            Cause::Restarted => now.duration_since(*since) < RESTARTED_FOR,
            Cause::Unfit => unfit,
            Cause::Refused | Cause::Silent => false,
        };
        peer.suspected = peer.suspected.filter(lasting);
        if restarted {
            peer.suspected = Some((Cause::Restarted, now));
        } else if unfit {
            peer.suspected.get_or_insert((Cause::Unfit, now));
        }
        peer.suspected.map(|(cause, _)| cause) != former
    }

    /// Nothing listens at the node's address. Returns whether that is news.
    pub(crate) fn refused(&mut self, node: NodeId, now: Instant) -> bool {
        let Some(peer) = self.peers.get_mut(&node) else { return false };
        let news = !matches!(peer.suspected, Some((Cause::Refused, _)));
        if news {
            let since = peer.suspected.map_or(now, |(_, since)| since);
            peer.suspected = Some((Cause::Refused, since));
        }
        news
    }

    /// To be called once per interval. Returns whether what is thought of any node changed.
    pub(crate) fn tick(&mut self, now: Instant) -> Tick {
        let late = now.saturating_duration_since(self.ticked + self.rhythm.interval);
        self.ticked = now;
        if late >= self.rhythm.interval * 2 {
            let slept = self.peers.values().any(|peer| peer.suspected.is_some());
            for peer in self.peers.values_mut() {
                peer.heard = now;
                peer.suspected = peer.suspected.filter(|(cause, _)| *cause == Cause::Unfit);
            }
            return Tick { changed: slept, slept: Some(late) };
        }
        let mut changed = false;
        for peer in self.peers.values_mut() {
            if peer.suspected.is_none() && now.duration_since(peer.heard) >= self.rhythm.silence_max {
                peer.suspected = Some((Cause::Silent, now));
                changed = true;
            }
        }
        Tick { changed, slept: None }
    }

    /// Everybody who is thought not to lead.
    pub(crate) fn suspicions(&self) -> Vec<Suspicion> {
        self.peers.keys().filter_map(|node| self.suspicion(*node)).collect()
    }

    /// Why the node is thought not to lead, if it is.
    pub(crate) fn suspicion(&self, node: NodeId) -> Option<Suspicion> {
        let peer = self.peers.get(&node)?;
        let (cause, since) = peer.suspected?;
        Some(Suspicion { node, cause, since, known: peer.incarnation.is_some() })
    }

    /// Whether the node said that it is about to stop.
    pub(crate) fn is_leaving(&self, node: NodeId) -> bool {
        self.peers.get(&node).is_some_and(|peer| peer.leaving)
    }

    /// What to say of the node.
    pub(crate) fn opinion(&self, node: NodeId, now: Instant) -> Opinion {
        match self.peers.get(&node) {
            Some(Peer { suspected: Some(_), .. }) => Opinion::Dead,
            Some(peer) if now.duration_since(peer.heard) < self.rhythm.interval * 2 => Opinion::Alive,
            _ => Opinion::Unsure,
        }
    }

    /// When the node last spoke; `None`: never, since this node started.
    pub(crate) fn last_heard(&self, node: NodeId) -> Option<Instant> {
        self.peers.get(&node).filter(|peer| peer.incarnation.is_some()).map(|peer| peer.heard)
    }
}

/// What a tick found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tick {
    /// Something is thought of a node that was not thought before.
    pub(crate) changed: bool,
    /// This node was asleep for so long and begins anew.
    pub(crate) slept: Option<Duration>,
}

#[cfg(test)]
#[path = "detector_test.rs"]
mod tests;
