//! `chaos-tests sabotage`: whether each bug that is put in on purpose is caught.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use chaos_tests::sabotage::{Line, Options, sabotage, table};
use clap::Args;
use roomkeeper_sabotage::Bug;

/// Which bugs.
#[derive(Debug, Args)]
pub(crate) struct SabotageArgs {
    /// Only these bugs; none: all
    bugs: Vec<String>,
    /// Decides everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// New folder for the runs
    #[arg(long, default_value = "chaos-runs/sabotage")]
    out: PathBuf,
    /// Does not run the scenarios without a bug first
    #[arg(long)]
    no_sound: bool,
    /// A program built with the feature `sabotage`; without it one is built
    #[arg(long)]
    program: Option<PathBuf>,
}

pub(crate) async fn run(args: SabotageArgs) -> Result<ExitCode> {
    let bugs = args.bugs.iter().map(|name| bug(name)).collect::<Result<Vec<_>>>()?;
    let program = match args.program {
        Some(program) => program,
        None => build()?,
    };
    let options = Options { bugs, sound: !args.no_sound, seed: args.seed, out: args.out, program };
    let lines = sabotage(&options).await?;
    println!("seed {}\n\n{}", options.seed, table(&lines));
    let wrong = lines.iter().filter(|line| !line.is_right()).count();
    println!("{} of {} as they should be", lines.len() - wrong, lines.len());
    Ok(if lines.iter().all(Line::is_right) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn bug(name: &str) -> Result<Bug> {
    let Some(bug) = Bug::ALL.iter().find(|bug| bug.name() == name) else {
        let all: Vec<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        bail!("there is no bug `{name}`, only {}", all.join(", "));
    };
    Ok(*bug)
}

/// Builds the program into a target folder of its own: it must never be taken for the real one.
fn build() -> Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find out where this program is")?;
    let target = this.ancestors().nth(2).context("this program is not in a target folder")?.join("sabotage");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--bin", "roomkeeper", "--features", "roomkeeper/sabotage", "--target-dir"]);
    let status = command.arg(&target).status().context("cannot run cargo: name a program with --program")?;
    ensure!(status.success(), "the program with bugs cannot be built");
    Ok(target.join("debug").join("roomkeeper"))
}
