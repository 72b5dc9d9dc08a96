//! Publishes on a condition: at the offset that comes next, as it was just told, or not at all.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use roomkeeper_client::{Client, Error, Room};
use roomkeeper_protocol::{Data, NewMessage};
use roomkeeper_types::{MessageId, Offset, RoomName};
use tokio::sync::watch;
use tokio::time::sleep;

use super::tally::ended;
use crate::history::Recorder;
use crate::history::event::{Content, Event, Id, SendInvoke};

/// Bids in a row, each for the offset that the refusal of the one before names: others are fast.
const BIDS: u32 = 4;
/// Rounds after the end of the load.
const LAST: u32 = 2;
/// Tries of one publish.
const TRIES: u32 = 4;
const PAUSE_MS: std::ops::RangeInclusive<u64> = 150..=400;
/// Every so many publishes it takes its time, and others are faster.
const LATE_EVERY: u64 = 4;
const LATE: Duration = Duration::from_millis(60);

/// One who bids for the next offset.
pub(super) struct Bidder {
    number: u32,
    recorder: Recorder,
    /// With little patience, so that publishes under way when an owner dies end unknown.
    client: Client,
    room: Room,
    rng: StdRng,
}

impl Bidder {
    pub(super) fn new(number: u32, recorder: Recorder, client: Client, room: RoomName, rng: StdRng) -> Self {
        let room = client.room(room);
        Self { number, recorder, client, room, rng }
    }

    /// Runs until it is stopped, and bids a few times more, when others are not faster any more.
    pub(super) async fn run(mut self, stop: watch::Receiver<bool>) {
        let mut last = 0;
        for number in 1_u64.. {
            last += u32::from(*stop.borrow());
            if last > LAST {
                return;
            }
            if let Ok(info) = self.client.room_info(self.room.name()).await {
                if number.is_multiple_of(LATE_EVERY) {
                    sleep(LATE).await;
                }
                let mut next = Some(info.next);
                for _ in 0..BIDS {
                    let Some(expect) = next else { break };
                    next = self.bid(number, expect).await;
                }
            }
            sleep(Duration::from_millis(self.rng.random_range(PAUSE_MS))).await;
        }
    }

    /// Several messages or one, tried again with the same ids and condition while nobody knows. The offset that comes
    /// next, where it was another one.
    async fn bid(&mut self, number: u64, expect: Offset) -> Option<Offset> {
        let count = self.rng.random_range(1..=4);
        let messages: Vec<NewMessage> = (0..count)
            .map(|part| {
                let text = format!(r#"{{"bidder":{},"number":{number},"part":{part}}}"#, self.number);
                NewMessage { id: MessageId(self.rng.random()), data: Data::Json(text.into()), sent: None }
            })
            .collect();
        for attempt in 1..=TRIES {
            let op = self.invoke(attempt, expect, &messages);
            let result = self.room.publish_expecting(messages.clone(), expect).await;
            let is_known = result.as_ref().map_or_else(|error| !error.is_unknown(), |_| true);
            let next = match &result {
                Err(Error::Server(error)) => error.next.map(Offset),
                _ => None,
            };
            self.recorder.record(ended(op, result));
            if is_known {
                return next;
            }
        }
        None
    }

    fn invoke(&self, attempt: u32, expect: Offset, messages: &[NewMessage]) -> Id {
        let (op, writer, room) = (self.recorder.new_id(), self.number, self.room.name().clone());
        let (expect, messages) = (Some(expect), messages.iter().map(Content::from).collect());
        let through = None;
        self.recorder.record(Event::SendInvoke(SendInvoke {
            op,
            writer,
            room,
            attempt,
            through,
            expect,
            messages,
        }));
        op
    }
}
