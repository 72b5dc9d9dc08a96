//! `bench heartbeats`: what clients cost that do nothing but say that they are there.
//!
//! The cluster is looked at twice: without clients, and with all of them joined, each sending heartbeats as often as
//! the server asks for. What the server's processes take more the second time is what the clients cost.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use futures::StreamExt;
use roomkeeper_client::protocol::From;
use roomkeeper_client::{Error, Event, Subscription};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::nodes::{CpuShare, Nodes, cpu_shares, grown, mib, sum, tell};
use super::report::{self, Figures};
use super::setup::{Bench, CommonArgs, all};
use crate::cli::print;

/// Flags of `bench heartbeats`.
#[derive(Debug, Args)]
pub(crate) struct HeartbeatsArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Clients, each a user with a socket to one room
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    clients: u32,
    /// Rooms that they are in; client k is in room k modulo this
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    rooms: u32,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Heartbeats {
    clients: u32,
    rooms: u32,
    heartbeats: u64,
    heartbeats_per_second: u64,
    /// Without clients.
    idle: Vec<CpuShare>,
    idle_percent_of_a_core: f64,
    with_clients: Vec<CpuShare>,
    with_clients_percent_of_a_core: f64,
    /// The difference.
    clients_percent_of_a_core: f64,
    micros_per_heartbeat: f64,
    /// By which the servers' memory grew as they came.
    bytes_per_client: u64,
}

pub(crate) async fn run(args: HeartbeatsArgs) -> Result<()> {
    // Nothing is published.
    report::run(&args.common, (args.rooms, 1), async |bench| measure(bench, &args).await).await
}

async fn measure(bench: &Bench, args: &HeartbeatsArgs) -> Result<Heartbeats> {
    let nodes = Nodes::of(&bench.map)?;
    let CommonArgs { duration, warmup, .. } = args.common;
    sleep(warmup).await;
    let empty = nodes.read().await?;
    sleep(duration).await;
    let idle_after = nodes.read().await?;
    let idle = cpu_shares(&empty, &idle_after);

    let joined = all((0..args.clients).map(|n| join(bench, n))).await?;
    let longest = joined.iter().map(|(_, longest)| *longest).max().unwrap_or_default();
    let mut listening = JoinSet::new();
    for (subscription, _) in joined {
        listening.spawn(listen(subscription));
    }
    // Then each has sent its first one.
    sleep(longest + warmup).await;
    let before = nodes.read().await?;
    tokio::select! {
        () = sleep(duration) => {}
        // One that ends is one too few.
        Some(ended) = listening.join_next() => ended??,
    }
    let after = nodes.read().await?;
    let with_clients = cpu_shares(&before, &after);

    let heartbeats = grown(&before, &after, |reading| reading.heartbeats);
    let due = f64::from(args.clients) * duration.as_secs_f64() / longest.as_secs_f64();
    ensure!(heartbeats as f64 > 0.9 * due, "only {heartbeats} heartbeats came, of at least {due:.0}");
    let memory = grown(&empty, &after, |reading| i64::try_from(reading.resident).unwrap_or(i64::MAX));
    let (idle_sum, with_sum) = (sum(&idle), sum(&with_clients));
    let per_second = print::rate(heartbeats, duration);
    Ok(Heartbeats {
        clients: args.clients,
        rooms: args.rooms,
        heartbeats,
        heartbeats_per_second: per_second,
        idle,
        idle_percent_of_a_core: idle_sum,
        with_clients,
        with_clients_percent_of_a_core: with_sum,
        clients_percent_of_a_core: with_sum - idle_sum,
        micros_per_heartbeat: (with_sum - idle_sum) / 100.0 * 1e6 / per_second.max(1) as f64,
        bytes_per_client: memory.max(0).unsigned_abs() / u64::from(args.clients),
    })
}

/// A client of its own user that has joined its room, and the longest interval between its heartbeats.
async fn join(bench: &Bench, n: u32) -> Result<(Subscription, Duration), Error> {
    let user = format!("bench-{n}").parse().map_err(|error| Error::BadUrl {
        url: format!("bench-{n}"),
        reason: format!("as a user: {error}"),
    })?;
    let room = bench.room_of(&bench.client.as_user(user), n as usize);
    let [_, longest] = room.connect().await?.heartbeat_ms;
    Ok((room.subscribe(From::Latest).await?, Duration::from_millis(longest.into())))
}

/// Listens, which should be to nothing: nothing is published, so nothing can be missing.
async fn listen(mut subscription: Subscription) -> Result<()> {
    while let Some(event) = subscription.next().await {
        match event? {
            Event::Items(items) => anyhow::bail!("{} messages came, of none", items.len()),
            // It is counted by the client.
            Event::Reconnected(_) => {}
            other => tracing::debug!(?other, "an idle client was told something"),
        }
    }
    anyhow::bail!("a subscription ended by itself")
}

impl Figures for Heartbeats {
    const NAME: &'static str = "heartbeats";

    fn settings(&self) -> String {
        format!(
            "{} idle clients in {}",
            print::number(self.clients.into()),
            print::count(self.rooms.into(), "room")
        )
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        vec![
            ("heartbeats", format!("{}/s", print::number(self.heartbeats_per_second))),
            ("idle before", tell(&self.idle)),
            ("with clients", tell(&self.with_clients)),
            (
                "they cost",
                format!(
                    "{:.2} % of a core, {:.0} µs a heartbeat; {:.1} KiB of memory each",
                    self.clients_percent_of_a_core,
                    self.micros_per_heartbeat,
                    mib(self.bytes_per_client) * 1024.0,
                ),
            ),
        ]
    }
}
