//! `roomkeeper node …`: who is in the cluster, and how nodes come and go.

mod admin;
mod change;
mod join;
mod list;

use anyhow::Result;
use clap::{Args, Subcommand};
use roomkeeper_client::types::NodeId;

use crate::cli::ConnectArgs;

/// `roomkeeper node`.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    #[command(subcommand)]
    command: NodeCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// List the nodes: what each is, owns and holds
    List {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Show how to add a node, and whether the cluster can be reached from here
    Join,
    /// Move everything off a node, so that it can be removed
    Drain {
        /// The node, such as 3 or n3
        #[arg(value_parser = parse_node)]
        node: NodeId,
        /// Return when it holds nothing any more
        #[arg(long, conflicts_with = "undo")]
        wait: bool,
        /// Let it hold shards again
        #[arg(long)]
        undo: bool,
        #[command(flatten)]
        admin: admin::AdminArgs,
    },
    /// Take a node out of the cluster for good
    Remove {
        /// The node, such as 3 or n3
        #[arg(value_parser = parse_node)]
        node: NodeId,
        /// Give up what it still holds, since it never comes back
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        admin: admin::AdminArgs,
    },
}

/// Runs it. Exit code 1: refused, or (`join`) no node is reached.
pub(crate) async fn run(args: NodeArgs) -> Result<u8> {
    let connect = &args.connect;
    match args.command {
        NodeCommand::List { json } => list::run(connect, json).await,
        NodeCommand::Join => join::run(connect).await,
        NodeCommand::Drain { node, undo: true, admin, .. } => change::undrain(connect, &admin, node).await,
        NodeCommand::Drain { node, wait, admin, .. } => change::drain(connect, &admin, node, wait).await,
        NodeCommand::Remove { node, force, admin } => change::remove(connect, &admin, node, force).await,
    }
}

fn parse_node(text: &str) -> Result<NodeId, String> {
    let number = text.strip_prefix('n').unwrap_or(text);
    number.parse().map(NodeId).map_err(|_| "a node is a number, such as 3 or n3".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_named_by_its_number_with_or_without_n() {
        assert_eq!(parse_node("n3"), Ok(NodeId(3)));
        assert_eq!(parse_node("3"), Ok(NodeId(3)));
        assert!(parse_node("node3").is_err() && parse_node("").is_err());
    }
}
