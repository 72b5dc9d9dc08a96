//! `bench slow`: what subscribers that read slowly cost the others, and the server.
//!
//! One room, messages at a given rate. Rounds take turns: the fast subscribers alone, and with the slow ones, which
//! read at a share of the rate. Those join at the beginning of a log that no buffer on their way holds, so that they
//! are slow for the server too from the first moment on: their sockets take nothing more, and it goes on from the log
//! at their pace. A round begins when they have what their buffers hold. Times are from when a message was due.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use futures::StreamExt;
use roomkeeper_client::protocol::From;
use roomkeeper_client::types::Offset;
use roomkeeper_client::{Client, ClientConfig, Error, Event, Room, Subscription};
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::figures::{Percentiles, Times, each, median};
use super::nodes::{Nodes, Peak, grown, mib};
use super::payload::{Payload, SizeArgs};
use super::report::{self, Figures};
use super::setup::{Bench, CommonArgs, all};
use super::span::{Span, metronome};
use crate::cli::print;

/// Publishes that may be unanswered: more than a stall of some seconds makes.
const WINDOW: usize = 16_384;
/// Messages of a publish that fills the log.
const FILL_BATCH: u32 = 500;
/// The slow ones are full when no page of the log was read for them for so long.
const FULL_AFTER: Duration = Duration::from_secs(1);

/// Flags of `bench slow`.
#[derive(Debug, Args)]
pub(crate) struct SlowArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    size: SizeArgs,
    /// Subscribers of the room, each with a socket
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    subscribers: u32,
    /// How many of them are slow
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    slow: u32,
    /// What share of the rate these read; 0: they read nothing
    #[arg(long, default_value_t = 0.1)]
    share: f64,
    /// Messages per second
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Rounds of each kind
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Messages in the log that the slow ones begin with
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..))]
    behind: u32,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Slow {
    subscribers: u32,
    slow: u32,
    share: f64,
    rate: u32,
    size: u32,
    without: Vec<Round>,
    with: Vec<Round>,
    /// Medians of the fast ones' p99.
    without_p99_ms: f64,
    with_p99_ms: f64,
    ratio: f64,
    /// Of the node that took most, at any moment of a round of that kind.
    without_peak_bytes: u64,
    with_peak_bytes: u64,
}

/// What was measured in one round.
#[derive(Debug, Clone, Copy, Serialize)]
struct Round {
    /// From when a message was due to its delivery to a fast subscriber.
    latency_ms: Percentiles,
    published: u64,
    /// What each of the slow ones has read on average; 0 without them.
    read_slowly: u64,
    /// Messages that the slow one which is furthest along is behind.
    behind: u64,
    /// How many of these each has in buffers on its way, when the round begins.
    in_buffers: u64,
    peak_bytes: u64,
}

pub(crate) async fn run(args: SlowArgs) -> Result<()> {
    ensure!(
        args.slow < args.subscribers,
        "of {} subscribers, {} cannot be slow",
        args.subscribers,
        args.slow
    );
    ensure!((0.0..1.0).contains(&args.share), "--share: expected 0 to less than 1");
    report::run(&args.common, (1, WINDOW), async |bench| measure(bench, &args).await).await
}

async fn measure(bench: &Bench, args: &SlowArgs) -> Result<Slow> {
    let publisher = bench.room(0);
    let payload = Payload::new(args.size);
    fill(&publisher, &payload, args.behind).await?;

    let fast = args.subscribers - args.slow;
    let mut crowd = Crowd {
        publisher,
        payload,
        // It holds as little as it can.
        slowly: Client::new(ClientConfig { buffer: 1, ..bench.client.config().clone() })?,
        fast: all((0..fast).map(|_| async { bench.room(0).subscribe(From::Latest).await })).await?,
        nodes: Arc::new(Nodes::of(&bench.map)?),
    };
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        without.push(crowd.round(args, Vec::new()).await?);
        let (slow, in_buffers) = crowd.join_slowly(bench, args).await?;
        with.push(Round { in_buffers, ..crowd.round(args, slow).await? });
    }
    let reconnects = crowd.slowly.metrics().counts().reconnects;
    ensure!(reconnects == 0, "slow subscribers were cut off {reconnects} times");
    let p99 = |rounds: &[Round]| median(rounds.iter().map(|round| round.latency_ms.p99));
    let peak = |rounds: &[Round]| rounds.iter().map(|round| round.peak_bytes).max().unwrap_or_default();
    Ok(Slow {
        subscribers: args.subscribers,
        slow: args.slow,
        share: args.share,
        rate: args.rate,
        size: args.size.size,
        without_p99_ms: p99(&without),
        with_p99_ms: p99(&with),
        ratio: p99(&with) / p99(&without),
        without_peak_bytes: peak(&without),
        with_peak_bytes: peak(&with),
        without,
        with,
    })
}

/// Puts messages into the log.
async fn fill(room: &Room, payload: &Payload, messages: u32) -> Result<(), Error> {
    let mut tickets = Vec::new();
    let mut left = messages;
    while left > 0 {
        let now = left.min(FILL_BATCH);
        tickets.push(room.publish_pipelined((0..now).map(|_| payload.message()).collect()).await?);
        left -= now;
    }
    for ticket in tickets {
        ticket.await?;
    }
    Ok(())
}

/// Whoever is there in every round.
struct Crowd {
    publisher: Room,
    payload: Payload,
    /// Who the slow ones are.
    slowly: Client,
    fast: Vec<Subscription>,
    nodes: Arc<Nodes>,
}

