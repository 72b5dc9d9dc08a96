//! A run that could not have found anything is no proof: there were acks, subscribers, and faults under load.

use super::Violation;
use crate::history::History;

pub(super) fn check(history: &History) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let mut note = |what: String| wrong.push(Violation::of_run("vacuity", what));
    let acks = history.ack_times(None);
    if acks.is_empty() {
        note("nothing was acked".to_owned());
    }
    if history.watches.iter().all(|watch| watch.items.is_empty()) {
        note("no subscriber was sent anything".to_owned());
    }
    if history.faults.is_empty() {
        note("nothing was done to the cluster".to_owned());
    }
    for fault in &history.faults {
        if acks.first().is_none_or(|first| *first >= fault.at) {
            note(format!("{}: there was no load before it", fault.what));
        }
        if acks.last().is_none_or(|last| *last <= fault.at) {
            note(format!("{}: there was no load after it", fault.what));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::super::sample::{assert_found, run};
    use super::*;

    #[test]
    fn run_without_acks_or_deliveries_is_found() {
        let mut run = run();
        run.sends.clear();
        run.watches.clear();
        assert_found(&check(&run), "nothing was acked");
        assert_found(&check(&run), "no subscriber was sent anything");
    }

    #[test]
    fn run_without_a_fault_under_load_is_found() {
        let (mut none, mut late, mut early) = (run(), run(), run());
        none.faults.clear();
        assert_found(&check(&none), "nothing was done to the cluster");
        late.sends.truncate(2);
        assert_found(&check(&late), "there was no load after it");
        early.sends.drain(..2);
        assert_found(&check(&early), "there was no load before it");
    }
}
