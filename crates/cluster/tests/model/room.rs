//! The room's state machine: what a log comes to. The same on every replica.

use crate::state::{Entry, Item, Message, Offset};

/// What some entries come to.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// The messages stored, by offset.
    pub(crate) stored: Vec<Message>,
    /// The outcome of each item: its offset, and whether it was known.
    pub(crate) outcomes: Vec<(Item, Offset, bool)>,
}

impl Room {
    /// Applies entries from the log's beginning on.
    pub(crate) fn of<'e>(entries: impl IntoIterator<Item = &'e Entry>, dedupe: bool) -> Self {
        let mut room = Self::default();
        for item in entries.into_iter().flat_map(|entry| &entry.items) {
            let known = room.stored.iter().position(|message| *message == item.message).filter(|_| dedupe);
            if known.is_none() {
                room.stored.push(item.message);
            }
            let index = known.unwrap_or(room.stored.len() - 1);
            room.outcomes.push((*item, index as Offset + 1, known.is_some()));
        }
        room
    }

    /// The outcome of an item.
    pub(crate) fn outcome(&self, item: Item) -> Option<Offset> {
        self.outcomes.iter().find(|(other, ..)| *other == item).map(|(_, offset, _)| *offset)
    }
}
