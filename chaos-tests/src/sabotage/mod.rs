//! Shows that the checkers would find what they are for: each bug of `roomkeeper-sabotage` is put into a program of
//! its own build, run through the scenario that should bring it out, and has to be caught.
//!
//! Every run is a process of its own, `chaos-tests run`, told the program and the bug by its environment. A run
//! of each scenario without a bug has to be fine, or catching means nothing.

mod drills;
mod table;

pub use drills::DRILLS;
pub use table::{Caught, Line, table};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roomkeeper_sabotage::{Bug, VARIABLE};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::check::Class;
use crate::replay::replay;

/// A run that takes longer hangs, and is told to stop.
const RUN_LIMIT: Duration = Duration::from_secs(150);
/// For a run that was told to stop to clean up after itself.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// The scenario that should bring a bug out.
#[must_use]
pub const fn scenario_for(bug: Bug) -> &'static str {
    match bug {
        Bug::AckBeforeCommit | Bug::DeliverBeforeCommit => "lost-quorum",
        Bug::AckBeforeWrite | Bug::VoteNotKept | Bug::ShortLogVotes => "blackouts",
        Bug::AckBeforeFsync => "dark",
        Bug::DedupeNotInSnapshot => "long-absence",
        Bug::ZombieKeepsAcking | Bug::StaleRead => "zombies",
        Bug::ReplicaIdReused => "lost-log",
        Bug::DedupeInMemory
        | Bug::PartialBulk
        | Bug::BatchOutOfOrder
        | Bug::ResumeResets
        | Bug::OffsetReused
        | Bug::CommitNotStored
        | Bug::CreditIgnored
        | Bug::RollbackNotDone
        | Bug::LeftAtOnce
        | Bug::TokenLivesOn => "kills",
    }
}

/// What is run, and with what.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bugs; empty: all.
    pub bugs: Vec<Bug>,
    /// Whether each scenario is run without a bug first.
    pub sound: bool,
    /// Decides everything random.
    pub seed: u64,
    /// New folder for all runs.
    pub out: PathBuf,
    /// The program that can have bugs.
    pub program: PathBuf,
}

/// Runs it all; the table has a line per run.
///
/// # Errors
/// A run cannot be started, or its folder not be read.
pub async fn sabotage(options: &Options) -> Result<Vec<Line>> {
    let bugs: Vec<Bug> = if options.bugs.is_empty() { Bug::ALL.to_vec() } else { options.bugs.clone() };
    let mut lines = Vec::new();
    if options.sound {
        let scenarios: BTreeSet<&str> = bugs.iter().map(|bug| scenario_for(*bug)).collect();
        for scenario in scenarios {
            lines.push(run(options, scenario, None).await?);
        }
    }
    for bug in bugs {
        lines.push(run(options, scenario_for(bug), Some(bug)).await?);
    }
    Ok(lines)
}

async fn run(options: &Options, scenario: &'static str, bug: Option<Bug>) -> Result<Line> {
    let out = options.out.join(bug.map_or_else(|| format!("sound-{scenario}"), |bug| bug.name().to_owned()));
    ensure!(!out.exists(), "{} is there already", out.display());
    std::fs::create_dir_all(&options.out)?;
    let mut command = Command::new(std::env::current_exe().context("cannot find out where this program is")?);
    command.args(["run", scenario, "--seed", &options.seed.to_string(), "--out"]).arg(&out);
    command.env("ROOMKEEPER_BIN", &options.program).stdin(Stdio::null()).kill_on_drop(true);
    if let Some(bug) = bug {
        command.env(VARIABLE, bug.name());
    }
    let begun = Instant::now();
    let mut child = command.spawn().context("cannot run a scenario")?;
    let code = match timeout(RUN_LIMIT, child.wait()).await {
        Ok(status) => status.context("cannot wait for a scenario")?.code(),
        Err(_) => {
            stop(&mut child).await?;
            None
        }
    };
    let took = begun.elapsed();
    let caught = judge(&out, code)?;
    if bug.is_some() && !matches!(caught, Caught::Skipped) {
        ensure!(
            is_sabotaged(&out)?,
            "{} ran without its bug: is the build one with the feature?",
            out.display()
        );
    }
    let line = Line { bug, scenario, caught, took };
    println!("{line}\n");
    Ok(line)
}

/// Lets a run undo what it made on this machine, then kills it.
async fn stop(child: &mut Child) -> Result<()> {
    if let Some(pid) = child.id() {
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM).context("cannot stop a run")?;
    }
    if timeout(STOP_LIMIT, child.wait()).await.is_err() {
        child.kill().await.context("cannot kill a run")?;
    }
    Ok(())
}

/// By what a run was caught, if it was.
fn judge(out: &Path, code: Option<i32>) -> Result<Caught> {
    // A machine that cannot run it is said to have nothing proved.
    if code == Some(i32::from(Class::Empty.exit_code())) && !out.exists() {
        return Ok(Caught::Skipped);
    }
    let verdict = replay(out).with_context(|| format!("the run in {} left no history", out.display()))?;
    let broken: Vec<&'static str> = verdict.broken().map(|judged| judged.invariant.id).collect();
    let violations: Vec<_> = verdict.broken().flat_map(|judged| judged.findings.violations()).collect();
    let after = violations.iter().filter_map(|violation| violation.at).min();
    let first = violations.first();
    Ok(match code {
        Some(0) => Caught::No,
        Some(code) if code == i32::from(Class::Empty.exit_code()) => Caught::Empty(verdict.empty.join("; ")),
        Some(1) => Caught::NoVerdict,
        None => Caught::Hung,
        Some(_) if broken.is_empty() => Caught::Trouble,
        Some(_) => Caught::By { broken, after, first: first.map(ToString::to_string).unwrap_or_default() },
    })
}

/// Whether a node said that it has a bug.
fn is_sabotaged(out: &Path) -> Result<bool> {
    for entry in std::fs::read_dir(out)? {
        let path = entry?.path();
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        if is_log && String::from_utf8_lossy(&std::fs::read(&path)?).contains("SABOTAGED") {
            return Ok(true);
        }
    }
    Ok(false)
}
