//! Measuring this node's load: counters on the way of messages, looked at once a second.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use roomkeeper_room::Effect;
use roomkeeper_types::{ReplicaId, ShardId};

use super::{Load, Report};
use crate::Audience;
use crate::node::Shared;

/// How often the counters are looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// What is older than this has lost two thirds of its weight in an average.
const MEMORY: Duration = Duration::from_secs(10);

/// What was stored in a replica since it was opened, whoever owned it then: so a new owner knows its load at once.
#[derive(Default)]
pub(crate) struct Traffic {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Traffic {
    /// These effects were applied.
    pub(crate) fn applied(&self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Appended { items, .. } = effect {
                let bytes: usize = items.iter().map(|item| item.payload.bytes.len()).sum();
                self.messages.fetch_add(items.len() as u64, Ordering::Relaxed);
                self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            }
        }
    }
}

/// Measures this node for ever.
pub(crate) async fn measure_load(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut meter = Meter::default();
    loop {
        ticks.tick().await;
        let report = meter.measure(&shared);
        shared.loads.learn(shared.identity.node, report);
        let nodes = shared.meta.state();
        shared.loads.retain(|node| nodes.nodes.contains_key(&node));
    }
}

/// The averages so far.
#[derive(Default)]
struct Meter {
    at: Option<Instant>,
    traffic: BTreeMap<ReplicaId, [Rate; 2]>,
    deliveries: BTreeMap<ShardId, Rate>,
}

impl Meter {
    fn measure(&mut self, shared: &Shared) -> Report {
        let now = Instant::now();
        let passed = self.at.replace(now).map(|before| now - before);
        let mut loads: BTreeMap<ShardId, Load> = BTreeMap::new();
        let mut traffic = std::mem::take(&mut self.traffic);
        let held: BTreeSet<ShardId> = shared.table.held().iter().map(|held| held.shard()).collect();
        for local in shared.shards.all() {
            let replica = local.group.replica();
            let [mut messages, mut bytes] = traffic.remove(&replica).unwrap_or_default();
            messages.look(local.traffic.messages.load(Ordering::Relaxed), passed);
            bytes.look(local.traffic.bytes.load(Ordering::Relaxed), passed);
            if held.contains(&local.shard) {
                let load = loads.entry(local.shard).or_default();
                (load.messages_per_s, load.bytes_per_s) = (messages.per_s(), bytes.per_s());
            }
            self.traffic.insert(replica, [messages, bytes]);
        }
        let mut deliveries = std::mem::take(&mut self.deliveries);
        for (shard, audience) in shared.observer.audiences() {
            let Audience { subscribers, deliveries: counted } = audience;
            let mut rate = deliveries.remove(&shard).unwrap_or_default();
            rate.look(counted, passed);
            let load = loads.entry(shard).or_default();
            (load.deliveries_per_s, load.subscribers) = (rate.per_s(), subscribers);
            self.deliveries.insert(shard, rate);
        }
        Report::new(loads, &held)
    }
}

/// The average growth of a counter, newer growth counting more.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    counted: u64,
    per_s: f64,
}

impl Rate {
    /// The counter stands at `counted`, `passed` after the last look; the first look only notes where it stands.
    fn look(&mut self, counted: u64, passed: Option<Duration>) {
        let grown = counted.saturating_sub(self.counted);
        self.counted = counted;
        if let Some(seconds) = passed.map(|passed| passed.as_secs_f64()).filter(|seconds| *seconds > 0.0) {
            let share = 1.0 - (-seconds / MEMORY.as_secs_f64()).exp();
            self.per_s += share * (grown as f64 / seconds - self.per_s);
        }
    }

    /// In whole numbers.
    fn per_s(self) -> u64 {
        // Saturates, and is never negative.
        self.per_s.round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a rate comes to when the counter grows by so much each second.
    fn after(growth: &[u64]) -> u64 {
        let mut rate = Rate::default();
        let mut counted = 1_000_000;
        rate.look(counted, None);
        for grown in growth {
            counted += grown;
            rate.look(counted, Some(INTERVAL));
        }
        rate.per_s()
    }

    #[test]
    fn rate_follows_the_counter_within_seconds() {
        assert_eq!(after(&[]), 0, "what was counted before the first look is not of this second");
        assert_eq!(after(&[1_000; 60]), 998);
        let risen = after(&[1_000; 10]);
        assert!((620..650).contains(&risen), "{risen}");
        let fallen = after(&[&[1_000; 60][..], &[0; 10]].concat());
        assert!((350..380).contains(&fallen), "{fallen}");
        assert_eq!(after(&[&[1_000; 60][..], &[0; 100]].concat()), 0);
    }

    #[test]
    fn rate_of_uneven_looks_is_the_same() {
        let mut rate = Rate::default();
        for (counted, millis) in [(0, 0), (500, 500), (3_500, 3_000), (3_600, 100), (3_600, 0)] {
            rate.look(counted, Some(Duration::from_millis(millis)));
        }
        let even = after(&[1_000, 1_000, 1_000, 600]);
        assert!(rate.per_s().abs_diff(even) < 40, "{} and {even}", rate.per_s());
    }

    #[test]
    fn counter_that_begins_anew_counts_for_nothing_once() {
        let mut rate = Rate::default();
        rate.look(1_000_000, None);
        rate.look(5, Some(INTERVAL));
        assert_eq!(rate.per_s(), 0);
        rate.look(105, Some(INTERVAL));
        assert_eq!(rate.per_s(), 10);
    }
}
