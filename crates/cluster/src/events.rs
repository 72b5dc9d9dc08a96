//! What happened to ownership and replicas, for operators: each event is a line in the log, and the last of them
//! are kept for `GET /v1/events` of the admin listener and for `roomkeeper status`.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use roomkeeper_types::{Epoch, NodeId, ShardId};
use serde::Serialize;

/// Events that are kept; older ones are only in the log.
const KEPT: usize = 2_048;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// This node began to own a shard.
    Election,
    /// This node owns a shard no more.
    StepDown,
    /// This node gave a shard to another one, as planned, or failed to.
    HandOver,
    /// A node was suspected to be dead, or the suspicion ended.
    Suspicion,
    /// This node's disk became full, or has room again; or it hangs, or answers again.
    Disk,
    /// A replica came to another node, or left it.
    Move,
    /// A replica was refused: its log or rows are not what they should be.
    Quarantine,
    /// A replica that was lost was built anew.
    Repair,
    /// A node joined, drains, was replaced or removed.
    Membership,
}

/// Something that happened, as this node saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// What kind of thing.
    pub kind: EventKind,
    /// To which shard; none: to meta, or to a node as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardId>,
    /// In which epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The node that had it, or that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<NodeId>,
    /// The node that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<NodeId>,
    /// Why, in words.
    pub reason: String,
    /// How long it took, in milliseconds.
    #[serde(rename = "duration_ms", skip_serializing_if = "Option::is_none", serialize_with = "millis")]
    pub duration: Option<Duration>,
}

/// An event with its place in this node's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// From 1, ascending, without gaps since the node started.
    pub number: u64,
    /// Wall clock, milliseconds since 1970.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Election,
        Self::StepDown,
        Self::HandOver,
        Self::Suspicion,
        Self::Disk,
        Self::Move,
        Self::Quarantine,
        Self::Repair,
        Self::Membership,
    ];

    /// The kind's name, as it is serialized.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Election => "election",
            Self::StepDown => "step_down",
            Self::HandOver => "hand_over",
            Self::Suspicion => "suspicion",
            Self::Disk => "disk",
            Self::Move => "move",
            Self::Quarantine => "quarantine",
            Self::Repair => "repair",
            Self::Membership => "membership",
        }
    }
}

impl Event {
    /// An event of this kind with a reason and nothing else.
    pub(crate) fn new(kind: EventKind, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { kind, shard: None, epoch: None, from: None, to: None, reason, duration: None }
    }

    /// The same, about a shard in an epoch.
    pub(crate) fn of(kind: EventKind, shard: ShardId, epoch: Epoch, reason: impl Into<String>) -> Self {
        Self { shard: Some(shard), epoch: Some(epoch), ..Self::new(kind, reason) }
    }
}

/// The last events of this node.
#[derive(Default)]
pub(crate) struct Events {
    ring: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    last: u64,
    /// By kind, those that are not kept any more included.
    counts: [u64; EventKind::ALL.len()],
    kept: VecDeque<Recorded>,
}

impl Events {
    /// Keeps the event, and logs it.
    pub(crate) fn record(&self, event: Event) {
        let Event { kind, shard, epoch, from, to, reason, duration } = &event;
        let text = |id: &dyn std::fmt::Display| id.to_string();
        tracing::info!(
            target: "roomkeeper::events",
            kind = ?kind,
            shard = shard.as_ref().map(|id| text(id)),
            epoch = epoch.as_ref().map(|id| text(id)),
            from = from.as_ref().map(|id| text(id)),
            to = to.as_ref().map(|id| text(id)),
            reason,
            duration = ?duration.unwrap_or_default(),
            "event"
        );
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut ring = self.ring.lock();
        ring.last += 1;
        ring.counts[event.kind as usize] += 1;
        let number = ring.last;
        if ring.kept.len() == KEPT {
            ring.kept.pop_front();
        }
        let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        ring.kept.push_back(Recorded { number, at_ms, event });
    }

    /// How many events of each kind there were.
    pub(crate) fn counts(&self) -> Vec<(EventKind, u64)> {
        let counts = self.ring.lock().counts;
        EventKind::ALL.into_iter().map(|kind| (kind, counts[kind as usize])).collect()
    }

    /// Events after this number that are still kept, oldest first.
    pub(crate) fn after(&self, number: u64) -> Vec<Recorded> {
        self.ring.lock().kept.iter().filter(|recorded| recorded.number > number).cloned().collect()
    }
}

fn millis<S: serde::Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    let millis = duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    millis.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_beyond_the_bound_push_out_the_oldest() {
        let events = Events::default();
        for number in 0..KEPT + 3 {
            events.record(Event::new(EventKind::Membership, number.to_string()));
        }
        let kept = events.after(0);
        assert_eq!((kept.len(), kept[0].number), (KEPT, 4));
        let newest: Vec<u64> = events.after(KEPT as u64 + 1).iter().map(|event| event.number).collect();
        assert_eq!(newest, [KEPT as u64 + 2, KEPT as u64 + 3]);
        events.record(Event::new(EventKind::Election, "one more"));
        let counted: Vec<_> = events.counts().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(EventKind::Election, 1), (EventKind::Membership, KEPT as u64 + 3)]);
    }

    #[test]
    fn kind_is_named_as_it_is_serialized() {
        for (index, kind) in EventKind::ALL.into_iter().enumerate() {
            assert_eq!((kind as usize, serde_json::to_value(kind).unwrap()), (index, kind.name().into()));
        }
    }

    #[test]
    fn event_is_shown_without_what_it_does_not_have() {
        let mut event = Event::of(EventKind::HandOver, ShardId(3), Epoch(7), "drain");
        event.duration = Some(Duration::from_millis(12));
        let json = serde_json::to_value(Recorded { number: 1, at_ms: 2, event }).unwrap();
        let expected = serde_json::json!({
            "number": 1, "at_ms": 2, "kind": "hand_over", "shard": 3, "epoch": 7, "reason": "drain", "duration_ms": 12
        });
        assert_eq!(json, expected);
    }
}
