//! What had been acked when something began: the sweep that I8, I10 and I13 share.

use roomkeeper_types::{Epoch, Offset};

use crate::history::{At, Room};

/// Goes through a room's acks in the order of their times. To be asked with times that do not decrease.
pub(super) struct AckedBefore {
    acks: std::vec::IntoIter<(At, Offset, Epoch)>,
    next: Option<(At, Offset, Epoch)>,
    offset: Option<Offset>,
    epoch: Option<Epoch>,
}

impl AckedBefore {
    pub(super) fn new(room: &Room) -> Self {
        let acked = |send: &crate::history::Send| {
            let (at, epoch, offsets) = send.acked()?;
            Some((at, *offsets.iter().max()?, epoch))
        };
        let mut acks: Vec<_> = room.sends.iter().filter_map(acked).collect();
        acks.sort_unstable();
        let mut acks = acks.into_iter();
        let next = acks.next();
        Self { acks, next, offset: None, epoch: None }
    }

    /// The highest offset acked before then; `None`: no ack had come.
    pub(super) fn highest_offset(&mut self, time: At) -> Option<Offset> {
        self.advance(time);
        self.offset
    }

    /// The highest epoch of an ack that had come before then.
    pub(super) fn highest_epoch(&mut self, time: At) -> Option<Epoch> {
        self.advance(time);
        self.epoch
    }

    fn advance(&mut self, time: At) {
        while let Some((_, offset, epoch)) = self.next.take_if(|(at, ..)| *at < time) {
            self.offset = self.offset.max(Some(offset));
            self.epoch = self.epoch.max(Some(epoch));
            self.next = self.acks.next();
        }
    }
}
