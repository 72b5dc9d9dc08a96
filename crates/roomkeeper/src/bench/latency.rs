//! `bench latency`: how long a publish takes at a given rate.
//!
//! Open loop: publishes are due at fixed times, whether or not the ones before are acked, and each one's
//! time is taken from when it was due. A cluster that stalls is not let off the publishes of the stall.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use futures::future::try_join_all;
use roomkeeper_client::{Error, PublishTicket};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::figures::{Percentiles, Times};
use super::setup::{Bench, Cluster, CommonArgs, Payload, Span};
use crate::cli::print;

/// Publishes of each socket that may be unanswered: more than a stall of some seconds makes.
const WINDOW: usize = 16_384;

/// Flags of `bench latency`.
#[derive(Debug, Args)]
pub(crate) struct LatencyArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Publishes per second, over all rooms
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Rooms, with one socket each, that take turns
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rooms: u32,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Figures {
    bench: &'static str,
    cluster: Cluster,
    rate: u32,
    rooms: u32,
    size: u32,
    seconds: f64,
    latency_ms: Percentiles,
    reconnects: u64,
}

pub(crate) async fn run(args: LatencyArgs) -> Result<()> {
    let bench = Bench::start(&args.common, args.rooms, WINDOW).await?;
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

/// Publishes at the rate until the span is over, and times the acks.
async fn measure(bench: &Bench, args: &LatencyArgs) -> Result<Figures> {
    let rooms = try_join_all((0..args.rooms as usize).map(|n| bench.open(n))).await?;
    let payload = Payload::new(args.common.size);
    let span = Span::starting_now(&args.common);
    let mut due = metronome(args.rate, span);

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
    Ok(Figures {
        bench: "latency",
        rate: args.rate,
        rooms: args.rooms,
        size: args.common.size,
        seconds: args.common.duration.as_secs_f64(),
        latency_ms: times.percentiles(),
        reconnects: bench.client.metrics().counts().reconnects,
        cluster: bench.cluster,
    })
}

/// Tells when a publish is due, at `rate` per second until the span is over. A thread of its own: the
/// runtime's timers are only good to a millisecond, which is what is measured here.
fn metronome(rate: u32, span: Span) -> mpsc::Receiver<Instant> {
    let (sender, due) = mpsc::channel(WINDOW);
    std::thread::spawn(move || {
        let start = Instant::now();
        for beat in 0u64.. {
            let at = start + Duration::from_nanos(beat * 1_000_000_000 / u64::from(rate));
            if span.is_over(at) {
                return;
            }
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if sender.blocking_send(at).is_err() {
                return;
            }
        }
    });
    due
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

fn show(figures: &Figures) {
    let Figures { cluster, rate, rooms, size, seconds, latency_ms, .. } = figures;
    println!(
        "latency: {} nodes, {} shards; {rate} publishes/s over {rooms} rooms, {size} B, {:?}",
        cluster.nodes,
        cluster.shards,
        Duration::from_secs_f64(*seconds)
    );
    println!("  to ack   {latency_ms}");
    println!("  of       {} publishes", print::number(latency_ms.count));
    if figures.reconnects > 0 {
        println!("  {} during the run", print::count(figures.reconnects, "reconnect"));
    }
}
