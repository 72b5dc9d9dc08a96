//! A durable consumer: it commits what it has processed, is killed in the middle, and another process goes on under its
//! name from what was committed.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use rand::RngExt;
use rand::rngs::StdRng;
use roomkeeper_client::{Client, Error, Event as Told, SubscribeOptions, Subscription};
use roomkeeper_types::{ConsumerId, Offset, RoomName};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::tally::refused;
use super::watcher::place;
use super::{End, Heads};
use crate::history::Recorder;
use crate::history::cursors::{CommitInvoke, Following};
use crate::history::event::{Event, Id, Seen};

/// Messages that the server may be ahead of what is committed: few, so that it has to wait.
const CREDIT: u64 = 12;
/// A process lives for so many batches.
const LIFE: std::ops::RangeInclusive<u32> = 3..=25;
/// A batch of messages takes so many milliseconds to process.
const WORK_MS: std::ops::RangeInclusive<u64> = 0..=60;
const PAUSE: Duration = Duration::from_millis(50);
/// How long nothing may come once nothing is published any more.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(30);

/// Everything that goes on under one name in one room.
pub(super) struct Consumer {
    recorder: Recorder,
    /// With little patience, so that commits under way when an owner dies end unknown.
    client: Client,
    room: RoomName,
    name: ConsumerId,
    rng: StdRng,
}

/// How a process ended.
enum Ended {
    Killed,
    Done,
}

impl Consumer {
    pub(super) fn new(recorder: Recorder, client: Client, room: RoomName, rng: StdRng) -> Self {
        Self { recorder, client, room, name: name(), rng }
    }

