//! Scenarios made for one kind of bug each, where those of the suite do not provoke it for certain.

use std::time::Duration;

use crate::disk::DiskKind;
use crate::machine::Need;
use crate::nemesis::{Kill, LostLog, LostQuorum, PowerOff, Target};
use crate::scenario::{Scenario, Step};
use crate::workload::Plan;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn appends(seed: u64) -> Plan {
    Plan { seed, retry_every: 2, ..Plan::new("r", 6) }
}

/// All of them. They are sound scenarios: a program without a bug is fine in each.
pub const DRILLS: &[Scenario] = &[
    Scenario {
        name: "lost-quorum",
        about: "an owner whose quorum dies and which follows it before it notices",
        needs: &[],
        nodes: 3,
        disk: DiskKind::Folder,
        plan: appends,
        steps: |_, _| vec![Step::new(LostQuorum, ms(500)), Step::new(LostQuorum, ms(500))],
        at_least: &[("faults.lost_quorum", 2), ("elections", 1)],
        at_most: &[],
    },
    Scenario {
        name: "blackouts",
        about: "kill -9 of all nodes at once, four times",
        needs: &[],
        nodes: 3,
        disk: DiskKind::Folder,
        plan: appends,
        steps: |_, _| (0..4).map(|_| Step::new(Kill(Target::All), ms(300))).collect(),
        at_least: &[("faults.kill", 4), ("deduped", 1)],
        at_most: &[],
    },
    Scenario {
        name: "dark",
        about: "the power of all nodes cut at once, twice",
        needs: &[Need::PowerCuts],
        nodes: 3,
        disk: DiskKind::Image { mib: 512 },
        plan: appends,
        steps: |_, _| (0..2).map(|_| Step::new(PowerOff(Target::All), ms(200))).collect(),
        at_least: &[("faults.power_cut", 2), ("bytes_dropped", 1)],
        at_most: &[],
    },
    Scenario {
        name: "lost-log",
        about: "a node without its logs is needed for the quorum",
        needs: &[],
        nodes: 3,
        disk: DiskKind::Folder,
        plan: appends,
        steps: |_, _| vec![Step::new(LostLog, ms(500))],
        at_least: &[("faults.lost_log", 1)],
        at_most: &[],
    },
    Scenario {
        name: "long-absence",
        about: "a follower is down for a while, then an owner dies; with a bug that needs it, logs are cut meanwhile",
        needs: &[],
        nodes: 3,
        disk: DiskKind::Folder,
        plan: appends,
        steps: |_, _| {
            vec![Step::new(Kill(Target::Follower), ms(12_000)), Step::new(Kill(Target::Owner), ms(3_000))]
        },
        at_least: &[("faults.kill", 2), ("deduped", 100)],
        at_most: &[],
    },
];
