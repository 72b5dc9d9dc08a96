//! `roomkeeper events`: what happened to ownership and replicas, from the admin listeners of all nodes, in one list.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use futures::future::join_all;
use roomkeeper_client::NodeEntry;
use roomkeeper_client::types::NodeId;
use serde::{Deserialize, Serialize};

use crate::cli::trouble::{FINE, NO};
use crate::cli::{ConnectArgs, print};

/// Longest wait for one node's answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// With `--follow`, how often nodes are asked for more.
const FOLLOW: Duration = Duration::from_millis(500);

/// Flags of `events`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Show at most so many, the newest
    #[arg(long, default_value_t = 50, value_name = "N")]
    last: usize,
    /// Go on with events as they happen
    #[arg(long)]
    follow: bool,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// An event as `GET /v1/events` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Event {
    number: u64,
    at_ms: u64,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shard: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<NodeId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<NodeId>,
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
}

/// An event and the node that tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Told {
    node: NodeId,
    #[serde(flatten)]
    event: Event,
}

/// Prints events of all nodes that answer. Exit code 1: some node did not.
pub(crate) async fn run(args: EventsArgs) -> Result<u8> {
    let nodes = args.connect.map().await?.nodes;
    let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let mut seen = BTreeMap::new();
    let (mut events, silent) = ask(&http, &nodes, &mut seen).await;
    for (node, why) in &silent {
        eprintln!("{node} tells no events: {why}");
    }
    let skipped = events.len().saturating_sub(args.last);
    show(&args, &events.split_off(skipped), true)?;
    if !args.follow {
        return Ok(if silent.is_empty() { FINE } else { NO });
    }
    loop {
        tokio::time::sleep(FOLLOW).await;
        // A node that is down for a while is asked again; that it is down is an event of the others.
        let (events, _) = ask(&http, &nodes, &mut seen).await;
        show(&args, &events, false)?;
    }
}

/// New events in the order of their clocks, and who did not answer. `seen`: the last number of every node.
async fn ask(
    http: &reqwest::Client,
    nodes: &[NodeEntry],
    seen: &mut BTreeMap<NodeId, u64>,
) -> (Vec<Told>, Vec<(NodeId, String)>) {
    let asked = nodes.iter().map(|node| {
        let after = seen.get(&node.node).copied().unwrap_or_default();
        async move { (node.node, events_of(http, node, after).await) }
    });
    let (mut events, mut silent) = (Vec::new(), Vec::new());
    for (node, answer) in join_all(asked).await {
        match answer {
            Ok(told) => {
                if let Some(last) = told.last() {
                    seen.insert(node, last.number);
                }
                events.extend(told.into_iter().map(|event| Told { node, event }));
            }
            Err(why) => {
                // It counts from 1 again when it was restarted.
                seen.remove(&node);
                silent.push((node, why));
            }
        }
    }
    events.sort_by_key(|told| (told.event.at_ms, told.node, told.event.number));
    (events, silent)
}

async fn events_of(http: &reqwest::Client, node: &NodeEntry, after: u64) -> Result<Vec<Event>, String> {
    let admin = node.admin.as_deref().ok_or("it advertises no admin address")?;
    let request = http.get(format!("http://{admin}/v1/events?after={after}")).send();
    let answer = request.await.and_then(reqwest::Response::error_for_status);
    let answer = answer.map_err(|error| format!("{admin} does not answer: {error}"))?;
    answer.json().await.map_err(|error| format!("{admin} answers something else: {error}"))
}

fn show(args: &EventsArgs, events: &[Told], first: bool) -> Result<()> {
    if args.json {
        for told in events {
            println!("{}", serde_json::to_string(told)?);
        }
        return Ok(());
    }
    if events.is_empty() {
        return Ok(());
    }
    let mut table =
        print::table(["TIME (UTC)", "TOLD BY", "EVENT", "SHARD", ">EPOCH", "FROM", "TO", ">TOOK", "WHY"]);
    for Told { node, event } in events {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.add_row([
            time_of_day(event.at_ms),
            node.to_string(),
            event.kind.replace('_', "-"),
            or_none(event.shard.map(|shard| format!("s{shard}"))),
            or_none(event.epoch.map(|epoch| epoch.to_string())),
            or_none(event.from.map(|node| node.to_string())),
            or_none(event.to.map(|node| node.to_string())),
            or_none(event.duration_ms.map(|millis| format!("{millis} ms"))),
            event.reason.clone(),
        ]);
    }
    let lines: Vec<String> = table.lines().collect();
    // The head once.
    for line in lines.iter().skip(if first { 0 } else { 1 }) {
        println!("{}", line.trim_end());
    }
    Ok(())
}

/// `hh:mm:ss.mmm`.
fn time_of_day(at_ms: u64) -> String {
    let (seconds, millis) = (at_ms / 1_000, at_ms % 1_000);
    let (hours, minutes, seconds) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{millis:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_day_is_read_off_the_clock() {
        assert_eq!(time_of_day(0), "00:00:00.000");
        assert_eq!(time_of_day(1_795_213_017_042), "22:16:57.042");
    }

    #[test]
    fn event_without_optional_parts_is_read() {
        let event: Event =
            serde_json::from_str(r#"{"number":3,"at_ms":7,"kind":"suspicion","reason":"r"}"#).unwrap();
        assert_eq!((event.number, event.shard, event.duration_ms), (3, None, None));
    }
}
