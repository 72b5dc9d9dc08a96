//! All scenarios, by name. The letters are those of the test matrix (`faults.md`, section 7).

use std::time::Duration;

use super::mix;
use super::{Scenario, Step};
use crate::disk::DiskKind;
use crate::disk::wreck::{Damage, Part};
use crate::machine::Need;
use crate::nemesis::{
    Corrupt, DiskFull, Drain, FailingSync, FrozenDisk, JoinAndLeave, Kill, Means, OldCopy, Partition, Pause,
    PauseKill, PowerOff, ReconnectStorm, Replace, Shape, SlowDisk, SlowSubscribers, Target, Wipe,
};
use crate::workload::Plan;

/// Enough for some minutes of load, little enough to be filled in a second.
const IMAGE: DiskKind = DiskKind::Image { mib: 512 };

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// W1 of the matrix: appends by several writers, subscribers on other nodes, reads; with retries of every fourth
/// publish through another node (W3) and batches (W4). In two of the six rooms with cursors, holds, conditions, members
/// who come and go (W5), and guests (W7).
fn appends(seed: u64) -> Plan {
    Plan { seed, features: 2, guests: true, ..Plan::new("r", 6) }
}

/// The same without members: to wait until who is there is known would take a third of the time of the run.
fn memberless(seed: u64) -> Plan {
    Plan { members: false, ..appends(seed) }
}

/// Appends where subscribers come and go (W2).
fn churning(seed: u64) -> Plan {
    Plan { churn: Some(Duration::from_secs(4)), ..appends(seed) }
}

/// More batches, and every publish sent again through another node.
fn batches(seed: u64) -> Plan {
    Plan { bulk_every: 2, retry_every: 1, ..memberless(seed) }
}

/// Few retries through chosen nodes: those that have gone for good answer none, and each waits for its deadline.
fn few_retries(seed: u64) -> Plan {
    Plan { retry_every: 60, retry_deadline: ms(500), ..appends(seed) }
}

/// Large messages: a database sets tens of MiB aside for its log, and lives on that while a disk is full.
fn large(seed: u64) -> Plan {
    Plan { filling: 16_000..=24_000, pause: ms(24), ..memberless(seed) }
}

