//! `bench latency`: how long a publish takes at a given rate.
//!
//! Open loop: publishes are due at fixed times, whether or not the ones before are acked, and each one's
//! time is taken from when it was due. A cluster that stalls is not let off the publishes of the stall.

use anyhow::Result;
use clap::Args;
use roomkeeper_client::{Error, PublishTicket};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::figures::{Percentiles, Times};
use super::payload::{Payload, SizeArgs};
use super::report::{self, Figures};
use super::setup::{Bench, CommonArgs};
use super::span::{Span, metronome};
use crate::cli::print;

/// Publishes of each socket that may be unanswered: more than a stall of some seconds makes.
const WINDOW: usize = 16_384;

/// Flags of `bench latency`.
#[derive(Debug, Args)]
pub(crate) struct LatencyArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    size: SizeArgs,
    /// Publishes per second, over all rooms
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Rooms, with one socket each, that take turns
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rooms: u32,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Latency {
    rate: u32,
    rooms: u32,
    size: u32,
    latency_ms: Percentiles,
}

pub(crate) async fn run(args: LatencyArgs) -> Result<()> {
    report::run(&args.common, (args.rooms, WINDOW), async |bench| measure(bench, &args).await).await
}

/// Publishes at the rate until the span is over, and times the acks.
async fn measure(bench: &Bench, args: &LatencyArgs) -> Result<Latency> {
    let rooms = bench.open(args.rooms).await?;
    let payload = Payload::new(args.size);
    let span = Span::starting_now(&args.common);
    let mut due = metronome(args.rate, span, WINDOW);

    // One collector per room: acks of a room come in the order of its publishes.
    let mut lanes = Vec::new();
    for room in rooms {
        let (tickets, collected) = mpsc::channel(WINDOW);
        lanes.push((room, tickets, tokio::spawn(collect(collected, span))));
    }
    let mut turn = 0;
    while let Some(at) = due.recv().await {
        let (room, tickets, _) = &lanes[turn];
        turn = (turn + 1) % lanes.len();
        let ticket = room.publish_pipelined(vec![payload.message()]).await?;
        if tickets.send((at, ticket)).await.is_err() {
            // The collector has met an error: it is told below.
            break;
        }
    }
    let mut times = Times::new();
    for (_, tickets, collector) in lanes {
        drop(tickets);
        times.add(&collector.await??);
    }
    Ok(Latency { rate: args.rate, rooms: args.rooms, size: args.size.size, latency_ms: times.percentiles() })
}

/// Waits for acks and takes the time of those that were due within the span.
async fn collect(mut tickets: mpsc::Receiver<(Instant, PublishTicket)>, span: Span) -> Result<Times, Error> {
    let mut times = Times::new();
    while let Some((due, ticket)) = tickets.recv().await {
        ticket.await?;
        if span.contains(due) {
            times.record(due.elapsed());
        }
    }
    Ok(times)
}

impl Figures for Latency {
    const NAME: &'static str = "latency";

    fn settings(&self) -> String {
        let Self { rate, rooms, size, .. } = self;
        format!("{rate} publishes/s over {rooms} rooms, {size} B")
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let count = format!("{} publishes", print::number(self.latency_ms.count));
        vec![("to ack", self.latency_ms.to_string()), ("of", count)]
    }
}