impl Crowd {
    /// Subscribers at the beginning of the log that read nothing yet, and have what the buffers on their way hold: so
    /// many messages each.
    async fn join_slowly(&self, bench: &Bench, args: &SlowArgs) -> Result<(Vec<Subscription>, u64)> {
        let before = self.nodes.read().await?;
        let join = |_| async { bench.room_of(&self.slowly, 0).subscribe(From::Beginning).await };
        let joined = all((0..args.slow).map(join)).await?;
        let mut last = self.nodes.read().await?;
        loop {
            sleep(FULL_AFTER).await;
            let now = self.nodes.read().await?;
            if grown(&last, &now, |reading| reading.log_pages) == 0 {
                let held = grown(&before, &now, |reading| reading.delivered) / u64::from(args.slow);
                // Else they would not be slow for the server.
                ensure!(held < u64::from(args.behind), "the buffers hold {held} messages: raise --behind");
                return Ok((joined, held));
            }
            last = now;
        }
    }

    /// Publishes at the rate until the span is over, and times the deliveries to the fast ones.
    async fn round(&mut self, args: &SlowArgs, slow: Vec<Subscription>) -> Result<Round> {
        let span = Span::starting_now(&args.common);
        let peak = Peak::watch(self.nodes.clone());
        let fast: Vec<_> = self
            .fast
            .drain(..)
            .map(|subscription| tokio::spawn(read(subscription, self.payload.clone(), span)))
            .collect();
        let pace = (args.share > 0.0).then(|| 1.0 / (f64::from(args.rate) * args.share));
        let slow: Vec<JoinHandle<_>> = slow
            .into_iter()
            .map(|subscription| tokio::spawn(read_slowly(subscription, pace, span)))
            .collect();
        let (published, head) = publish(&self.publisher, &self.payload, args.rate, span).await?;

        let mut times = Times::new();
        for reader in fast {
            let (subscription, taken) = reader.await??;
            self.fast.push(subscription);
            times.add(&taken);
        }
        let (mut read, mut furthest, readers) = (0, Offset(0), slow.len() as u64);
        for reader in slow {
            let position = reader.await??;
            read += position.get();
            furthest = furthest.max(position);
        }
        let behind = if readers > 0 { head.get() - furthest.get() } else { 0 };
        Ok(Round {
            latency_ms: times.percentiles(),
            published,
            read_slowly: read / readers.max(1),
            behind,
            in_buffers: 0,
            peak_bytes: peak.end().await?,
        })
    }
}

/// Publishes at the rate until the span is over; how many, and the last one's offset.
async fn publish(room: &Room, payload: &Payload, rate: u32, span: Span) -> Result<(u64, Offset), Error> {
    let mut due = metronome(rate, span, WINDOW);
    let mut tickets = Vec::new();
    while let Some(at) = due.recv().await {
        tickets.push(room.publish_pipelined(vec![payload.made_at(at)]).await?);
    }
    let (published, mut head) = (tickets.len() as u64, Offset(0));
    for ticket in tickets {
        head = head.max(ticket.await?.offsets.last().copied().unwrap_or_default());
    }
    Ok((published, head))
}

/// Times what one subscriber gets until the span is over.
async fn read(
    mut subscription: Subscription,
    payload: Payload,
    span: Span,
) -> Result<(Subscription, Times), Error> {
    let mut times = Times::new();
    let mut over = std::pin::pin!(span.over());
    loop {
        let event = tokio::select! {
            event = subscription.next() => event,
            () = &mut over => return Ok((subscription, times)),
        };
        let Some(event) = event else { return Err(Error::Stopped) };
        if let Event::Items(items) = event?
            && span.contains(Instant::now())
        {
            items.iter().filter_map(|item| payload.age(&item.data)).for_each(|age| times.record(age));
        }
    }
}

/// Reads a message each `pace` seconds, or nothing, until the span is over; the last offset read.
async fn read_slowly(mut subscription: Subscription, pace: Option<f64>, span: Span) -> Result<Offset, Error> {
    let mut last = Offset(0);
    let mut over = std::pin::pin!(span.over());
    let Some(pace) = pace else {
        over.await;
        return Ok(last);
    };
    loop {
        let event = tokio::select! {
            event = subscription.next() => event,
            () = &mut over => return Ok(last),
        };
        let Some(event) = event else { return Err(Error::Stopped) };
        if let Event::Items(items) = event? {
            last = items.last().map_or(last, |item| item.offset);
            tokio::select! {
                () = sleep(Duration::from_secs_f64(pace * items.len() as f64)) => {}
                () = &mut over => return Ok(last),
            }
        }
    }
}

impl Figures for Slow {
    const NAME: &'static str = "slow";

    fn settings(&self) -> String {
        let Self { subscribers, slow, share, rate, size, .. } = self;
        format!(
            "1 room, {subscribers} subscribers of which {slow} read {share} of {rate} messages/s, {size} B, {} rounds",
            self.with.len()
        )
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let p99 = |rounds: &[Round]| each(rounds, |round| format!("{:.2}", round.latency_ms.p99));
        let line = |median: f64, rounds: &[Round], peak| {
            let (p99, peak) = (p99(rounds), mib(peak));
            format!("p99 {median:.2} ms (rounds: {p99}); memory of a node at most {peak:.1} MiB")
        };
        let read =
            |round: &Round| format!("{} read, {} behind", round.read_slowly, print::number(round.behind));
        vec![
            ("without", line(self.without_p99_ms, &self.without, self.without_peak_bytes)),
            ("with", line(self.with_p99_ms, &self.with, self.with_peak_bytes)),
            ("ratio", format!("{:.2}", self.ratio)),
            ("slow ones", each(&self.with, read)),
        ]
    }
}
