//! I22, convergence: in the end every replica of a room has a copy of the whole log, and all copies are equal. The
//! reader waited half a minute for it.

use super::Findings;
use crate::history::History;

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        let Some(log) = &room.log else { continue };
        if log.replicas.is_empty() {
            findings.wrong(name, None, || "it has no replicas".to_owned());
        }
        for node in &log.replicas {
            findings.look(1);
            match room.copies.iter().find(|copy| copy.node == *node) {
                None => findings.wrong(name, None, || format!("{node} should have a copy and has none")),
                Some(copy) if copy.next != log.next => findings.wrong(name, None, || {
                    format!("the copy on {node} ends before {}, the log before {}", copy.next, log.next)
                }),
                Some(copy) if room.copies.iter().any(|other| other.hash != copy.hash) => {
                    findings.wrong(name, None, || format!("the copy on {node} is not like all others"));
                }
                Some(_) => {}
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
    fn equal_copies_are_fine() {
        assert_fine(&check(&Story::right().load()), 3);
    }

    #[test]
    fn copy_that_lags_differs_or_is_missing_is_found() {
        for (copies, words) in [
            (
                &[(1, 5, "a"), (2, 4, "b"), (3, 5, "a")][..],
                "the copy on n2 ends before o4, the log before o5",
            ),
            (&[(1, 5, "a"), (2, 5, "b"), (3, 5, "a")], "is not like all others"),
            (&[(1, 5, "a"), (3, 5, "a")], "n2 should have a copy and has none"),
        ] {
            assert_found(&check(&Story::right().with_copies(copies).load()), words);
        }
    }
}
