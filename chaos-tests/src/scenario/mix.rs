//! Faults at random.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::Step;
use crate::machine::{Machine, Need};
use crate::nemesis::{
    DiskFull, Drain, FailingSync, FrozenDisk, Kill, Means, Partition, Pause, PauseKill, PowerOff,
    ReconnectStorm, Shape, SlowDisk, SlowSubscribers, Target,
};

/// Steps of one pass.
const STEPS: usize = 6;
const ANYBODY: [Target; 5] = [Target::Owner, Target::Follower, Target::One, Target::Majority, Target::All];

/// Draws a schedule: every number from the seed, every fault one that this machine can inject.
pub(super) fn steps(rng: &mut StdRng, machine: &Machine) -> Vec<Step> {
    (0..STEPS).map(|_| step(rng, machine)).collect()
}

fn step(rng: &mut StdRng, machine: &Machine) -> Step {
    loop {
        if let Some(step) = draw(rng, machine) {
            return step;
        }
    }
}

/// A fault, or `None` where the draw fell on one that this machine cannot inject.
fn draw(rng: &mut StdRng, machine: &Machine) -> Option<Step> {
    let target = ANYBODY.choose(rng).copied().unwrap_or(Target::One);
    // One node, or a minority of more: everybody else has to go on.
    let single = [Target::Owner, Target::Follower, Target::One].choose(rng).copied().unwrap_or(Target::One);
    let hold = Duration::from_millis(rng.random_range(100..5_000));
    let can = |need| machine.refuses(&[need]).is_none().then_some(());
    Some(match rng.random_range(0..14) {
        0 | 1 => Step::new(Kill(target), hold),
        2 | 3 => Step::new(Pause(target), hold),
        4 | 5 => {
            can(Need::Partitions)?;
            let shapes = [Shape::Isolate, Shape::Deaf, Shape::Mute, Shape::Bridge];
            Step::new(Partition::new(single, shapes.choose(rng).copied().unwrap_or(Shape::Isolate)), hold)
        }
        6 => {
            can(Need::PowerCuts)?;
            Step::new(PowerOff(target), hold)
        }
        7 => {
            can(Need::PowerCuts)?;
            Step::new(PowerOff(Target::All), Duration::from_millis(100))
        }
        8 => {
            can(Need::PowerCuts)?;
            Step::new(DiskFull::new(single), hold)
        }
        9 => {
            can(Need::SlowDisk)?;
            Step::new(SlowDisk::new(single, rng.random_range(5..50)), hold)
        }
        10 => {
            can(Need::Freeze)?;
            Step::new(FrozenDisk::new(single), hold)
        }
        11 => {
            can(Need::Inject)?;
            Step::new(FailingSync::new(single), hold)
        }
        12 => Step::new(Drain(single), hold),
        _ => match rng.random_range(0..3) {
            0 => Step::new(SlowSubscribers::new(20), hold),
            1 => Step::new(ReconnectStorm::new(30), hold),
            _ => {
                can(Need::Partitions)?;
                let means = if rng.random_bool(0.5) { Means::Pause } else { Means::Partition };
                Step::new(PauseKill::new(means, Duration::from_secs(3)), hold)
            }
        },
    })
}
