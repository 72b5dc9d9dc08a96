//! An owner is taken away: for how long is nothing acked in its rooms?

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::sleep;

use super::Part;
use super::figures::{Figures, Limits, Row};
use super::probes::Probes;
use crate::cluster::{Cluster, Setup};
use crate::history::{Recorder, RunInfo};
use crate::nemesis::{Drain, Field, Kill, Nemesis, Partition, Pause, Shape, Target};
use crate::scratch::Scratch;

/// At a probe every 10 ms: 500 messages a second.
const ROOMS: usize = 5;
/// Served without a silence for so long before each trial, and after each recovery.
const STEADY: Duration = Duration::from_millis(1_500);
const RECOVERY_LIMIT: Duration = Duration::from_secs(40);

pub(super) async fn run(part: Part, setup: Setup, trials: usize, seed: u64) -> Result<Vec<Row>> {
    let cluster = Cluster::start_with(setup).await?;
    let probes = Probes::start(cluster.urls(), ROOMS)?;
    let scratch = Scratch::new()?;
    let info = RunInfo { scenario: format!("timing: {part}"), seed, nodes: setup.size, ..RunInfo::default() };
    let recorder = Recorder::create(scratch.path(), info)?;
    let mut field = Field { cluster, rng: StdRng::seed_from_u64(seed), rooms: probes.rooms(), recorder };
    let mut gaps = Figures::default();
    for trial in 1..=trials {
        probes.steady(STEADY, RECOVERY_LIMIT).await?;
        let gap = one(part, &mut field, &probes).await?;
        println!("  trial {trial}: {} ms", gap.as_millis());
        gaps.add(gap);
    }
    probes.steady(STEADY, RECOVERY_LIMIT).await?;
    let failed = probes.failed();
    let published: usize = probes.finish().await?.iter().map(|(_, seen)| seen.acks.len()).sum();
    Ok(vec![
        Row::Times {
            what: format!("{part}, longest write gap of its rooms"),
            figures: gaps,
            limits: limits(part),
        },
        Row::Count {
            what: format!("{part}, failed publishes"),
            count: failed,
            of: Some(published as u64 + failed),
            wanted: (part == Part::Drain).then_some(0),
        },
    ])
}

/// What the issue promises.
fn limits(part: Part) -> Limits {
    let ms = |ms| Some(Duration::from_millis(ms));
    match part {
        Part::Kill => Limits { median: ms(150), p90: ms(400), max: ms(2_000) },
        Part::Drain => Limits { max: ms(100), ..Limits::default() },
        _ => Limits { p90: ms(1_200), max: ms(3_000), ..Limits::default() },
    }
}

/// One trial: the longest gap of the rooms that the victim owned.
async fn one(part: Part, field: &mut Field, probes: &Probes) -> Result<Duration> {
    let mut nemesis: Box<dyn Nemesis> = match part {
        Part::Kill => Box::new(Kill(Target::Owner)),
        Part::Pause => Box::new(Pause(Target::Owner)),
        Part::Partition => Box::new(Partition::new(Target::Owner, Shape::Isolate)),
        Part::Drain => Box::new(Drain(Target::Owner)),
        Part::Power | Part::Load | Part::Sessions => bail!("{part} is no outage of one owner"),
    };
    let victims = nemesis.target().pick(field).await?;
    let mut rooms = Vec::new();
    for room in field.rooms.clone() {
        if victims.contains(&field.cluster.owner_of(&room).await?) {
            rooms.push(room);
        }
    }
    let fault = Instant::now();
    nemesis.begin(field, &victims).await?;
    // All rooms, also those that only failed to notice: every room has to be served while the victim is away.
    probes.steady(STEADY, RECOVERY_LIMIT).await?;
    let mut longest = Duration::ZERO;
    for room in &rooms {
        longest = longest.max(probes.gap(room, fault)?);
    }
    nemesis.end(field, &victims).await?;
    field.cluster.wait_ready().await?;
    // Its ownership may come back to it, and is a hand-over of its own: not part of the next trial.
    sleep(STEADY).await;
    Ok(longest)
}
