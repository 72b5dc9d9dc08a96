//! The frame of every benchmark: rooms are made, something is measured in them, they are deleted, the figures
//! are told.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::setup::{Bench, Cluster, CommonArgs};
use crate::cli::print;

/// What a benchmark has measured. As JSON it is an object.
pub(crate) trait Figures: Serialize {
    /// The benchmark's name.
    const NAME: &'static str;

    /// What was asked for, in words.
    fn settings(&self) -> String;

    /// What was measured: the name of each line and what it says.
    fn lines(&self) -> Vec<(&'static str, String)>;
}

/// What is told of a run.
#[derive(Serialize)]
struct Report<'a, F> {
    bench: &'static str,
    cluster: Cluster,
    seconds: f64,
    #[serde(flatten)]
    figures: &'a F,
    reconnects: u64,
}

/// Measures something in `rooms` rooms that are made for it, and tells what it is. `window`: publishes of a
/// socket that may be unanswered.
///
/// # Errors
/// Nobody is there, or the measurement failed.
pub(crate) async fn run<F: Figures>(
    args: &CommonArgs,
    (rooms, window): (u32, usize),
    measure: impl AsyncFnOnce(&Bench) -> Result<F>,
) -> Result<()> {
    let bench = Bench::start(args, rooms, window).await?;
    let figures = measure(&bench).await;
    let reconnects = bench.client.metrics().counts().reconnects;
    // Also after a failure: the rooms are of no use to anyone.
    bench.finish().await;
    let figures = figures?;
    let seconds = args.duration.as_secs_f64();
    let report = Report { bench: F::NAME, cluster: bench.cluster, seconds, figures: &figures, reconnects };
    if args.json {
        return print::json(&report);
    }
    show(&report);
    Ok(())
}

fn show<F: Figures>(report: &Report<'_, F>) {
    let Report { bench, cluster: Cluster { nodes, shards }, figures, reconnects, .. } = report;
    let time = Duration::from_secs_f64(report.seconds);
    println!("{bench}: {nodes} nodes, {shards} shards; {}, {time:?}", figures.settings());
    let lines = figures.lines();
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, text) in lines {
        println!("  {name:width$}  {text}");
    }
    if *reconnects > 0 {
        println!("  {} during the run", print::count(*reconnects, "reconnect"));
    }
}
