//! `chaos-tests timing`.

use std::process::ExitCode;

use anyhow::Result;
use chaos_tests::machine::Machine;
use chaos_tests::timing::{self, Part};
use clap::Args;

/// What to time.
#[derive(Debug, Args)]
pub(crate) struct TimingArgs {
    /// Only these parts
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Trials of each part (seconds of `load`), instead of what the figures ask for
    #[arg(long)]
    trials: Option<usize>,
    /// Decides which owners are hit
    #[arg(long)]
    seed: Option<u64>,
}

/// Times the parts and prints the table; fails where something promised was not kept.
pub(crate) async fn run(args: TimingArgs) -> Result<ExitCode> {
    let seed = args.seed.unwrap_or_else(rand::random);
    println!("seed {seed}");
    let machine = Machine::look();
    let parts = if args.parts.is_empty() { Part::ALL.to_vec() } else { args.parts };
    let mut table = Vec::new();
    let mut failed = Vec::new();
    for part in parts {
        match timing::run(part, args.trials.unwrap_or(part.trials()), seed, &machine).await {
            Ok(rows) => table.extend(rows.unwrap_or_default()),
            // The other parts are worth having.
            Err(error) => failed.push(format!("{part}: {error:#}")),
        }
    }
    println!("\nIn brackets what was promised:");
    table.iter().for_each(|row| println!("{row}"));
    failed.iter().for_each(|line| println!("FAILED {line}"));
    let is_kept = failed.is_empty() && table.iter().all(timing::Row::is_kept);
    Ok(if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
