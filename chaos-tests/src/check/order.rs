//! A batch is stored whole and in one piece, and what one writer sent stands in the order it sent it.

use std::collections::HashMap;

use roomkeeper_types::{MessageId, Offset};

use super::Violation;
use crate::history::{History, RoomLog};

pub(super) fn check(history: &History, log: &RoomLog) -> Vec<Violation> {
    let stored: HashMap<MessageId, Offset> = log.items.iter().map(|item| (item.id, item.offset)).collect();
    let mut wrong = Vec::new();
    let mut note = |what| wrong.push(Violation::new("order", &log.room, what));
    let mut heads: HashMap<u32, Offset> = HashMap::new();
    for sent in history.sends.iter().filter(|sent| sent.room == log.room) {
        let offsets: Vec<Offset> =
            sent.messages.iter().filter_map(|(id, _)| stored.get(id).copied()).collect();
        // Not stored at all: others judge whether it may be.
        let (Some(first), Some(last)) = (offsets.first().copied(), offsets.last().copied()) else { continue };
        if offsets.len() != sent.messages.len() {
            note(format!(
                "of the {} messages of the batch at {first} only {} are there",
                sent.messages.len(),
                offsets.len()
            ));
        }
        if offsets.windows(2).any(|pair| pair[1] != pair[0].next()) {
            note(format!("the batch at {first} is not in one piece"));
        }
        if let Some(head) = heads.insert(sent.writer, last)
            && first <= head
        {
            note(format!("writer {} sent what stands at {first} after what stands at {head}", sent.writer));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::super::sample::{assert_found, log, run};
    use super::*;

    #[test]
    fn batch_stored_in_part_is_found() {
        let mut log = log();
        log.items.remove(2);
        assert_found(&check(&run(), &log), "of the 2 messages of the batch at o2 only 1 are there");
    }

    #[test]
    fn batch_torn_apart_is_found() {
        let mut log = log();
        let (third, fourth) = (log.items[2].id, log.items[3].id);
        (log.items[2].id, log.items[3].id) = (fourth, third);
        assert_found(&check(&run(), &log), "the batch at o2 is not in one piece");
    }

    #[test]
    fn writer_overtaken_by_itself_is_found() {
        let mut run = run();
        run.sends.swap(0, 1);
        assert_found(&check(&run, &log()), "writer 0 sent what stands at o1 after what stands at o3");
    }
}