/// All scenarios of the suite, in its order.
pub const SUITE: &[Scenario] = &[
    Scenario {
        name: "kills",
        about: "A1: kill -9 of an owner, of any node, of a majority, of all",
        needs: &[],
        nodes: 3,
        disk: DiskKind::Folder,
        plan: churning,
        steps: |_, _| {
            vec![
                Step::new(Kill(Target::Owner), ms(1_500)),
                Step::new(Kill(Target::One), ms(1_500)),
                Step::new(Kill(Target::Majority), ms(500)),
                Step::new(Kill(Target::All), ms(200)),
                Step::new(Kill(Target::Owner), ms(100)),
            ]
        },
        at_least: &[("kills", 8), ("elections", 4), ("deduped", 1), ("faults_under_load", 5)],
        at_most: &[],
    },
    Scenario {
        name: "zombies",
        about: "A4: an owner sleeps for seconds with clients attached, and wakes",
        needs: &[],
        nodes: 3,
        disk: DiskKind::Folder,
        plan: appends,
        steps: |_, _| {
            vec![
                Step::new(Pause(Target::Owner), ms(3_000)),
                Step::new(Pause(Target::Owner), ms(8_000)),
                Step::new(Pause(Target::Majority), ms(2_500)),
                Step::new(Pause(Target::All), ms(2_000)),
            ]
        },
        at_least: &[("elections", 2), ("reads", 10)],
        at_most: &[],
    },
    Scenario {
        name: "rolling-restart",
        about: "A7: each node drained by SIGTERM and started again; no publish fails",
        needs: &[],
        nodes: 3,
        disk: DiskKind::Folder,
        plan: churning,
        steps: |_, _| (0..3).map(|k| Step::new(Drain(Target::Node(k)), ms(300))).collect(),
        at_least: &[("faults.drain", 3)],
        at_most: &[("fails", 0), ("infos", 0)],
    },
    Scenario {
        name: "bad-clients",
        about: "A15, A17: subscribers that read nothing, clients that come and go, an owner killed meanwhile",
        needs: &[],
        nodes: 3,
        disk: DiskKind::Folder,
        plan: appends,
        steps: |_, _| {
            vec![
                Step::new(SlowSubscribers::new(30), ms(5_000)),
                Step::new(ReconnectStorm::new(50), ms(3_000)),
                Step::new(Kill(Target::Owner), ms(500)),
                Step::new(ReconnectStorm::new(50), ms(2_000)),
            ]
        },
        at_least: &[("storm_joins", 50)],
        at_most: &[],
    },
    Scenario {
        name: "power-cuts",
        about: "A2: the power of all nodes cut at once, five times, and of an owner alone",
        needs: &[Need::PowerCuts],
        nodes: 3,
        disk: IMAGE,
        plan: batches,
        steps: |_, _| {
            let cut = |target| Step::new(PowerOff(target), ms(200));
            vec![
                cut(Target::All),
                cut(Target::All),
                cut(Target::Owner),
                cut(Target::All),
                cut(Target::Majority),
                cut(Target::All),
                cut(Target::All),
            ]
        },
        at_least: &[("bytes_dropped", 1), ("faults.power_cut", 7), ("bulks_in_flight", 1)],
        at_most: &[],
    },
    Scenario {
        name: "pause-kill",
        about: "A3: the choreography that split NATS JetStream, by sleep and by partition",
        needs: &[Need::Partitions, Need::PowerCuts],
        nodes: 3,
        disk: IMAGE,
        plan: appends,
        steps: |_, _| {
            vec![
                Step::new(PauseKill::new(Means::Pause, ms(6_000)), ms(500)),
                Step::new(PauseKill::new(Means::Partition, ms(6_000)), ms(500)),
            ]
        },
        at_least: &[("bytes_dropped", 1), ("packets_dropped", 1), ("elections", 2)],
        at_most: &[],
    },
    Scenario {
        name: "partitions",
        about: "A5: an owner alone, deaf, mute, and two nodes that hear each other only over a third",
        needs: &[Need::Partitions],
        nodes: 3,
        disk: DiskKind::Folder,
        plan: appends,
        steps: |_, _| {
            let cut = |shape| Step::new(Partition::new(Target::Owner, shape), ms(4_000));
            vec![cut(Shape::Isolate), cut(Shape::Deaf), cut(Shape::Mute), cut(Shape::Bridge)]
        },
        at_least: &[("packets_dropped", 4), ("elections", 1)],
        at_most: &[],
    },
    Scenario {
        name: "full-disks",
        about: "A8: the disk of an owner full, then those of a majority; then its syncs fail",
        needs: &[Need::PowerCuts, Need::Inject],
        nodes: 3,
        // Room for a whole ballast beside the data.
        disk: DiskKind::Image { mib: 1_280 },
        plan: large,
        steps: |_, _| {
            vec![
                Step::new(DiskFull::new(Target::Owner), ms(6_000)),
                Step::new(DiskFull::new(Target::Majority), ms(6_000)),
                Step::new(FailingSync::new(Target::Owner), ms(1_000)),
            ]
        },
        at_least: &[("stopped_on_eio", 1), ("disk_full_noticed", 2)],
        at_most: &[],
    },
    Scenario {
        name: "gray-disks",
        about: "A9: disks of an owner and of a follower slow, then hanging",
        needs: &[Need::PowerCuts, Need::SlowDisk, Need::Freeze],
        nodes: 3,
        disk: IMAGE,
        plan: memberless,
        steps: |_, _| {
            vec![
                Step::new(SlowDisk::new(Target::Follower, 10), ms(4_000)),
                Step::new(SlowDisk::new(Target::Owner, 10), ms(4_000)),
                Step::new(FrozenDisk::new(Target::Follower), ms(4_000)),
                Step::new(FrozenDisk::new(Target::Owner), ms(6_000)),
            ]
        },
        at_least: &[("faults.frozen_disk", 2)],
        at_most: &[],
    },
    Scenario {
        name: "corruption",
        about: "A6: a WAL, a watermark, an SST and a MANIFEST damaged, each node then needed for the quorum",
        needs: &[],
        nodes: 3,
        disk: DiskKind::Folder,
        plan: memberless,
        steps: |_, _| {
            let corrupt =
                |part, damage| Step::new(Corrupt { target: Target::Node(1), part, damage }, ms(500));
            let needed = || Step::new(Kill(Target::Node(2)), ms(1_500));
            vec![
                corrupt(Part::Wal, Damage::Flip),
                needed(),
                corrupt(Part::Watermark, Damage::Flip),
                needed(),
                corrupt(Part::Sst, Damage::Flip),
                needed(),
                corrupt(Part::Manifest, Damage::ZeroTail),
                needed(),
                corrupt(Part::Wal, Damage::Truncate),
                needed(),
            ]
        },
        at_least: &[("faults.corrupt", 5), ("faults.kill", 5)],
        at_most: &[],
    },
    Scenario {
        name: "membership",
        about: "A10: a node joins and leaves, an owner dies for good and is replaced, a kill in between",
        needs: &[],
        nodes: 3,
        disk: DiskKind::Folder,
        plan: few_retries,
        steps: |_, _| {
            vec![
                Step::new(JoinAndLeave::default(), ms(3_000)),
                Step::new(Kill(Target::One), ms(500)),
                Step::new(Replace(Target::Owner), ms(1_000)),
            ]
        },
        at_least: &[("membership_changes", 4)],
        at_most: &[],
    },
    Scenario {
        name: "amnesia",
        about: "A12: a node restored from an old copy, and one that comes back empty",
        needs: &[],
        nodes: 3,
        disk: DiskKind::Folder,
        plan: memberless,
        steps: |_, _| {
            vec![
                Step::new(OldCopy::new(Target::Owner), ms(4_000)),
                Step::new(Kill(Target::One), ms(500)),
                Step::new(Wipe(Target::One), ms(500)),
            ]
        },
        at_least: &[("faults.old_copy", 1), ("faults.wipe", 1)],
        at_most: &[],
    },
];

