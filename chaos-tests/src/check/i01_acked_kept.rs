//! I1, no acked message lost: the message of every ack is in the final log, at exactly the offset acked.

use super::{Findings, lost};
use crate::history::History;

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        if room.log.is_none() && !room.sends.is_empty() {
            findings.wrong(name, None, || "it was written to, but not read back".to_owned());
        }
        lost::look(&mut findings, name, room, |_| true);
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    #[test]
    fn acks_that_the_log_has_are_fine() {
        assert_fine(&check(&Story::right().load()), 4);
    }

    #[test]
    fn acked_message_missing_is_found_with_the_part_of_the_log_that_it_is_missing_from() {
        for (log, part) in [
            (&[(2, 2), (3, 3), (4, 4)][..], "at the beginning"),
            (&[(1, 1), (3, 3), (4, 4)], "in the middle"),
            (&[(1, 1), (2, 2), (3, 3)], "at the end"),
        ] {
            assert_found(&check(&Story::right().with_log(log).load()), part);
        }
    }

    #[test]
    fn acked_message_at_another_offset_is_found() {
        let story = Story::right().with_log(&[(1, 2), (2, 1), (3, 3), (4, 4)]);
        assert_found(&check(&story.load()), "was acked at o1 and stands at o2");
    }

    #[test]
    fn room_written_but_not_read_back_is_found() {
        assert_found(&check(&Story::right().without_log().load()), "not read back");
    }
}
