//! `roomkeeper bench …`: what a cluster does, measured from outside by clients like any other.
//!
//! Every figure counts what the clients have seen: acks that arrived, messages that were delivered. The
//! measured span begins after a warm-up and ends before the clients stop.

mod cursors;
mod fanout;
mod figures;
mod heartbeats;
mod latency;
mod nodes;
mod payload;
mod publish;
mod report;
mod setup;
mod slow;
mod span;

use anyhow::Result;
use clap::{Args, Subcommand};

/// `roomkeeper bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Acked messages per second, with many publishes on their way at a time
    Publish(publish::PublishArgs),
    /// Time from a publish to its ack, at a given rate
    Latency(latency::LatencyArgs),
    /// Deliveries per second to the subscribers of one room
    Fanout(fanout::FanoutArgs),
    /// What idle clients cost the servers
    Heartbeats(heartbeats::HeartbeatsArgs),
    /// What subscribers that read slowly cost the others
    Slow(slow::SlowArgs),
    /// Whether many durable cursors cost more than few
    Cursors(cursors::CursorsArgs),
}

/// Runs a benchmark and prints its settings and figures.
pub(crate) async fn run(args: BenchArgs) -> Result<()> {
    match args.command {
        BenchCommand::Publish(args) => publish::run(args).await,
        BenchCommand::Latency(args) => latency::run(args).await,
        BenchCommand::Fanout(args) => fanout::run(args).await,
        BenchCommand::Heartbeats(args) => heartbeats::run(args).await,
        BenchCommand::Slow(args) => slow::run(args).await,
        BenchCommand::Cursors(args) => cursors::run(args).await,
    }
}
