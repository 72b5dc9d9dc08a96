//! Publishes again, with the same ids, through other nodes than the first time: what ended unknown, and some of
//! what was acked, which has to be answered as known already.

use rand::RngExt;
use rand::rngs::StdRng;
use roomkeeper_client::{Client, Room};
use roomkeeper_protocol::NewMessage;
use roomkeeper_types::RoomName;
use tokio::sync::mpsc;

use super::tally::ended;
use super::writer::invoke;
use crate::history::Recorder;

/// Tries of one publish, the first one by its writer.
const TRIES: u32 = 5;
/// Publishes that are kept to be tried again later, when owners, snapshots and restarts lie between; as many as
/// this, each replaced at random.
const LATE: usize = 64;
/// One in so many retries is followed by a late one.
const LATE_EVERY: u32 = 3;

/// A publish to try again.
pub(super) struct Retry {
    pub(super) writer: u32,
    pub(super) messages: Vec<NewMessage>,
}

/// A room's queue of retries. It is bounded: what was acked is left alone when it is full, what ended unknown
/// waits.
#[derive(Clone)]
pub(super) struct Retries {
    queue: mpsc::Sender<Retry>,
    every: u64,
}

impl Retries {
    pub(super) fn new(queue: mpsc::Sender<Retry>, every: u64) -> Self {
        Self { queue, every }
    }

    /// Queues a publish that has ended, if it is its turn.
    pub(super) async fn maybe(&self, retry: Retry, number: u64, acked: bool) {
        if !acked {
            // An error: the load is being given up.
            let _ = self.queue.send(retry).await;
        } else if self.every > 0 && number.is_multiple_of(self.every) {
            let _ = self.queue.try_send(retry);
        }
    }
}

/// Tries again what is queued for one room.
pub(super) struct Retrier {
    recorder: Recorder,
    /// The room through each node.
    nodes: Vec<Room>,
}

impl Retrier {
    pub(super) fn new(recorder: Recorder, room: &RoomName, through: &[Client]) -> Self {
        let nodes = through.iter().map(|client| client.room(room.clone())).collect();
        Self { recorder, nodes }
    }

    /// Runs until the last writer is gone and the queue is empty.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Retry>, mut rng: StdRng) {
        let mut late: Vec<Retry> = Vec::new();
        while let Some(retry) = queue.recv().await {
            self.settle(&retry, &mut rng).await;
            if late.len() < LATE {
                late.push(retry);
            } else {
                let place = rng.random_range(0..LATE * 4);
                if let Some(kept) = late.get_mut(place) {
                    *kept = retry;
                }
            }
            if rng.random_ratio(1, LATE_EVERY) {
                let place = rng.random_range(0..late.len());
                self.settle(&late[place], &mut rng).await;
            }
        }
    }

    /// Tries until it is known whether it is stored, or often enough.
    async fn settle(&self, Retry { writer, messages }: &Retry, rng: &mut StdRng) {
        for attempt in 2..=TRIES {
            let node = rng.random_range(0..self.nodes.len());
            let room = &self.nodes[node];
            let op = invoke(&self.recorder, room, (*writer, attempt, Some(node)), messages);
            let result = room.publish(messages.clone()).await;
            let is_known = result.as_ref().map_or_else(|error| !error.is_unknown(), |_| true);
            self.recorder.record(ended(op, result));
            if is_known {
                break;
            }
        }
    }
}
