//! `bench fanout`: how many messages per second reach the subscribers of one room.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use clap::Args;
use futures::StreamExt;
use roomkeeper_client::protocol::From;
use roomkeeper_client::{Error, Event, PublishTicket, Room, Subscription};
use serde::Serialize;
use tokio::time::Instant;

use super::figures::{Percentiles, Times};
use super::payload::{Payload, SizeArgs};
use super::report::{self, Figures};
use super::setup::{Bench, CommonArgs, all};
use super::span::Span;
use crate::cli::print;

/// Flags of `bench fanout`.
#[derive(Debug, Args)]
pub(crate) struct FanoutArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    size: SizeArgs,
    /// Subscribers of the room, each with a socket
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    subscribers: u32,
    /// Publishes that wait for their ack at a time
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    window: u32,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Fanout {
    subscribers: u32,
    window: u32,
    size: u32,
    delivered: u64,
    delivered_per_second: u64,
    published_per_second: u64,
    /// From the publish to its delivery, of one message in each push.
    latency_ms: Percentiles,
}

pub(crate) async fn run(args: FanoutArgs) -> Result<()> {
    let rooms = (1, args.window as usize);
    report::run(&args.common, rooms, async |bench| measure(bench, &args).await).await
}

/// Publishes to all subscribers until the span is over, and counts what they get.
async fn measure(bench: &Bench, args: &FanoutArgs) -> Result<Fanout> {
    let publisher = bench.room(0);
    let joined = all((0..args.subscribers).map(|_| join(bench))).await?;

    let payload = Payload::new(args.size);
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
    Ok(Fanout {
        subscribers: args.subscribers,
        window: args.window,
        size: args.size.size,
        delivered,
        delivered_per_second: print::rate(delivered, args.common.duration),
        published_per_second: print::rate(acked, args.common.duration),
        latency_ms: times.percentiles(),
    })
}

async fn join(bench: &Bench) -> Result<Subscription, Error> {
    bench.room(0).subscribe(From::Latest).await
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

impl Figures for Fanout {
    const NAME: &'static str = "fanout";

    fn settings(&self) -> String {
        let Self { subscribers, window, size, .. } = self;
        format!("1 room, {subscribers} subscribers, window {window}, {size} B")
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let rate = |per_second| format!("{} messages/s", print::number(per_second));
        vec![
            ("delivered", rate(self.delivered_per_second)),
            ("published", rate(self.published_per_second)),
            ("on its way", self.latency_ms.to_string()),
        ]
    }
}
