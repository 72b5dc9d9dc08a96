//! `chaos-tests list`, `run`, `suite`, `soak` and `replay`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use chaos_tests::check::Class;
use chaos_tests::machine::Machine;
use chaos_tests::replay::replay;
use chaos_tests::scenario::run::{Options, Outcome, run};
use chaos_tests::scenario::suite::{show, suite};
use chaos_tests::scenario::{catalogue, soak::soak};
use clap::Args;

/// Where runs go unless told otherwise, below the current folder.
const OUT: &str = "chaos-runs";

/// One scenario.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Its name: see `chaos-tests list`
    scenario: String,
    /// Decides everything random
    #[arg(long)]
    seed: Option<u64>,
    /// Nodes, if not the scenario's
    #[arg(long)]
    nodes: Option<usize>,
    /// Faults go on for so long, "90s"; without it each is done once
    #[arg(long, value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// New folder for the history and the nodes' logs
    #[arg(long)]
    out: Option<PathBuf>,
}

/// All scenarios.
#[derive(Debug, Args)]
pub(crate) struct SuiteArgs {
    /// Only some that need no root
    #[arg(long)]
    short: bool,
    /// Decides everything random
    #[arg(long)]
    seed: Option<u64>,
    /// New folder for the histories and the nodes' logs
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Random mixes.
#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    /// For how long, "60m"
    #[arg(long, value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Decides everything random
    #[arg(long)]
    seed: Option<u64>,
    /// New folder for the rounds that were not fine
    #[arg(long)]
    out: Option<PathBuf>,
}

/// An old run.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Its folder
    folder: PathBuf,
}

fn out_or(out: Option<PathBuf>, name: &str, seed: u64) -> PathBuf {
    out.unwrap_or_else(|| PathBuf::from(OUT).join(format!("{name}-{seed}")))
}

fn seed_or(seed: Option<u64>) -> u64 {
    // Short enough to be typed again.
    seed.unwrap_or_else(|| u64::from(rand::random::<u32>()))
}

fn code(class: Class) -> ExitCode {
    ExitCode::from(class.exit_code())
}

pub(crate) fn list() {
    let machine = Machine::look();
    for scenario in catalogue::all() {
        let refused = machine.refuses(scenario.needs).map(|why| format!(" (not here: {why})"));
        println!("{:<16} {}{}", scenario.name, scenario.about, refused.unwrap_or_default());
    }
}

pub(crate) async fn one(args: RunArgs) -> Result<ExitCode> {
    let name = &args.scenario;
    let scenario = catalogue::by_name(name);
    let scenario =
        scenario.with_context(|| format!("there is no scenario `{name}`: see `chaos-tests list`"))?;
    let seed = seed_or(args.seed);
    let out = out_or(args.out, name, seed);
    let options = Options { seed, nodes: args.nodes, duration: args.duration, out };
    Ok(match run(scenario, &options, &Machine::look()).await? {
        Outcome::Skipped(why) => {
            println!("skipped: {why}");
            code(Class::Empty)
        }
        Outcome::Judged(judged) => {
            show(&judged);
            println!("{name}, seed {seed}: {} in {:.0?}", judged.class(), judged.took);
            code(judged.class())
        }
    })
}

pub(crate) async fn all(args: SuiteArgs) -> Result<ExitCode> {
    let seed = seed_or(args.seed);
    let out = out_or(args.out, if args.short { "short" } else { "suite" }, seed);
    let scenarios = catalogue::SUITE.iter();
    let chosen = scenarios.filter(|scenario| !args.short || catalogue::SHORT.contains(&scenario.name));
    Ok(code(suite(chosen, seed, &out, &Machine::look()).await?))
}

pub(crate) async fn long(args: SoakArgs) -> Result<ExitCode> {
    let seed = seed_or(args.seed);
    let out = out_or(args.out, "soak", seed);
    Ok(code(soak(args.duration, seed, &out, &Machine::look()).await?))
}

pub(crate) fn again(args: &ReplayArgs) -> Result<ExitCode> {
    let verdict = replay(&args.folder)?;
    println!("{verdict}");
    Ok(code(verdict.class()))
}
