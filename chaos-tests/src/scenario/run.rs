//! One run of a scenario, from the first node's start to the verdict.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::{sleep, timeout};

use super::Scenario;
use crate::check::{Class, Verdict};
use crate::cluster::Cluster;
use crate::history::{Gate, Phase, RunInfo};
use crate::machine::Machine;
use crate::nemesis::{Attack, ENDED, Field};
use crate::run::Run;
use crate::workload::{Plan, Workload};

/// Acks of every room before the first fault, after each, and after all.
const SOME: u64 = 10;
/// How long a room may take to serve again after a fault. What is promised after the healing is less, and judged
/// by I21.
const RECOVERY_LIMIT: Duration = Duration::from_secs(20);
/// Between two faults.
const REST: Duration = Duration::from_millis(500);
/// Load after everything is undone.
const AFTER: Duration = Duration::from_secs(2);
const COME_BACK_TRIES: u32 = 3;
/// For operations under way to end, and subscribers to reach the heads.
const FINISH_LIMIT: Duration = Duration::from_secs(75);
/// How long an operation may take: the load's own deadline, which has to outlast the longest fault.
const OP_LIMIT: Duration = Duration::from_secs(61);

/// What may be chosen of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides everything random.
    pub seed: u64,
    /// Nodes, if not the scenario's.
    pub nodes: Option<usize>,
    /// How long faults go on; without it the schedule is done once.
    pub duration: Option<Duration>,
    /// Folder that gets the history and the nodes' logs. Must not exist.
    pub out: PathBuf,
}

/// What came of a run.
#[derive(Debug)]
pub enum Outcome {
    /// This machine cannot run it, for this reason.
    Skipped(String),
    /// It was run.
    Judged(Box<Judged>),
}

/// A run that was judged.
#[derive(Debug)]
pub struct Judged {
    /// What the checkers say.
    pub verdict: Verdict,
    /// What went wrong beside it: a node that did not come back, a count that is too large.
    pub trouble: Vec<String>,
    /// From the start to the verdict.
    pub took: Duration,
}

impl Judged {
    /// The verdict in one word. Trouble is something right that did not happen.
    #[must_use]
    pub fn class(&self) -> Class {
        let class = self.verdict.class();
        if self.trouble.is_empty() { class } else { class.max(Class::Liveness) }
    }
}

/// Runs a scenario.
///
/// # Errors
/// The cluster does not even start, or its rooms cannot be read in the end: there is no verdict then, but the
/// history and the logs are in the folder.
pub async fn run(scenario: &Scenario, options: &Options, machine: &Machine) -> Result<Outcome> {
    if let Some(why) = machine.refuses(scenario.needs) {
        return Ok(Outcome::Skipped(why));
    }
    let begun = Instant::now();
    let nodes = options.nodes.unwrap_or(scenario.nodes);
    let (out, seed) = (&options.out, options.seed);
    println!("{}, {nodes} nodes, seed {seed}, into {}", scenario.name, out.display());
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let mut plan = (scenario.plan)(seed);
    plan.seed = seed;
    let setup = scenario.setup(nodes);
    // Off loopback they ask for tokens anyway.
    let settings = if setup.bridged { Vec::new() } else { crate::admission::of_trusting_node() };
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let cluster = Cluster::start_logging_to(out, setup, &settings).await?;
    let run = Run::begin(out, info(scenario, &plan, nodes))?;
    let load = Workload::start(run.recorder(), cluster.urls(), plan.clone()).await?;
    let rng = StdRng::seed_from_u64(seed);
    let recorder = run.recorder().clone();
    let mut field = Field { cluster, rng, rooms: plan.rooms.clone(), recorder };
    let mut trouble = Vec::new();
    if let Err(error) = faults(scenario, options.duration, &mut field, &load, machine).await {
        field.say(format!("TROUBLE: {error:#}"));
        trouble.push(format!("{error:#}"));
        // What was acked can be judged nevertheless, if the nodes come back.
        if let Err(error) = come_back(&mut field).await {
            field.say(format!("TROUBLE: {error:#}"));
            trouble.push(format!("{error:#}"));
        }
    }
    match timeout(FINISH_LIMIT, load.finish()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => trouble.push(format!("the load did not end well: {error:#}")),
        Err(_) => trouble.push(format!("the load did not end within {FINISH_LIMIT:?}")),
    }
    let logs: Vec<PathBuf> = (0..field.cluster.size()).map(|k| field.cluster.log(k).to_owned()).collect();
    let verdict = run.judge(field.cluster.client(), &plan.rooms, &logs).await?;
    for (name, most) in scenario.at_most.iter().chain(&[(ENDED, 0)]) {
        let had = verdict.count(name);
        if had > *most {
            trouble.push(format!("{had} {name}, at most {most} are promised"));
        }
    }
    Ok(Outcome::Judged(Box::new(Judged { verdict, trouble, took: begun.elapsed() })))
}

fn info(scenario: &Scenario, plan: &Plan, nodes: usize) -> RunInfo {
    let gates = scenario.at_least.iter().map(|(count, least)| Gate::new(count, *least));
    RunInfo {
        scenario: scenario.name.to_owned(),
        seed: plan.seed,
        nodes,
        binary: env!("CARGO_PKG_VERSION").to_owned(),
        gates: gates.chain(plan.gates()).collect(),
        op_limit_us: u64::try_from(OP_LIMIT.as_micros()).ok(),
        sabotage: std::env::var(roomkeeper_sabotage::VARIABLE).ok(),
        ..RunInfo::default()
    }
}

/// The quiet start, the faults, and the healed end.
async fn faults(
    scenario: &Scenario,
    duration: Option<Duration>,
    field: &mut Field,
    load: &Workload,
    machine: &Machine,
) -> Result<()> {
    field.recorder.phase(Phase::Quiet);
    load.more_acks(SOME, RECOVERY_LIMIT).await.context("before any fault")?;
    field.recorder.phase(Phase::Faults);
    let begun = Instant::now();
    loop {
        for step in (scenario.steps)(&mut field.rng, machine) {
            let name = step.nemesis.name();
            let attack = Attack::begin(step.nemesis, field).await?;
            sleep(step.hold).await;
            attack.end(field).await?;
            load.more_acks(SOME, RECOVERY_LIMIT).await.with_context(|| format!("after {name}"))?;
            field.revive().await.with_context(|| format!("after {name}"))?;
            sleep(REST).await;
            if duration.is_some_and(|duration| begun.elapsed() >= duration) {
                break;
            }
        }
        if duration.is_none_or(|duration| begun.elapsed() >= duration) {
            break;
        }
    }
    field.recorder.phase(Phase::Healed);
    load.more_acks(SOME, RECOVERY_LIMIT).await.context("after everything was undone")?;
    sleep(AFTER).await;
    Ok(())
}

/// After a run that broke off: paused nodes go on, dead ones start.
async fn come_back(field: &mut Field) -> Result<()> {
    let mut tries = 1;
    loop {
        for k in 0..field.cluster.size() {
            if field.cluster.take_ended(k)?.is_none() && field.cluster.runs(k) {
                field.cluster.resume(k)?;
            }
        }
        match field.restart().await {
            Ok(()) => return Ok(()),
            // A node may have been about to end just now.
            Err(error) if tries < COME_BACK_TRIES => field.say(format!("try {tries}: {error:#}")),
            Err(error) => return Err(error.context("after the run broke off")),
        }
        tries += 1;
    }
}
