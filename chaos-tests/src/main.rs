//! `chaos-tests`: runs real `roomkeeper` processes, does things to them, and judges what clients saw.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod commands;

/// Real roomkeeper processes, what goes wrong with them, and a checker of what clients were promised
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Name all scenarios
    List,
    /// Run one scenario
    Run(commands::runs::RunArgs),
    /// Run all scenarios
    Suite(commands::runs::SuiteArgs),
    /// Run faults at random for as long as asked
    Soak(commands::runs::SoakArgs),
    /// Judge an old run again
    Replay(commands::runs::ReplayArgs),
    /// Put each bug into a build of its own, and see it caught
    Sabotage(commands::sabotage::SabotageArgs),
    /// How long clients wait: failover, drain, power cut, resumption
    Timing(commands::timing::TimingArgs),
    /// Undo what runs that were killed have left on this machine
    Clean,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What the clients log goes to stderr if `RUST_LOG` asks for it.
fn log_clients() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

fn run(command: Command) -> Result<ExitCode> {
    log_clients();
    match command {
        Command::List => {
            commands::runs::list();
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(args) => on_runtime(commands::runs::one(args)),
        Command::Suite(args) => on_runtime(commands::runs::all(args)),
        Command::Soak(args) => on_runtime(commands::runs::long(args)),
        Command::Replay(args) => commands::runs::again(&args),
        Command::Sabotage(args) => on_runtime(commands::sabotage::run(args)),
        Command::Timing(args) => on_runtime(commands::timing::run(args)),
        Command::Clean => {
            chaos_tests::guard::clean()?.iter().for_each(|line| println!("{line}"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Runs until the end or until SIGINT or SIGTERM; either way what was made is undone by what holds it.
fn on_runtime(command: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    use tokio::signal::unix::{SignalKind, signal};
    tokio::runtime::Runtime::new()?.block_on(async {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            result = command => result,
            _ = interrupt.recv() => anyhow::bail!("interrupted"),
            _ = terminate.recv() => anyhow::bail!("told to stop"),
        }
    })
}
