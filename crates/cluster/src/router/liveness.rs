//! Which nodes were heard of lately.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use roomkeeper_types::NodeId;

/// A node that was not heard of for longer than this is shown as not alive. For people to read; ownership does
/// not rest on it.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// When each node last asked or answered.
#[derive(Default)]
pub(crate) struct Liveness {
    heard: Mutex<HashMap<NodeId, Instant>>,
}

impl Liveness {
    /// The node asked or answered just now.
    pub(crate) fn heard(&self, node: NodeId) {
        self.heard.lock().insert(node, Instant::now());
    }

    /// Whether it did so lately.
    pub(crate) fn is_alive(&self, node: NodeId) -> bool {
        self.heard.lock().get(&node).is_some_and(|heard| heard.elapsed() < SILENCE_MAX)
    }
}
