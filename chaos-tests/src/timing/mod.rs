//! How long clients wait: the figures that the issue asks for, as a client sees them.
//!
//! Each part stands by itself: its own cluster, its own number of trials. Nothing is judged but what a client
//! counts: acks, refusals, deliveries.

mod figures;
mod load;
mod outage;
mod power;
mod probes;
mod sessions;

use std::fmt;

use anyhow::Result;

pub use figures::{Figures, Limits, Row};

use crate::cluster::Setup;
use crate::disk::DiskKind;
use crate::machine::{Machine, Need};

/// Nodes of every cluster that is timed.
const NODES: usize = 3;

/// A part of the timing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// `kill -9` of an owner.
    Kill,
    /// SIGSTOP of an owner.
    Pause,
    /// An owner cut off from the other nodes.
    Partition,
    /// SIGTERM of an owner.
    Drain,
    /// A power cut of all nodes at once.
    Power,
    /// As much as goes in, for a while, and no fault.
    Load,
    /// `kill -9` of an owner with 2,000 subscribers.
    Sessions,
}

impl Part {
    /// All, in the order of the table.
    pub const ALL: [Self; 7] =
        [Self::Kill, Self::Pause, Self::Partition, Self::Drain, Self::Power, Self::Load, Self::Sessions];

    /// Trials, unless others are asked for. Of the load it is its seconds.
    #[must_use]
    pub const fn trials(self) -> usize {
        match self {
            Self::Kill => 30,
            Self::Pause | Self::Partition | Self::Drain => 10,
            Self::Power => 20,
            Self::Load => 60,
            Self::Sessions => 1,
        }
    }

    fn needs(self) -> &'static [Need] {
        match self {
            Self::Partition => &[Need::Partitions],
            Self::Power => &[Need::PowerCuts],
            _ => &[],
        }
    }

    fn setup(self) -> Setup {
        let disk = if self == Self::Power { DiskKind::Image { mib: 1024 } } else { DiskKind::Folder };
        Setup { size: NODES, bridged: self == Self::Partition, disk }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill -9 of an owner",
            Self::Pause => "pause of an owner",
            Self::Partition => "partition of an owner",
            Self::Drain => "drain of an owner",
            Self::Power => "power cut of all nodes",
            Self::Load => "full load",
            Self::Sessions => "sessions of a killed owner",
        })
    }
}

/// Runs one part and answers its rows of the table; `None` with a line printed where this machine cannot.
///
/// # Errors
/// The cluster does not start, or does not recover from a fault at all.
pub async fn run(part: Part, trials: usize, seed: u64, machine: &Machine) -> Result<Option<Vec<Row>>> {
    if let Some(why) = machine.refuses(part.needs()) {
        println!("{part}: skipped, {why}");
        return Ok(None);
    }
    println!("{part}: {trials} {}", if part == Part::Load { "seconds" } else { "trials" });
    let rows = match part {
        Part::Kill | Part::Pause | Part::Partition | Part::Drain => {
            outage::run(part, part.setup(), trials, seed).await
        }
        Part::Power => power::run(part.setup(), trials).await,
        Part::Load => load::run(part.setup(), trials).await,
        Part::Sessions => sessions::run(part.setup(), trials).await,
    }?;
    rows.iter().for_each(|row| println!("  {row}"));
    Ok(Some(rows))
}
