//! A state of meta that several tests here begin with.

use roomkeeper_types::{ClusterId, ShardCount};

use super::{MetaCommand, MetaState, NodeSpec};
use crate::identity::{FORMAT, JoinNonce};

/// A cluster of nodes 1 to `nodes`, three copies of each shard wanted, none placed; each node's replica of meta has
/// its number.
pub(crate) fn cluster_of(nodes: u32, shards: ShardCount) -> MetaState {
    let spec = |node: u32| NodeSpec {
        peer: format!("n{node}:1"),
        client_url: format!("http://n{node}"),
        admin: None,
        zone: None,
        weight: 1,
    };
    let mut state = MetaState::default();
    state.apply(MetaCommand::Bootstrap {
        cluster: ClusterId([1; 16]),
        format: FORMAT,
        shards,
        replicas: 3,
        initial_nodes: 1,
        founder: spec(1),
    });
    for node in 2..=nodes {
        let nonce = JoinNonce([node as u8; 16]);
        state.apply(MetaCommand::Join { nonce, format: FORMAT, node: spec(node) });
    }
    state
}
