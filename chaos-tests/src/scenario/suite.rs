//! All scenarios, one after the other.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use super::Scenario;
use super::run::{Options, Outcome, run};
use crate::check::Class;
use crate::machine::Machine;

/// Runs scenarios and prints a table. The answer is the worst verdict.
///
/// # Errors
/// The folder cannot be written. A run without a verdict is no error but a line of the table.
pub async fn suite(
    scenarios: impl IntoIterator<Item = &'static Scenario>,
    seed: u64,
    out: &Path,
    machine: &Machine,
) -> Result<Class> {
    let begun = Instant::now();
    let (mut table, mut worst) = (Vec::new(), Class::Fine);
    let (mut run_count, mut skipped) = (0, 0);
    for scenario in scenarios {
        let folder = out.join(scenario.name);
        let options = Options { seed, nodes: None, duration: None, out: folder };
        let line = match run(scenario, &options, machine).await {
            Ok(Outcome::Skipped(why)) => {
                skipped += 1;
                format!("SKIPPED: {why}")
            }
            Ok(Outcome::Judged(judged)) => {
                run_count += 1;
                worst = worst.max(judged.class());
                show(&judged);
                format!("{} in {:.0?}", judged.class(), judged.took)
            }
            Err(error) => {
                run_count += 1;
                worst = worst.max(Class::Liveness);
                format!("NO VERDICT: {error:#}")
            }
        };
        println!("{}: {line}\n", scenario.name);
        table.push(format!("{:<16} {line}", scenario.name));
    }
    println!("seed {seed}, {run_count} run, {skipped} skipped, {:.0?}:", begun.elapsed());
    table.iter().for_each(|line| println!("  {line}"));
    // Nothing run is nothing shown.
    Ok(if run_count == 0 { worst.max(Class::Empty) } else { worst })
}

/// Prints what a run came to.
pub fn show(judged: &super::run::Judged) {
    println!("{}", judged.verdict);
    judged.trouble.iter().for_each(|line| println!("  TROUBLE: {line}"));
}
