//! The nodes as a table.

use anyhow::Result;

use crate::cli::trouble::{FINE, NO};
use crate::cli::{ConnectArgs, print};
use crate::status::{NodeState, Picture, ask_everyone};

/// Prints the nodes. Exit code 1: one of them does not answer.
pub(super) async fn run(connect: &ConnectArgs, json: bool) -> Result<u8> {
    let picture = Picture::of(&ask_everyone(connect).await?);
    if json {
        print::json(&picture.nodes)?;
    } else {
        show(&picture.nodes);
    }
    Ok(if picture.nodes.iter().all(|node| node.answers) { FINE } else { NO })
}

fn show(nodes: &[NodeState]) {
    let heads = ["NODE", "STATE", "URL", "ZONE", ">WEIGHT", ">OWNS", ">HOLDS", ">LAG", "META", "ALIVE"];
    let mut table = print::table(heads);
    for node in nodes {
        table.add_row([
            node.node.to_string(),
            node.standing().to_owned(),
            node.url.clone(),
            node.zone.clone().unwrap_or_else(|| "-".to_owned()),
            node.weight.to_string(),
            node.owned.to_string(),
            node.replicas.to_string(),
            node.lag.map_or("-".to_owned(), print::number),
            if node.votes { "votes" } else { "learns" }.to_owned(),
            if node.answers { "yes" } else { "no" }.to_owned(),
        ]);
    }
    print::show(&table);
}
