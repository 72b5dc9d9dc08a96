//! A subscriber is sent every message from its start on, once, in order, and the same that the log has.

use std::collections::HashMap;

use roomkeeper_types::{MessageId, Offset};

use super::Violation;
use crate::history::{History, RoomLog};

pub(super) fn check(history: &History, log: &RoomLog) -> Vec<Violation> {
    let stored: HashMap<Offset, MessageId> = log.items.iter().map(|item| (item.offset, item.id)).collect();
    let mut wrong = Vec::new();
    let watches = history.watches.iter().filter(|watch| watch.room == log.room);
    for (number, watch) in (1..).zip(watches) {
        let mut note = |what| {
            wrong.push(Violation::new("watched", &log.room, format!("subscriber {number} {what}")));
        };
        let mut expected = watch.from;
        for (offset, id) in &watch.items {
            if *offset != expected {
                note(format!("was sent {offset} where {expected} should come"));
            }
            expected = offset.next();
            if stored.get(offset) != Some(id) {
                note(format!("was sent {id} at {offset}, where the log has another"));
            }
        }
        if let Some(error) = &watch.error {
            note(format!("ended before {expected}: {error}"));
        } else if expected < log.next {
            note(format!("was sent nothing from {expected} on, and the log goes on to {}", log.next));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::super::sample::{assert_found, id, log, run};
    use super::*;

    #[test]
    fn gap_repeat_and_wrong_order_are_found() {
        let (mut gap, mut repeat, mut swapped) = (run(), run(), run());
        gap.watches[0].items.remove(2);
        assert_found(&check(&gap, &log()), "was sent o4 where o3 should come");
        repeat.watches[0].items.insert(2, (Offset(2), id(2)));
        assert_found(&check(&repeat, &log()), "was sent o2 where o3 should come");
        swapped.watches[0].items.swap(0, 1);
        assert_found(&check(&swapped, &log()), "was sent o2 where o1 should come");
    }

    #[test]
    fn message_that_the_log_does_not_have_is_found() {
        let mut run = run();
        run.watches[0].items[3].1 = id(77);
        assert_found(&check(&run, &log()), "where the log has another");
    }

    #[test]
    fn end_before_the_head_is_found() {
        let (mut late, mut failed) = (run(), run());
        late.watches[0].items.pop();
        assert_found(&check(&late, &log()), "was sent nothing from o5 on");
        failed.watches[0].error = Some("trimmed".to_owned());
        assert_found(&check(&failed, &log()), "ended before o6: trimmed");
    }
}
