//! Asks a room's owner, again and again, where the room stands, and now and then reads its newest messages.

use std::time::Duration;

use roomkeeper_client::{Client, Error, Room};
use roomkeeper_protocol::From;
use roomkeeper_types::{Offset, RoomName};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::history::Recorder;
use crate::history::event::{Event, Seen};

/// Every so many reads the newest messages are read too, so many.
const ITEMS_EVERY: u64 = 4;
const ITEMS: u64 = 20;

/// One who reads.
pub(super) struct Reader {
    number: u32,
    recorder: Recorder,
    client: Client,
    room: Room,
}

impl Reader {
    pub(super) fn new(number: u32, recorder: Recorder, client: Client, room: RoomName) -> Self {
        let room = client.room(room);
        Self { number, recorder, client, room }
    }

    /// Reads until it is stopped.
    pub(super) async fn run(self, pause: Duration, stop: watch::Receiver<bool>) {
        for number in 1_u64.. {
            if *stop.borrow() {
                return;
            }
            let (op, room) = (self.recorder.new_id(), self.room.name().clone());
            self.recorder.record(Event::ReadInvoke { op, reader: self.number, room });
            self.recorder.record(match self.client.room_info(self.room.name()).await {
                Ok(info) => {
                    let (owner, epoch, next) = (info.owner, info.epoch, info.next);
                    match self.items(number, next).await {
                        Ok(items) => Event::ReadOk { op, owner, epoch, next, items },
                        Err(error) => Event::ReadFail { op, why: error.to_string() },
                    }
                }
                Err(error) => Event::ReadFail { op, why: error.to_string() },
            });
            sleep(pause).await;
        }
    }

    async fn items(&self, number: u64, next: Offset) -> Result<Vec<Seen>, Error> {
        if !number.is_multiple_of(ITEMS_EVERY) || next == Offset::FIRST {
            return Ok(Vec::new());
        }
        let from = Offset(next.get().saturating_sub(ITEMS).max(1));
        let page = self.room.history(From::Offset(from), u32::try_from(ITEMS).unwrap_or(u32::MAX)).await?;
        Ok(page.items.iter().map(Seen::from).collect())
    }
}
