//! `bench cursors`: whether many durable cursors cost more than few.
//!
//! The same rooms and sockets commit to few cursors and to many. First as many commits of each kind, for the servers'
//! memory once all is on disk: few, then many, which makes a row of each. Then rounds take turns, for the rate: few
//! cursors, and the many that are there now, in random order. Every commit moves its cursor.

use anyhow::{Result, ensure};
use clap::Args;
use futures::future::try_join_all;
use futures::stream::{self, StreamExt};
use rand::seq::SliceRandom;
use roomkeeper_client::protocol::Data;
use roomkeeper_client::types::{ConsumerId, Offset};
use roomkeeper_client::{Error, Room, message};
use serde::Serialize;
use tokio::time::Instant;

use super::figures::{each, median};
use super::nodes::{Nodes, Reading, mib};
use super::report::{self, Figures};
use super::setup::{Bench, CommonArgs};
use super::span::Span;
use crate::cli::print;

/// Messages of a publish that fills a room.
const FILL_BATCH: u64 = 1_000;
/// Publishes of a room that may be unanswered while it is filled.
const FILL_WINDOW: usize = 2;

/// Flags of `bench cursors`.
#[derive(Debug, Args)]
pub(crate) struct CursorsArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Many cursors; also the commits of each kind before memory is looked at
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(100..))]
    cursors: u32,
    /// Few cursors
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    few: u32,
    /// Rooms that the cursors are in, with a socket each; their number divides those of cursors
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rooms: u32,
    /// Commits of each socket that wait for their answer at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    window: u32,
    /// Rounds of each kind, for the rate
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Cursors {
    cursors: u32,
    few: u32,
    rooms: u32,
    window: u32,
    /// Commits per second of the ones that memory was looked at behind.
    few_first_per_second: u64,
    many_first_per_second: u64,
    /// Commits per second of each round.
    few_per_second: Vec<u64>,
    many_per_second: Vec<u64>,
    /// Of the medians.
    ratio: f64,
    /// Bytes of each node's process, when all is on disk.
    memory_before: Vec<u64>,
    memory_after_few: Vec<u64>,
    memory_after_many: Vec<u64>,
    /// Behind the rounds, too.
    memory_after_all: Vec<u64>,
    /// By which the many took more than the few, of the node where that is most.
    memory_difference: i64,
}

pub(crate) async fn run(args: CursorsArgs) -> Result<()> {
    let CursorsArgs { cursors, few, rooms, .. } = args;
    let divides = few % rooms == 0 && cursors % rooms == 0;
    ensure!(divides, "--rooms: {rooms} rooms cannot share {few} and {cursors} cursors evenly");
    report::run(&args.common, (rooms, FILL_WINDOW), async |bench| measure(bench, &args).await).await
}

async fn measure(bench: &Bench, args: &CursorsArgs) -> Result<Cursors> {
    let nodes = Nodes::of(&bench.map)?;
    let rooms = Rooms { opened: bench.open(args.rooms).await?, window: args.window as usize };
    let (few, many) = (args.few / args.rooms, args.cursors / args.rooms);
    // A cursor needs a message for each time that it moves.
    let messages = u64::from(many.div_ceil(few).max(args.rounds + 1));
    try_join_all(rooms.opened.iter().map(|room| fill(room, messages))).await?;
    let before = nodes.read_flushed().await?;

    let in_turn = |name: String, cursors: u32| move || in_turn(name.clone(), cursors, many);
    let few_first_per_second = rooms.commit(in_turn("few".to_owned(), few)).await?;
    let after_few = nodes.read_flushed().await?;
    let many_first_per_second = rooms.commit(in_turn("many".to_owned(), many)).await?;
    let after_many = nodes.read_flushed().await?;

    let (mut few_per_second, mut many_per_second) = (Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        // Of other names than before, as those cursors have come to the end.
        let jobs = in_turn(format!("few-{round}"), few);
        few_per_second.push(rooms.commit_for(Span::starting_now(&args.common), jobs).await?);
        let jobs = || at_random("many", many, u64::from(round) + 1);
        many_per_second.push(rooms.commit_for(Span::starting_now(&args.common), jobs).await?);
    }
    let after_all = nodes.read_flushed().await?;
    let middle = |rates: &[u64]| median(rates.iter().map(|rate| *rate as f64));
    let memory = |readings: &[Reading]| readings.iter().map(|reading| reading.resident).collect::<Vec<_>>();
    let difference = after_few.iter().zip(&after_many);
    let difference = difference.map(|(few, many)| many.resident.cast_signed() - few.resident.cast_signed());
    Ok(Cursors {
        cursors: args.cursors,
        few: args.few,
        rooms: args.rooms,
        window: args.window,
        few_first_per_second,
        many_first_per_second,
        ratio: middle(&many_per_second) / middle(&few_per_second),
        few_per_second,
        many_per_second,
        memory_before: memory(&before),
        memory_after_few: memory(&after_few),
        memory_after_many: memory(&after_many),
        memory_after_all: memory(&after_all),
        memory_difference: difference.max().unwrap_or_default(),
    })
}

