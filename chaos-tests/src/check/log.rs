//! A log is dense from 1 to its head, has no message twice, and none that nobody sent or that was refused.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use roomkeeper_types::{MessageId, Offset};

use super::Violation;
use crate::history::{History, Outcome, RoomLog};

pub(super) fn check(history: &History, log: &RoomLog) -> Vec<Violation> {
    let of_room = history.sends.iter().filter(|sent| sent.room == log.room);
    let sent: HashMap<MessageId, (&Bytes, &Outcome)> = of_room
        .flat_map(|sent| sent.messages.iter().map(|(id, data)| (*id, (data, &sent.outcome))))
        .collect();
    let mut wrong = Vec::new();
    let mut note = |what| wrong.push(Violation::new("log", &log.room, what));
    let (mut expected, mut seen) = (Offset(1), HashSet::new());
    for item in &log.items {
        if item.offset != expected {
            note(format!("{} stands where {expected} should", item.offset));
        }
        expected = item.offset.next();
        if !seen.insert(item.id) {
            note(format!("{} is there twice, again at {}", item.id, item.offset));
        }
        match sent.get(&item.id) {
            None => note(format!("{} at {} was never sent", item.id, item.offset)),
            Some((_, Outcome::Refused(why))) => {
                note(format!("{} at {} was refused: {why}", item.id, item.offset));
            }
            Some((data, _)) if **data != *item.data.bytes() => {
                note(format!("{} at {} is not what was sent", item.id, item.offset));
            }
            Some(_) => {}
        }
    }
    if expected != log.next {
        note(format!("the log ends before {expected}, its owner says before {}", log.next));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use roomkeeper_protocol::Data;

    use super::super::sample::{assert_found, id, item, log, run};
    use super::*;

    #[test]
    fn gap_and_repeated_offset_are_found() {
        let (mut gap, mut repeat) = (log(), log());
        gap.items.remove(1);
        assert_found(&check(&run(), &gap), "o3 stands where o2 should");
        repeat.items.insert(1, item(1, 1));
        assert_found(&check(&run(), &repeat), "o1 stands where o2 should");
    }

    #[test]
    fn message_twice_is_found() {
        let mut log = log();
        log.items.push(item(6, 1));
        log.next = Offset(7);
        assert_found(&check(&run(), &log), "is there twice, again at o6");
    }

    #[test]
    fn message_that_nobody_sent_is_found() {
        let mut log = log();
        log.items.push(item(6, 77));
        log.next = Offset(7);
        assert_found(&check(&run(), &log), "at o6 was never sent");
    }

    #[test]
    fn unknown_message_may_be_stored_but_only_with_its_data() {
        let mut log = log();
        log.items.push(item(6, 9));
        log.next = Offset(7);
        assert_eq!(check(&run(), &log), []);
        log.items[5].data = Data::Json("0".into());
        assert_found(&check(&run(), &log), "is not what was sent");
    }

    #[test]
    fn refused_message_stored_is_found() {
        let mut run = run();
        run.sends[2].outcome = Outcome::Refused("conflict".to_owned());
        assert_eq!(run.sends[2].messages[0].0, id(4));
        assert_found(&check(&run, &log()), "at o4 was refused: conflict");
    }

    #[test]
    fn log_shorter_than_its_owner_says_is_found() {
        let mut log = log();
        log.next = Offset(9);
        assert_found(&check(&run(), &log), "the log ends before o6, its owner says before o9");
    }
}
