//! `bench publish`: how many messages per second are acked.

use std::collections::VecDeque;

use anyhow::Result;
use clap::Args;
use roomkeeper_client::{Error, PublishTicket, Room};
use serde::Serialize;
use tokio::time::Instant;

use super::figures::{Percentiles, Times};
use super::payload::{Payload, SizeArgs};
use super::report::{self, Figures};
use super::setup::{Bench, CommonArgs};
use super::span::Span;
use crate::cli::print;

/// Flags of `bench publish`.
#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    size: SizeArgs,
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
struct Published {
    connections: u32,
    window: u32,
    rooms: u32,
    batch: u32,
    size: u32,
    acked: u64,
    acked_per_second: u64,
    /// From the call to the ack, with a full window.
    latency_ms: Percentiles,
}

pub(crate) async fn run(args: PublishArgs) -> Result<()> {
    let rooms = (args.rooms(), args.window as usize);
    report::run(&args.common, rooms, async |bench| measure(bench, &args).await).await
}

/// Keeps every connection's window full until the span is over.
async fn measure(bench: &Bench, args: &PublishArgs) -> Result<Published> {
    let opened = bench.open(args.connections).await?;

    let span = Span::starting_now(&args.common);
    let load =
        Load { payload: Payload::new(args.size), window: args.window as usize, batch: args.batch, span };
    let tasks: Vec<_> = opened.into_iter().map(|room| tokio::spawn(publish(room, load.clone()))).collect();
    let (mut acked, mut times) = (0, Times::new());
    for task in tasks {
        let (count, taken) = task.await??;
        acked += count;
        times.add(&taken);
    }
    Ok(Published {
        connections: args.connections,
        window: args.window,
        rooms: args.rooms(),
        batch: args.batch,
        size: args.size.size,
        acked,
        acked_per_second: print::rate(acked, args.common.duration),
        latency_ms: times.percentiles(),
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

impl Figures for Published {
    const NAME: &'static str = "publish";

    fn settings(&self) -> String {
        let Self { connections, window, rooms, batch, size, .. } = self;
        format!("{connections} connections, window {window}, {rooms} rooms, {batch} × {size} B per publish")
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let acked = format!("{} messages/s", print::number(self.acked_per_second));
        vec![("acked", acked), ("to ack", self.latency_ms.to_string())]
    }
}
