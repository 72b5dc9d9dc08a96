//! Random mixes for as long as asked.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::catalogue::by_name;
use super::run::{Options, Outcome, run};
use crate::check::Class;
use crate::machine::Machine;

/// Faults of one round go on for so long.
const ROUND: Duration = Duration::from_secs(60);
/// Every so many rounds has five nodes.
const FIVE_EVERY: u64 = 4;

/// What is added up over the rounds.
const TOTALS: [&str; 8] =
    ["acks", "infos", "deduped", "deliveries", "elections", "faults", "kills", "bytes_dropped"];

/// Runs rounds until the time is over: each a new cluster, a schedule drawn by a seed of its own, and a verdict. Prints
/// a line per round and totals; the folder of a round is kept unless its verdict is fine.
///
/// # Errors
/// The folder cannot be written.
pub async fn soak(duration: Duration, seed: u64, out: &Path, machine: &Machine) -> Result<Class> {
    let scenario = by_name("mix").context("there is no scenario `mix`")?;
    let begun = Instant::now();
    let (mut worst, mut totals) = (Class::Fine, BTreeMap::<&str, u64>::new());
    let (mut fine, mut rounds) = (0, 0);
    while begun.elapsed() < duration {
        let round_seed = seed.wrapping_add(rounds);
        let nodes = if rounds % FIVE_EVERY == FIVE_EVERY - 1 { 5 } else { 3 };
        rounds += 1;
        let folder = out.join(format!("round-{rounds}"));
        let options =
            Options { seed: round_seed, nodes: Some(nodes), duration: Some(ROUND), out: folder.clone() };
        let line = match run(scenario, &options, machine).await {
            Ok(Outcome::Skipped(why)) => {
                println!("skipped: {why}");
                return Ok(Class::Empty);
            }
            Ok(Outcome::Judged(judged)) => {
                let class = judged.class();
                worst = worst.max(class);
                for name in TOTALS {
                    *totals.entry(name).or_default() += judged.verdict.count(name);
                }
                if class == Class::Fine {
                    fine += 1;
                    fs::remove_dir_all(&folder)?;
                } else {
                    super::suite::show(&judged);
                }
                let counts: Vec<String> =
                    TOTALS.iter().map(|name| format!("{} {name}", judged.verdict.count(name))).collect();
                format!("{class}, {}", counts.join(", "))
            }
            Err(error) => {
                worst = worst.max(Class::Liveness);
                format!("NO VERDICT: {error:#}")
            }
        };
        println!("round {rounds}, {nodes} nodes, seed {round_seed}: {line}\n");
    }
    let totals: Vec<String> = totals.iter().map(|(name, count)| format!("{count} {name}")).collect();
    println!(
        "soak of {:.0?}, seed {seed}: {fine} of {rounds} rounds fine; {}",
        begun.elapsed(),
        totals.join(", ")
    );
    Ok(worst)
}