/// The part of the suite that `make test` runs: no root, and the claims that matter most.
pub const SHORT: &[&str] = &["kills", "rolling-restart"];

/// Scenarios beside the suite's.
pub const OTHERS: &[Scenario] = &[
    Scenario {
        name: "ring",
        about: "A5 with five nodes: each hears only its neighbours; the majority of five split from two",
        needs: &[Need::Partitions],
        nodes: 5,
        disk: DiskKind::Folder,
        plan: appends,
        steps: |_, _| {
            vec![
                Step::new(Partition::new(Target::All, Shape::Ring), ms(8_000)),
                Step::new(Partition::new(Target::Majority, Shape::Isolate), ms(8_000)),
            ]
        },
        at_least: &[("packets_dropped", 2)],
        at_most: &[],
    },
    Scenario {
        name: "mix",
        about: "A20: faults at random, whatever this machine can do",
        needs: &[Need::Partitions, Need::PowerCuts],
        nodes: 3,
        disk: IMAGE,
        plan: churning,
        steps: mix::steps,
        at_least: &[("faults_under_load", 3)],
        at_most: &[],
    },
];

/// The scenario of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Scenario> {
    all().find(|scenario| scenario.name == name)
}

/// All, the suite's first.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    SUITE.iter().chain(OTHERS).chain(crate::sabotage::DRILLS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for scenario in all() {
            assert_eq!(all().filter(|other| other.name == scenario.name).count(), 1, "{}", scenario.name);
            assert!(by_name(scenario.name).is_some());
        }
        for name in SHORT {
            assert!(by_name(name).is_some_and(Scenario::is_plain), "{name}");
        }
        assert!(by_name("none").is_none());
    }
}
