//! Scenarios: a cluster, a load, a schedule of faults, and what must hold.
//!
//! [`catalogue`] has them by name; [`run`] runs one from the first node's start to the verdict; [`suite`] runs all
//! of them, [`soak`] random mixes for as long as asked.

pub mod catalogue;
mod mix;
pub mod run;
pub mod soak;
pub mod suite;

use std::time::Duration;

use rand::rngs::StdRng;

use crate::cluster::Setup;
use crate::disk::DiskKind;
use crate::machine::{Machine, Need};
use crate::nemesis::Nemesis;
use crate::workload::Plan;

/// One fault of a schedule.
pub struct Step {
    /// What is done.
    pub nemesis: Box<dyn Nemesis>,
    /// From its begin to its end.
    pub hold: Duration,
}

impl Step {
    /// For so long.
    #[must_use]
    pub fn new(nemesis: impl Nemesis + 'static, hold: Duration) -> Self {
        Self { nemesis: Box::new(nemesis), hold }
    }
}

/// A scenario.
pub struct Scenario {
    /// How it is asked for.
    pub name: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
    /// What it needs of the machine.
    pub needs: &'static [Need],
    /// Nodes, unless others are asked for.
    pub nodes: usize,
    /// What the nodes keep their data on.
    pub disk: DiskKind,
    /// The load, by seed.
    pub plan: fn(u64) -> Plan,
    /// The faults, by seed. Done at least once, in order, and again until the time is over.
    pub steps: fn(&mut StdRng, &Machine) -> Vec<Step>,
    /// Counts of one pass over the steps, and how large each has to be: else the run proves nothing.
    pub at_least: &'static [(&'static str, u64)],
    /// Counts that must not be larger.
    pub at_most: &'static [(&'static str, u64)],
}

impl Scenario {
    /// What its cluster is made of.
    #[must_use]
    pub fn setup(&self, nodes: usize) -> Setup {
        Setup { size: nodes, bridged: self.needs.contains(&Need::Partitions), disk: self.disk }
    }

    /// Whether it needs nothing that only root has.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.needs.is_empty()
    }
}
