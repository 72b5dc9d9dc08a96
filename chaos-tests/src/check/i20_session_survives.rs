//! I20, a session survives: whatever is done to the cluster, a subscription goes on by itself, without an error and
//! without being told that something is missing. (That nothing is missed or repeated is I6 and I7.)

use super::Findings;
use crate::history::{Ending, History, SubEvent};

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        for sub in &room.subs {
            findings.look(1);
            if let Ending::Failed(at, why) = &sub.end {
                findings.wrong(name, Some(*at), || format!("subscriber {} was ended: {why}", sub.sub));
            }
            for (at, event) in &sub.events {
                if let SubEvent::Gap { expected, why, .. } = event {
                    findings.wrong(name, Some(*at), || {
                        format!("subscriber {} was told that {expected} is missing: {why}", sub.sub)
                    });
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    #[test]
    fn subscription_that_comes_back_is_fine() {
        let mut story = Story::right();
        let sub = story.subscribe(1, 5);
        story.resume(sub, 1, 5);
        story.leave(sub);
        assert_fine(&check(&story.load()), 2);
    }

    #[test]
    fn subscription_that_ends_or_skips_is_found() {
        let mut ended = Story::right();
        let sub = ended.subscribe(1, 5);
        ended.sub_fails(sub, "unauthorized");
        assert_found(&check(&ended.load()), "was ended: unauthorized");
        let mut told = Story::right();
        let sub = told.subscribe(1, 5);
        told.gap(sub, 1, 3);
        assert_found(&check(&told.load()), "was told that o1 is missing");
    }
}
