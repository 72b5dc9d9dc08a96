//! The figures of a report. Times are microseconds of the history's clock.

use std::collections::BTreeMap;

use serde::Serialize;

use super::timeline::{self, Bucket, Gap, Span};
use crate::check::counts::elections;
use crate::check::{Class, Judged, Kind, Verdict};
use crate::history::{At, Fault, History, Phase};

/// Violations shown of one invariant.
const SHOWN: usize = 10;

/// Everything that the page shows.
#[derive(Serialize)]
pub(super) struct Model<'h> {
    scenario: &'h str,
    seed: u64,
    nodes: usize,
    binary: &'h str,
    sabotage: Option<&'h str>,
    /// Wall clock at time zero.
    wall_us: u64,
    end: At,
    /// `fine`, `empty`, `liveness`, `safety`.
    class: &'static str,
    empty: &'h [String],
    counts: &'h BTreeMap<String, u64>,
    checks: Vec<Check>,
    phases: Vec<(At, Phase)>,
    faults: Vec<FaultBand<'h>>,
    shards: Vec<Row>,
    elections: Vec<At>,
    /// Width of a bucket.
    bucket_us: u64,
    buckets: Vec<Bucket>,
    gaps: Vec<Gap>,
}

/// An invariant and what was found.
#[derive(Serialize)]
struct Check {
    id: &'static str,
    name: &'static str,
    liveness: bool,
    looked_at: u64,
    wrong: u64,
    violations: Vec<String>,
}

/// A fault, from its begin to its end.
#[derive(Serialize)]
struct FaultBand<'h> {
    from: At,
    to: At,
    nemesis: &'h str,
    nodes: &'h [usize],
    detail: String,
}

/// Who owned a shard.
#[derive(Serialize)]
struct Row {
    shard: u32,
    /// Rooms under load in it.
    rooms: Vec<String>,
    spans: Vec<Span>,
}

impl<'h> Model<'h> {
    pub(super) fn new(history: &'h History, verdict: &'h Verdict) -> Self {
        let (end, (bucket_us, buckets)) = (timeline::end(history), timeline::buckets(history));
        let info = &history.info;
        Self {
            scenario: &info.scenario,
            seed: info.seed,
            nodes: info.nodes,
            binary: &info.binary,
            sabotage: info.sabotage.as_deref(),
            wall_us: info.wall_us,
            end,
            class: match verdict.class() {
                Class::Fine => "fine",
                Class::Empty => "empty",
                Class::Liveness => "liveness",
                Class::Safety => "safety",
            },
            empty: &verdict.empty,
            counts: &verdict.counts,
            checks: verdict.judged.iter().map(check).collect(),
            phases: history.phases.clone(),
            faults: history.faults.iter().map(|fault| band(fault, end)).collect(),
            shards: rows(history),
            elections: elections(history),
            bucket_us,
            buckets,
            gaps: timeline::gaps(history),
        }
    }
}

fn check(judged: &Judged) -> Check {
    let (invariant, findings) = (&judged.invariant, &judged.findings);
    Check {
        id: invariant.id,
        name: invariant.name,
        liveness: invariant.kind == Kind::Liveness,
        looked_at: findings.looked_at(),
        wrong: findings.count(),
        violations: findings.violations().iter().take(SHOWN).map(ToString::to_string).collect(),
    }
}

fn band(fault: &Fault, end: At) -> FaultBand<'_> {
    let parts = [fault.begin.detail.as_str(), fault.came.as_str()];
    let detail = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    let (nemesis, nodes) = (fault.begin.nemesis.as_str(), fault.begin.nodes.as_slice());
    FaultBand { from: fault.begun, to: fault.ended.unwrap_or(end), nemesis, nodes, detail }
}

fn rows(history: &History) -> Vec<Row> {
    let mut rooms: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (name, room) in &history.rooms {
        if let Some(shard) = room.log.as_ref().and_then(|log| log.shard) {
            rooms.entry(shard.0).or_default().push(name.to_string());
        }
    }
    let spans = timeline::ownership(history).into_iter();
    spans
        .map(|(shard, spans)| Row {
            shard: shard.0,
            rooms: rooms.remove(&shard.0).unwrap_or_default(),
            spans,
        })
        .collect()
}
