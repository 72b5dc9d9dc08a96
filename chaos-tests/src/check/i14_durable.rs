//! I14, durable before the ack: what was acked before the power went is there when it is back. It is I1 for the
//! acks that only a power cut can test: after a kill the kernel still has what was never synced.

use super::{Findings, lost};
use crate::history::History;

/// The nemesis that drops what was not synced.
pub const POWER_CUT: &str = "power_cut";

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    let cuts = history.faults.iter().filter(|fault| fault.begin.nemesis == POWER_CUT);
    let Some(last) = cuts.map(|fault| fault.begun).max() else { return findings };
    for (name, room) in &history.rooms {
        lost::look(&mut findings, name, room, |acked| acked < last);
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    #[test]
    fn acks_before_a_power_cut_that_are_there_are_fine_and_later_ones_are_not_judged() {
        let mut story = Story::right().with_log(&[(1, 1), (2, 2), (3, 3), (4, 4)]);
        story.fault(POWER_CUT, &[0, 1, 2]);
        let op = story.send(0, &[9]);
        story.ok(op, 2, &[5]);
        assert_fine(&check(&story.load()), 4);
    }

    #[test]
    fn ack_lost_by_a_power_cut_is_found_and_without_a_cut_nothing_is_judged() {
        let mut story = Story::right().with_log(&[(1, 1), (2, 2), (3, 3)]);
        assert_fine(&check(&story.load()), 0);
        story.fault(POWER_CUT, &[0, 1, 2]);
        assert_found(&check(&story.load()), "is lost at the end");
    }
}