    /// Runs one process after the other until one has committed all there is.
    pub(super) async fn run(mut self, mut heads: watch::Receiver<Option<Heads>>) {
        loop {
            if heads.has_changed().is_err() {
                return;
            }
            match self.live(&mut heads).await {
                Ok(Ended::Done) => return,
                Ok(Ended::Killed) => {}
                // Nobody was there in time: another process tries.
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// One process, from its start to its end.
    async fn live(&mut self, heads: &mut watch::Receiver<Option<Heads>>) -> Result<Ended, Error> {
        let (sub, mut subscription) = self.join().await?;
        let batches = self.rng.random_range(LIFE);
        let mut committed = Offset(subscription.joined().from.get().saturating_sub(1));
        for _ in 0..batches {
            let (step, at_end) = loop {
                let end = heads.borrow_and_update().as_ref().and_then(|heads| heads.get(&self.room).cloned());
                if end.as_ref().is_some_and(|End { head, .. }| committed.next() >= *head) {
                    self.recorder.record(Event::SubEnd { sub, error: None });
                    return Ok(Ended::Done);
                }
                tokio::select! {
                    changed = heads.changed() => {
                        if changed.is_err() {
                            return Ok(Ended::Killed);
                        }
                    }
                    step = timeout(CATCH_UP_LIMIT, subscription.next()) => break (step, end.is_some()),
                }
            };
            let told = match step {
                Ok(Some(Ok(told))) => told,
                Ok(Some(Err(error))) => return Ok(self.ended(sub, Some(error))),
                Ok(None) => return Ok(self.ended(sub, None)),
                Err(_) if at_end => {
                    let error = Some(format!("nothing more came for {CATCH_UP_LIMIT:?}"));
                    self.recorder.record(Event::SubEnd { sub, error });
                    return Ok(Ended::Done);
                }
                // An outage lasts.
                Err(_) => continue,
            };
            let Some(mut last) = self.note(sub, told) else { continue };
            if !at_end {
                sleep(Duration::from_millis(self.rng.random_range(WORK_MS))).await;
            }
            // What came meanwhile is one batch with it.
            while let Some(Some(told)) = subscription.next().now_or_never() {
                match told {
                    Ok(told) => last = self.note(sub, told).unwrap_or(last),
                    Err(error) => return Ok(self.ended(sub, Some(error))),
                }
            }
            match self.commit(sub, &subscription, last).await {
                Some(cursor) => committed = committed.max(cursor),
                // Nothing more will come to commit later: the next process looks what counts.
                None if at_end => return Ok(Ended::Killed),
                None => {}
            }
        }
        // Killed with a batch in hand, and now and then with the commit of it on its way.
        if let Ok(Some(told)) = timeout(PAUSE, subscription.next()).await {
            match told {
                Ok(told) => {
                    if let Some(last) = self.note(sub, told)
                        && self.rng.random_bool(0.5)
                    {
                        self.commit_and_die(sub, &subscription, last).await;
                    }
                }
                Err(error) => return Ok(self.ended(sub, Some(error))),
            }
        }
        Ok(Ended::Killed)
    }

    async fn commit_and_die(&mut self, sub: Id, subscription: &Subscription, last: Offset) {
        let patience = Duration::from_micros(self.rng.random_range(0..3_000));
        let op = self.invoke(sub, last);
        let event = match timeout(patience, subscription.commit(last)).await {
            Ok(Ok(committed)) => Event::CommitOk { op, committed },
            Ok(Err(error)) => refused(op, &error),
            Err(_) => Event::OpInfo { op, why: "killed while it committed".to_owned() },
        };
        self.recorder.record(event);
    }

    /// A subscription that ended by itself, which none should.
    fn ended(&self, sub: Id, error: Option<Error>) -> Ended {
        if let Some(Error::Gap { expected, got }) = error {
            let why = "the server skipped messages".to_owned();
            self.recorder.record(Event::Gap { sub, expected, got: Some(got), why });
        }
        let error = error.map_or_else(|| "the subscription ended".to_owned(), |error| error.to_string());
        self.recorder.record(Event::SubEnd { sub, error: Some(error) });
        Ended::Killed
    }

    async fn join(&self) -> Result<(Id, Subscription), Error> {
        let (sub, asked) = (self.recorder.new_id(), Some(self.recorder.now()));
        let consumer = self.name.clone();
        let options = SubscribeOptions {
            credit: Some(CREDIT),
            presence: Some(false),
            ..SubscribeOptions::consumer(consumer.clone())
        };
        let subscription = self.client.room(self.room.clone()).subscribe(options).await?;
        let ok = subscription.joined();
        // Without them it was put nowhere in particular, which the checker finds.
        let (committed, unread) = (ok.committed.unwrap_or(Offset(u64::MAX)), ok.unread.unwrap_or(0));
        let (place, room) = (place(ok), self.room.clone());
        let following = Some(Following { consumer, credit: CREDIT, committed, unread });
        self.recorder.record(Event::SubOk { sub, room, asked, place, following, sees_holds: false });
        Ok((sub, subscription))
    }

    /// Notes what it was told; the last message of it, if it was some.
    fn note(&self, sub: Id, told: Told) -> Option<Offset> {
        match told {
            Told::Items(items) => {
                let seen = items.iter().map(Seen::from).collect();
                self.recorder.record(Event::Deliver { sub, items: seen });
                return items.last().map(|item| item.offset);
            }
            Told::Reconnected(ok) => drop(self.recorder.record(Event::ResumeOk { sub, place: place(&ok) })),
            Told::Moved(hint) => {
                let (owner, epoch) = (hint.node, hint.epoch);
                self.recorder.record(Event::Redirect { sub, owner, epoch });
            }
            // Not asked for.
            _ => {}
        }
        None
    }

    fn invoke(&self, sub: Id, offset: Offset) -> Id {
        let (op, room, consumer) = (self.recorder.new_id(), self.room.clone(), self.name.clone());
        self.recorder.record(Event::CommitInvoke(CommitInvoke { op, sub, room, consumer, offset }));
        op
    }

    /// Commits, and says where the cursor is, if that became known.
    async fn commit(&self, sub: Id, subscription: &Subscription, offset: Offset) -> Option<Offset> {
        let op = self.invoke(sub, offset);
        match subscription.commit(offset).await {
            Ok(committed) => {
                self.recorder.record(Event::CommitOk { op, committed });
                Some(committed)
            }
            Err(error) => {
                self.recorder.record(refused(op, &error));
                None
            }
        }
    }
}

/// What all consumers are called: there is one in a room.
fn name() -> ConsumerId {
    match "worker".parse() {
        Ok(name) => name,
        Err(error) => panic!("the consumer's name: {error}"),
    }
}

/// Notes where the consumers' cursors are in the end.
pub(super) async fn note_cursors(
    recorder: &Recorder,
    client: &Client,
    rooms: &[RoomName],
) -> Result<(), Error> {
    for room in rooms {
        let consumer = name();
        let committed = client.room(room.clone()).cursor(consumer.clone()).await?;
        recorder.record(Event::FinalCursor { room: room.clone(), consumer, committed });
    }
    Ok(())
}
