//! What was acked is in the log: each message once, at the offset and epoch that its ack named, with its data.

use std::collections::HashMap;

use roomkeeper_protocol::Item;
use roomkeeper_types::MessageId;

use super::Violation;
use crate::history::{History, Outcome, RoomLog};

pub(super) fn check(history: &History, log: &RoomLog) -> Vec<Violation> {
    let stored: HashMap<MessageId, &Item> = log.items.iter().map(|item| (item.id, item)).collect();
    let mut wrong = Vec::new();
    let mut note = |what| wrong.push(Violation::new("acked", &log.room, what));
    for sent in history.sends.iter().filter(|sent| sent.room == log.room) {
        let Outcome::Acked { epoch, offsets, .. } = &sent.outcome else { continue };
        if offsets.len() != sent.messages.len() {
            note(format!("an ack of {} messages has {} offsets", sent.messages.len(), offsets.len()));
        }
        for ((id, data), offset) in sent.messages.iter().zip(offsets) {
            match stored.get(id) {
                None => note(format!("{id} is lost, which was acked at {offset} in {epoch}")),
                Some(item) if item.offset != *offset => {
                    note(format!("{id} was acked at {offset} and stands at {}", item.offset));
                }
                Some(item) if item.epoch != *epoch => {
                    note(format!("{id} at {offset} was acked in {epoch} and stands in {}", item.epoch));
                }
                Some(item) if item.data.bytes() != data => note(format!("{id} at {offset} has other data")),
                Some(_) => {}
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use roomkeeper_protocol::Data;
    use roomkeeper_types::Epoch;

    use super::super::sample::{acked, assert_found, log, run};
    use super::*;

    #[test]
    fn acked_message_missing_is_found() {
        let mut log = log();
        log.items.remove(3);
        assert_found(&check(&run(), &log), "is lost, which was acked at o4");
    }

    #[test]
    fn acked_message_at_another_offset_is_found() {
        let mut log = log();
        let id = log.items[0].id;
        log.items[0].id = log.items[1].id;
        log.items[1].id = id;
        assert_found(&check(&run(), &log), "was acked at o1 and stands at o2");
    }

    #[test]
    fn acked_message_with_other_data_or_epoch_is_found() {
        let (mut data, mut epoch) = (log(), log());
        data.items[2].data = Data::Json("0".into());
        assert_found(&check(&run(), &data), "at o3 has other data");
        epoch.items[2].epoch = Epoch(2);
        assert_found(&check(&run(), &epoch), "was acked in e1 and stands in e2");
    }

    #[test]
    fn ack_with_too_few_offsets_is_found() {
        let mut run = run();
        let Outcome::Acked { at, .. } = run.sends[1].outcome else { panic!("acked") };
        run.sends[1].outcome = acked(at, &[2]);
        assert_found(&check(&run, &log()), "an ack of 2 messages has 1 offsets");
    }
}
