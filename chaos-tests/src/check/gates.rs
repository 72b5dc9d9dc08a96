//! Gates against empty runs: a run that could not have found anything is no proof, so it fails.

use std::collections::BTreeMap;

use super::counts::idle_faults;
use crate::history::History;

/// What the run did not do though it should have; empty for one that proves something.
pub(super) fn check(history: &History, counts: &BTreeMap<String, u64>) -> Vec<String> {
    let mut missing = Vec::new();
    let short = |count: &str, at_least: u64| counts.get(count).copied().unwrap_or(0) < at_least;
    for count in [super::counts::ACKS, super::counts::DELIVERIES, super::counts::FAULTS] {
        // Whatever its gates are. A run without faults says so by a gate of zero.
        let waived = history.info.gates.iter().any(|gate| gate.count == count);
        if !waived && short(count, 1) {
            missing.push(format!("no {count}"));
        }
    }
    for gate in history.info.gates.iter().filter(|gate| short(&gate.count, gate.at_least)) {
        let had = counts.get(&gate.count).copied().unwrap_or(0);
        missing.push(format!("{had} {}, and at least {} are asked for", gate.count, gate.at_least));
    }
    for fault in idle_faults(history) {
        missing.push(format!("no load before or none after {} at {}", fault.begin.nemesis, fault.begun));
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::super::counts::counts;
    use super::super::sample::Story;
    use super::*;
    use crate::history::Gate;

    fn missing(story: &Story) -> Vec<String> {
        let history = story.load();
        check(&history, &counts(&history))
    }

    fn with_a_fault() -> Story {
        let mut story = Story::right();
        story.fault("kill", &[0]);
        let op = story.send(0, &[9]);
        story.ok(op, 1, &[5]);
        story
    }

    #[test]
    fn run_with_load_before_and_after_a_fault_proves_something() {
        assert_eq!(missing(&with_a_fault()), Vec::<String>::new());
    }

    #[test]
    fn run_without_acks_deliveries_or_faults_is_empty() {
        assert_eq!(missing(&Story::empty()), ["no acks", "no deliveries", "no faults"]);
    }

    #[test]
    fn run_that_misses_a_gate_of_its_own_is_empty() {
        let mut story = with_a_fault();
        story.info.gates = vec![Gate::new("acks", 3), Gate::new("dropped_bytes", 1)];
        assert_eq!(missing(&story), ["0 dropped_bytes, and at least 1 are asked for"]);
    }

    #[test]
    fn fault_without_load_after_it_is_empty_and_no_fault_may_be_asked_for() {
        let mut story = Story::right();
        story.info.gates = vec![Gate::new("faults", 0)];
        assert_eq!(missing(&story), Vec::<String>::new());
        story.fault("kill", &[0]);
        assert!(missing(&story)[0].contains("none after kill"), "{:?}", missing(&story));
    }
}
