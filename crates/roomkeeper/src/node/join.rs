//! How to add a node, for the cluster that there is.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use futures::future::join_all;
use roomkeeper_client::NodeEntry;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::trouble::{FINE, NO};
use crate::cli::{ConnectArgs, print};

/// A port that is not there within this time is not reached.
const PATIENCE: Duration = Duration::from_secs(2);
/// More seeds than these help nobody.
const SEEDS: usize = 3;

/// Prints the command line for a new node, and whether the nodes' peer ports are reached from here.
pub(super) async fn run(connect: &ConnectArgs) -> Result<u8> {
    let map = connect.map().await?;
    let tried = join_all(map.nodes.iter().map(reach)).await;
    println!(
        "cluster {} has {}. A new one joins with an empty data directory, on its machine:\n",
        map.cluster,
        print::count(map.nodes.len() as u64, "node")
    );
    println!("    {}\n", command(&map.nodes));
    println!(
        "It needs the cluster's secret, if there is one (ROOMKEEPER_CLUSTER_SECRET or cluster.secret), and is given its\n\
         share of the shards a few at a time: `roomkeeper status` shows the moves.\n\nPeer ports, from this machine:"
    );
    let mut table = print::table(["NODE", "PEER", "REACHED"]);
    for (node, trouble) in map.nodes.iter().zip(&tried) {
        let reached = trouble.clone().map_or("yes".to_owned(), |why| format!("no: {why}"));
        table.add_row([node.node.to_string(), node.peer.clone(), reached]);
    }
    print::show(&table);
    Ok(if tried.iter().any(Option::is_none) { FINE } else { NO })
}

/// Why the node's peer port is not reached, if it is not.
async fn reach(node: &NodeEntry) -> Option<String> {
    match timeout(PATIENCE, TcpStream::connect(&node.peer)).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {PATIENCE:?}")),
    }
}

fn command(nodes: &[NodeEntry]) -> String {
    let seeds: Vec<&str> = nodes.iter().take(SEEDS).map(|node| node.peer.as_str()).collect();
    let seeds = seeds.join(",");
    let local =
        |node: &NodeEntry| node.peer.parse().is_ok_and(|address: SocketAddr| address.ip().is_loopback());
    if nodes.iter().all(local) {
        // All on one machine: ports that are free.
        let port = |by: u16| {
            let ports = nodes.iter().filter_map(|node| node.peer.parse().ok());
            let last = ports.map(|address: SocketAddr| address.port()).max().unwrap_or(7701);
            SocketAddr::from((IpAddr::from([127, 0, 0, 1]), last.saturating_add(by)))
        };
        return format!(
            "roomkeeper serve --data-dir DIR --join {seeds} --listen {} --listen-peer {} --listen-admin {}",
            port(9),
            port(10),
            port(11)
        );
    }
    format!(
        "roomkeeper serve --data-dir DIR --join {seeds} --listen 0.0.0.0:7700 --advertise http://HOST:7700 \
         --listen-peer 0.0.0.0:7701 --advertise-peer HOST:7701"
    )
}

#[cfg(test)]
mod tests {
    use roomkeeper_client::NodeState;
    use roomkeeper_client::types::NodeId;

    use super::*;

    fn node(peer: &str) -> NodeEntry {
        NodeEntry {
            node: NodeId(1),
            url: "http://a:7700".into(),
            peer: peer.into(),
            admin: None,
            zone: None,
            weight: 1,
            state: NodeState::Active,
            votes: true,
            alive: true,
            load: None,
        }
    }

    #[test]
    fn command_names_seeds_and_what_the_new_machine_must_fill_in() {
        let elsewhere = command(&[node("a:7701"), node("b:7701")]);
        assert!(
            elsewhere.contains("--join a:7701,b:7701") && elsewhere.contains("--advertise-peer HOST:7701")
        );
        let here = command(&[node("127.0.0.1:7711"), node("127.0.0.1:7721")]);
        assert!(here.contains("--listen 127.0.0.1:7730 --listen-peer 127.0.0.1:7731"), "{here}");
    }
}