/// Puts messages into a room.
async fn fill(room: &Room, messages: u64) -> Result<(), Error> {
    let mut left = messages;
    let mut tickets = Vec::new();
    while left > 0 {
        let now = left.min(FILL_BATCH);
        let batch = (0..now).map(|_| message(Data::json_string("x"))).collect();
        tickets.push(room.publish_pipelined(batch).await?);
        left -= now;
    }
    for ticket in tickets {
        ticket.await?;
    }
    Ok(())
}

/// A cursor of a room, and where it is moved to.
type Job = (String, u64);

/// As many commits, to `cursors` cursors in turn.
fn in_turn(name: String, cursors: u32, commits: u32) -> impl Iterator<Item = Job> {
    (0..commits).map(move |n| (format!("{name}-{}", n % cursors), u64::from(n / cursors) + 1))
}

/// A commit to each of those cursors, in random order.
fn at_random(name: &'static str, cursors: u32, offset: u64) -> impl Iterator<Item = Job> {
    let mut order: Vec<u32> = (0..cursors).collect();
    order.shuffle(&mut rand::rng());
    order.into_iter().map(move |n| (format!("{name}-{n}"), offset))
}

/// The rooms, with their sockets.
struct Rooms {
    opened: Vec<Room>,
    window: usize,
}

impl Rooms {
    /// Makes these commits in every room; how many per second in all.
    async fn commit<I>(&self, jobs: impl Fn() -> I) -> Result<u64>
    where
        I: Iterator<Item = Job> + Send + 'static,
    {
        let begun = Instant::now();
        let made = self.each(jobs, |_| true).await?;
        Ok(print::rate(made, begun.elapsed()))
    }

    /// The same until the span is over; how many per second within it.
    async fn commit_for<I>(&self, span: Span, jobs: impl Fn() -> I) -> Result<u64>
    where
        I: Iterator<Item = Job> + Send + 'static,
    {
        let jobs = || jobs().take_while(move |_| !span.is_over(Instant::now()));
        Ok(print::rate(self.each(jobs, move |at| span.contains(at)).await?, span.length()))
    }

    /// Makes commits in every room at once; how many were answered at a time that counts.
    async fn each<I>(
        &self,
        jobs: impl Fn() -> I,
        counts: impl Fn(Instant) -> bool + Copy + Send + 'static,
    ) -> Result<u64>
    where
        I: Iterator<Item = Job> + Send + 'static,
    {
        let committing = self.opened.iter().map(|room| {
            let (room, jobs, window) = (room.clone(), jobs(), self.window);
            async move {
                tokio::spawn(async move {
                    let commits = jobs.map(|(cursor, offset)| commit(&room, cursor, offset));
                    let mut answers = stream::iter(commits).buffered(window);
                    let mut made = 0;
                    while let Some(answer) = answers.next().await {
                        answer?;
                        made += u64::from(counts(Instant::now()));
                    }
                    anyhow::Ok(made)
                })
                .await?
            }
        });
        Ok(try_join_all(committing).await?.into_iter().sum())
    }
}

async fn commit(room: &Room, cursor: String, offset: u64) -> Result<()> {
    let consumer: ConsumerId = cursor.parse()?;
    let committed = room.commit(consumer, Offset(offset)).await?;
    ensure!(committed.get() >= offset, "cursor {cursor} is at {committed} after a commit of {offset}");
    Ok(())
}

impl Figures for Cursors {
    const NAME: &'static str = "cursors";

    fn settings(&self) -> String {
        let number = |of: u32| print::number(of.into());
        format!(
            "{} and {} cursors in {} rooms with a socket each, window {}, {} rounds",
            number(self.few),
            number(self.cursors),
            self.rooms,
            self.window,
            self.few_per_second.len()
        )
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let rates = |first, rounds: &[u64]| {
            let (first, rounds) = (print::number(first), each(rounds, |rate| print::number(*rate)));
            format!("first {first} commits/s; rounds: {rounds}")
        };
        let memory =
            |nodes: &[u64]| each(nodes, |bytes| format!("{:.1}", mib(*bytes))) + " MiB of memory, by node";
        vec![
            ("few", rates(self.few_first_per_second, &self.few_per_second)),
            ("many", rates(self.many_first_per_second, &self.many_per_second)),
            ("ratio", format!("{:.2}", self.ratio)),
            ("before", memory(&self.memory_before)),
            ("after few", memory(&self.memory_after_few)),
            ("after many", memory(&self.memory_after_many)),
            ("after rounds", memory(&self.memory_after_all)),
            ("more", format!("{:.1} MiB at most", self.memory_difference as f64 / f64::from(1 << 20))),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_commit_moves_its_cursor() {
        let jobs: Vec<Job> = in_turn("few".to_owned(), 2, 5).collect();
        let expected = [("few-0", 1), ("few-1", 1), ("few-0", 2), ("few-1", 2), ("few-0", 3)];
        assert_eq!(jobs, expected.map(|(name, offset)| (name.to_owned(), offset)));
        let random: BTreeSet<Job> = at_random("many", 50, 7).collect();
        let all: BTreeSet<Job> = (0..50).map(|n| (format!("many-{n}"), 7)).collect();
        assert_eq!(random, all);
    }
}
