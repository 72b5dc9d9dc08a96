//! Publishes to one room, in order, without waiting for each ack.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use roomkeeper_client::Room;
use roomkeeper_protocol::{Data, NewMessage};
use roomkeeper_types::MessageId;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::plan::Plan;
use super::retrier::{Retries, Retry};
use super::tally::{Tally, ended};
use crate::history::Recorder;
use crate::history::event::{Content, Event, Id, SendInvoke};

/// One connection that publishes.
pub(super) struct Writer {
    number: u32,
    recorder: Recorder,
    room: Room,
    retries: Retries,
    rng: StdRng,
    window: usize,
    pause: Duration,
    bulk_every: u64,
    bulk: std::ops::RangeInclusive<usize>,
    filling: std::ops::RangeInclusive<usize>,
}

impl Writer {
    pub(super) fn new(
        number: u32,
        plan: &Plan,
        recorder: Recorder,
        room: Room,
        retries: mpsc::Sender<Retry>,
    ) -> Self {
        Self {
            number,
            recorder,
            room,
            retries: Retries::new(retries, plan.retry_every),
            rng: plan.rng("writer", number as usize),
            window: plan.window,
            pause: plan.pause,
            bulk_every: plan.bulk_every,
            bulk: plan.bulk.clone(),
            filling: plan.filling.clone(),
        }
    }

    /// Publishes until it is stopped, and waits for the ends of all it has under way.
    pub(super) async fn run(mut self, tally: Arc<Tally>, stop: watch::Receiver<bool>) {
        let window = Arc::new(Semaphore::new(self.window));
        let mut under_way = JoinSet::new();
        let mut number = 0;
        while !*stop.borrow() {
            let Ok(permit) = window.clone().acquire_owned().await else { break };
            let messages = self.messages(number);
            number += 1;
            let op = invoke(&self.recorder, &self.room, (self.number, 1, None), &messages);
            let ticket = match self.room.publish_pipelined(messages.clone()).await {
                Ok(ticket) => ticket,
                Err(error) => {
                    self.recorder.record(ended(op, Err(error)));
                    break;
                }
            };
            let (recorder, tally, retries) = (self.recorder.clone(), tally.clone(), self.retries.clone());
            let (room, writer) = (self.room.name().clone(), self.number);
            // Each ack is noted when it comes, whatever those before it do.
            under_way.spawn(async move {
                let result = ticket.await;
                let acked = result.is_ok();
                recorder.record(ended(op, result));
                drop(permit);
                if acked {
                    tally.acked(&room);
                }
                retries.maybe(Retry { writer, messages }, number, acked).await;
            });
            while under_way.try_join_next().is_some() {}
            sleep(self.pause).await;
        }
        under_way.join_all().await;
    }

    /// One message, or now and then a bulk; each says who wrote it and which publish it was.
    fn messages(&mut self, number: u64) -> Vec<NewMessage> {
        let is_bulk = self.bulk_every > 0 && number % self.bulk_every == self.bulk_every - 1;
        let count = if is_bulk { self.rng.random_range(self.bulk.clone()) } else { 1 };
        (0..count).map(|part| self.message(number, part)).collect()
    }

    fn message(&mut self, number: u64, part: usize) -> NewMessage {
        let filling = ".".repeat(self.rng.random_range(self.filling.clone()));
        let writer = self.number;
        let text = format!(r#"{{"writer":{writer},"number":{number},"part":{part},"filling":"{filling}"}}"#);
        NewMessage { id: MessageId(self.rng.random()), data: Data::Json(text.into()), sent: None }
    }
}

/// Notes that a publish begins: of which writer, for which time, through which node.
pub(super) fn invoke(
    recorder: &Recorder,
    room: &Room,
    (writer, attempt, through): (u32, u32, Option<usize>),
    messages: &[NewMessage],
) -> Id {
    let op = recorder.new_id();
    let (room, messages) = (room.name().clone(), messages.iter().map(Content::from).collect());
    let expect = None;
    recorder.record(Event::SendInvoke(SendInvoke { op, writer, room, attempt, through, expect, messages }));
    op
}
