//! `roomkeeper`: a node, a cluster on one machine, and the tools around them.

mod admin;
mod bench;
mod cli;
mod config;
mod dev;
mod events;
mod metrics;
mod node;
mod process;
mod replay;
mod room;
mod serve;
mod status;
mod stop;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use cli::trouble::{FINE, report};

/// A self-hosted cluster of realtime rooms.
#[derive(Debug, Parser)]
#[command(name = "roomkeeper", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node
    Serve(serve::ServeArgs),
    /// Run a cluster on this machine, every node a process of its own
    Dev(dev::DevArgs),
    /// Check or explain a node's configuration
    #[command(subcommand)]
    Config(serve::ConfigCommand),
    /// Show the cluster's nodes and shards, and what is wrong with them
    Status(status::StatusArgs),
    /// Show what happened to ownership and replicas, on all nodes
    Events(events::EventsArgs),
    /// List nodes, add, drain and remove them
    Node(node::NodeArgs),
    /// List, show, create, delete, read and write rooms
    Room(room::RoomArgs),
    /// Make keys and tokens, and look at them
    Token(token::TokenArgs),
    /// Play chat logs as live rooms, then prove that the rooms are the logs
    Replay(replay::ReplayArgs),
    /// Measure what a cluster does
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return serve::exit(Err(serve::ServeError::System("cannot start", error))),
    };
    let code = runtime.block_on(run());
    // A read of standard input may still block a thread; it must not keep the process.
    runtime.shutdown_background();
    code
}

async fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => return serve::exit(serve::run(args).await),
        Command::Config(command) => return serve::exit(serve::config(command)),
        Command::Dev(args) => dev::run(args).await.map(|()| FINE),
        Command::Status(args) => status::run(args).await,
        Command::Events(args) => events::run(args).await,
        Command::Node(args) => node::run(args).await,
        Command::Room(args) => room::run(args).await.map(|()| FINE),
        Command::Token(args) => token::run(args),
        Command::Replay(args) => replay::run(args).await,
        Command::Bench(args) => bench::run(args).await.map(|()| FINE),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => report(&error),
    }
}
