//! Draining and removing nodes.

use std::time::Duration;

use anyhow::{Result, bail};
use reqwest::Method;
use roomkeeper_client::types::NodeId;
use roomkeeper_client::{ClusterMap, NodeState};

use super::admin::{AdminArgs, Answer};
use crate::cli::trouble::{FINE, NO};
use crate::cli::{ConnectArgs, print};

/// How often a node is looked at that drains.
const LOOK: Duration = Duration::from_millis(500);

pub(super) async fn drain(connect: &ConnectArgs, admin: &AdminArgs, node: NodeId, wait: bool) -> Result<u8> {
    if let Answer::Refused(why) = admin.ask(connect, Method::POST, &path(node, "/drain")).await? {
        return Ok(refused(&why));
    }
    if !wait {
        println!("{node} drains: `roomkeeper node list` shows what it still holds");
        return Ok(FINE);
    }
    let mut last = None;
    loop {
        match Left::of(&connect.map().await?, node) {
            None => bail!("{node} is no node of this cluster any more"),
            Some(Left { draining: false, .. }) if last.is_some() => {
                bail!("{node} does not drain any more: somebody changed that");
            }
            Some(left) if left.is_nothing() => break,
            // The node that answers may not have heard of it yet.
            Some(left) => {
                if last.as_ref() != Some(&left) && left.draining {
                    println!("{node} {}", left.words());
                    last = Some(left);
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    println!("{node} holds nothing any more: stop it, then `roomkeeper node remove {}`", node.0);
    Ok(FINE)
}

pub(super) async fn undrain(connect: &ConnectArgs, admin: &AdminArgs, node: NodeId) -> Result<u8> {
    Ok(match admin.ask(connect, Method::POST, &path(node, "/undrain")).await? {
        Answer::Refused(why) => refused(&why),
        Answer::Done => {
            println!("{node} may hold shards again");
            FINE
        }
    })
}

pub(super) async fn remove(
    connect: &ConnectArgs,
    admin: &AdminArgs,
    node: NodeId,
    force: bool,
) -> Result<u8> {
    let query = if force { "?force=true" } else { "" };
    Ok(match admin.ask(connect, Method::DELETE, &path(node, query)).await? {
        Answer::Refused(why) => refused(&why),
        Answer::Done => {
            println!("{node} is removed. Its data directory is of no use to the cluster any more.");
            FINE
        }
    })
}

fn path(node: NodeId, rest: &str) -> String {
    format!("/v1/nodes/{}{rest}", node.0)
}

fn refused(why: &str) -> u8 {
    eprintln!("refused: {why}");
    NO
}

/// What is left of a node that drains.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Left {
    draining: bool,
    replicas: usize,
    owned: usize,
    votes: bool,
}

impl Left {
    /// `None`: no such node.
    fn of(map: &ClusterMap, node: NodeId) -> Option<Self> {
        let entry = map.nodes.iter().find(|entry| entry.node == node)?;
        let holds = |shard: &&roomkeeper_client::ShardEntry| {
            shard.replicas.iter().any(|replica| replica.node == node)
        };
        Some(Self {
            draining: entry.state == NodeState::Draining,
            replicas: map.shards.iter().filter(holds).count(),
            owned: map.shards.iter().filter(|shard| shard.owner == Some(node)).count(),
            votes: entry.votes,
        })
    }

    fn is_nothing(&self) -> bool {
        self.draining && self.replicas == 0 && !self.votes
    }

    fn words(&self) -> String {
        let replicas = print::count(self.replicas as u64, "replica");
        let votes = if self.votes { ", votes in meta" } else { "" };
        format!("still holds {replicas}, owns {}{votes}", print::count(self.owned as u64, "shard"))
    }
}
