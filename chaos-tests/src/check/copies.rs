//! Every replica of a room has the same log.

use super::Violation;
use crate::history::RoomLog;

pub(super) fn check(log: &RoomLog) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let mut note = |what| wrong.push(Violation::new("copies", &log.room, what));
    if log.replicas.is_empty() {
        note("it has no replicas".to_owned());
    }
    for node in &log.replicas {
        if log.copies.iter().all(|copy| copy.node != *node) {
            note(format!("{node} should have a copy and has none"));
        }
    }
    for copy in &log.copies {
        let first = &log.copies[0];
        if copy.next != log.next {
            note(format!("the copy on {} ends before {}, the log before {}", copy.node, copy.next, log.next));
        } else if copy.hash != first.hash {
            note(format!("the copies on {} and {} differ", first.node, copy.node));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use roomkeeper_types::Offset;

    use super::super::sample::{assert_found, log};
    use super::*;

    #[test]
    fn copy_that_differs_or_lags_is_found() {
        let (mut differs, mut lags) = (log(), log());
        differs.copies[2].hash = "abd".to_owned();
        assert_found(&check(&differs), "the copies on n1 and n3 differ");
        lags.copies[1].next = Offset(5);
        assert_found(&check(&lags), "the copy on n2 ends before o5, the log before o6");
    }

    #[test]
    fn copy_that_is_missing_is_found() {
        let (mut one, mut all) = (log(), log());
        one.copies.remove(1);
        assert_found(&check(&one), "n2 should have a copy and has none");
        all.replicas.clear();
        all.copies.clear();
        assert_found(&check(&all), "it has no replicas");
    }
}
