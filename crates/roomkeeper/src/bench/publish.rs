//! `bench publish`: how many messages per second are acked.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use futures::future::try_join_all;
use roomkeeper_client::{Error, PublishTicket, Room};
use serde::Serialize;
use tokio::time::Instant;

use super::figures::{Percentiles, Times};
use super::setup::{Bench, Cluster, CommonArgs, Payload, Span};
use crate::cli::print;

/// Flags of `bench publish`.
#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Sockets that publish
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Publishes of each socket that wait for their ack at a time
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    window: u32,
    /// Rooms; connection k publishes to room k modulo this [default: one per connection]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rooms: Option<u32>,
    /// Messages of each publish
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    batch: u32,
}

impl PublishArgs {
    fn rooms(&self) -> u32 {
        self.rooms.unwrap_or(self.connections)
    }
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Figures {
    bench: &'static str,
    cluster: Cluster,
    connections: u32,
    window: u32,
    rooms: u32,
    batch: u32,
    size: u32,
    seconds: f64,
    acked: u64,
    acked_per_second: u64,
    /// From the call to the ack, with a full window.
    latency_ms: Percentiles,
    reconnects: u64,
}

pub(crate) async fn run(args: PublishArgs) -> Result<()> {
    let bench = Bench::start(&args.common, args.rooms(), args.window as usize).await?;
    let figures = measure(&bench, &args).await;
    // Also after a failure: the rooms are of no use to anyone.
    bench.finish().await;
    let figures = figures?;
    if args.common.json {
        return print::json(&figures);
    }
    show(&figures);
    Ok(())
}

/// Keeps every connection's window full until the span is over.
async fn measure(bench: &Bench, args: &PublishArgs) -> Result<Figures> {
    let opened = (0..args.connections as usize).map(|n| bench.open(n));
    let opened = try_join_all(opened).await?;

    let span = Span::starting_now(&args.common);
    let load = Load {
        payload: Payload::new(args.common.size),
        window: args.window as usize,
        batch: args.batch,
        span,
    };
    let tasks: Vec<_> = opened.into_iter().map(|room| tokio::spawn(publish(room, load.clone()))).collect();
    let (mut acked, mut times) = (0, Times::new());
    for task in tasks {
        let (count, taken) = task.await??;
        acked += count;
        times.add(&taken);
    }
    Ok(Figures {
        bench: "publish",
        connections: args.connections,
        window: args.window,
        rooms: args.rooms(),
        batch: args.batch,
        size: args.common.size,
        seconds: args.common.duration.as_secs_f64(),
        acked,
        acked_per_second: print::rate(acked, args.common.duration),
        latency_ms: times.percentiles(),
        reconnects: bench.client.metrics().counts().reconnects,
        cluster: bench.cluster,
    })
}

/// What each connection does.
#[derive(Debug, Clone)]
struct Load {
    payload: Payload,
    window: usize,
    batch: u32,
    span: Span,
}

/// Keeps one socket's window full until the span is over. Returns the messages acked within it, and how
/// long each publish took.
async fn publish(room: Room, load: Load) -> Result<(u64, Times), Error> {
    let mut pending: VecDeque<(Instant, PublishTicket)> = VecDeque::with_capacity(load.window);
    let (mut acked, mut times) = (0, Times::new());
    loop {
        let now = Instant::now();
        if load.span.is_over(now) {
            break;
        }
        if pending.len() == load.window
            && let Some((sent, ticket)) = pending.pop_front()
        {
            ticket.await?;
            let now = Instant::now();
            if load.span.contains(now) {
                acked += u64::from(load.batch);
                times.record(now - sent);
            }
        }
        let messages = (0..load.batch).map(|_| load.payload.message()).collect();
        pending.push_back((now, room.publish_pipelined(messages).await?));
    }
    // Whatever is still on its way is no part of the figures, but it must not fail either.
    for (_, ticket) in pending {
        ticket.await?;
    }
    Ok((acked, times))
}

fn show(figures: &Figures) {
    let Figures { cluster, connections, window, rooms, batch, size, seconds, .. } = figures;
    println!(
        "publish: {} nodes, {} shards; {connections} connections, window {window}, {rooms} rooms, \
         {batch} × {size} B per publish, {:?}",
        cluster.nodes,
        cluster.shards,
        Duration::from_secs_f64(*seconds)
    );
    println!("  acked    {} messages/s", print::number(figures.acked_per_second));
    println!("  to ack   {}", figures.latency_ms);
    if figures.reconnects > 0 {
        println!("  {} during the run", print::count(figures.reconnects, "reconnect"));
    }
}
