//! `bench fanout`: how many messages per second reach the subscribers of one room.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use futures::StreamExt;
use futures::future::try_join_all;
use roomkeeper_client::protocol::From;
use roomkeeper_client::{Error, Event, PublishTicket, Room, Subscription};
use serde::Serialize;
use tokio::time::Instant;

use super::figures::{Percentiles, Times};
use super::setup::{Bench, Cluster, CommonArgs, Payload, Span};
use crate::cli::print;

/// Flags of `bench fanout`.
#[derive(Debug, Args)]
pub(crate) struct FanoutArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Subscribers of the room, each with a socket
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    subscribers: u32,
    /// Publishes that wait for their ack at a time
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    window: u32,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Figures {
    bench: &'static str,
    cluster: Cluster,
    subscribers: u32,
    window: u32,
    size: u32,
    seconds: f64,
    delivered: u64,
    delivered_per_second: u64,
    published_per_second: u64,
    /// From the publish to its delivery, of one message in each push.
    latency_ms: Percentiles,
    reconnects: u64,
}

pub(crate) async fn run(args: FanoutArgs) -> Result<()> {
    let bench = Bench::start(&args.common, 1, args.window as usize).await?;
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

/// Publishes to all subscribers until the span is over, and counts what they get.
async fn measure(bench: &Bench, args: &FanoutArgs) -> Result<Figures> {
    let publisher = bench.open(0).await?;
    let joined = (0..args.subscribers as usize).map(|n| join(bench, n));
    let joined = try_join_all(joined).await?;

    let payload = Payload::new(args.common.size);
    let span = Span::starting_now(&args.common);
    let delivered = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = joined
        .into_iter()
        .map(|subscription| tokio::spawn(read(subscription, payload.clone(), span, delivered.clone())))
        .collect();
    let publishing = tokio::spawn(publish(publisher, payload, args.window as usize, span));

    span.begun().await;
    let before = delivered.load(Ordering::Relaxed);
    span.over().await;
    let delivered = delivered.load(Ordering::Relaxed) - before;
    let acked = publishing.await??;
    let mut times = Times::new();
    for reader in readers {
        times.add(&reader.await??);
    }
    Ok(Figures {
        bench: "fanout",
        subscribers: args.subscribers,
        window: args.window,
        size: args.common.size,
        seconds: args.common.duration.as_secs_f64(),
        delivered,
        delivered_per_second: print::rate(delivered, args.common.duration),
        published_per_second: print::rate(acked, args.common.duration),
        latency_ms: times.percentiles(),
        reconnects: bench.client.metrics().counts().reconnects,
        cluster: bench.cluster,
    })
}

async fn join(bench: &Bench, n: usize) -> Result<Subscription, Error> {
    bench.open(n).await?.subscribe(From::Latest).await
}

/// Keeps the window full until the span is over; returns the messages acked within it.
async fn publish(room: Room, payload: Payload, window: usize, span: Span) -> Result<u64, Error> {
    let mut pending: VecDeque<PublishTicket> = VecDeque::with_capacity(window);
    let mut acked = 0;
    while !span.is_over(Instant::now()) {
        if pending.len() == window
            && let Some(ticket) = pending.pop_front()
        {
            ticket.await?;
            acked += u64::from(span.contains(Instant::now()));
        }
        pending.push_back(room.publish_pipelined(vec![payload.message()]).await?);
    }
    for ticket in pending {
        ticket.await?;
    }
    Ok(acked)
}

/// Counts what one subscriber gets, until the span is over.
async fn read(
    mut subscription: Subscription,
    payload: Payload,
    span: Span,
    delivered: Arc<AtomicU64>,
) -> Result<Times, Error> {
    let mut times = Times::new();
    let mut over = std::pin::pin!(span.over());
    loop {
        let event = tokio::select! {
            event = subscription.next() => event,
            () = &mut over => return Ok(times),
        };
        let Some(event) = event else { return Ok(times) };
        if let Event::Items(items) = event? {
            delivered.fetch_add(items.len() as u64, Ordering::Relaxed);
            if let Some(age) = items.last().and_then(|item| payload.age(&item.data))
                && span.contains(Instant::now())
            {
                times.record(age);
            }
        }
    }
}

fn show(figures: &Figures) {
    let Figures { cluster, subscribers, window, size, seconds, .. } = figures;
    println!(
        "fanout: {} nodes, {} shards; 1 room, {subscribers} subscribers, window {window}, {size} B, {:?}",
        cluster.nodes,
        cluster.shards,
        Duration::from_secs_f64(*seconds)
    );
    println!("  delivered   {} messages/s", print::number(figures.delivered_per_second));
    println!("  published   {} messages/s", print::number(figures.published_per_second));
    println!("  on its way  {}", figures.latency_ms);
    if figures.reconnects > 0 {
        println!("  {} during the run", print::count(figures.reconnects, "reconnect"));
    }
}
