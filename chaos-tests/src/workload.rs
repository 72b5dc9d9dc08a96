//! Load through the real client: writers and subscribers of several rooms that note everything.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::StreamExt;
use roomkeeper_client::{Client, ClientConfig, Event, PublishTicket, Room, Subscription};
use roomkeeper_protocol::{Data, From, NewMessage};
use roomkeeper_types::{MessageId, Offset, RoomName};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::history::{Fault, History, Outcome, Sent, Watch};

/// From a publish to its ack, over all retries: longer than any outage of these tests, so that an unknown
/// outcome is the exception.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long subscribers may take to reach the head once nothing is published any more.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at the count of acks.
const POLL: Duration = Duration::from_millis(20);
/// Every so many publishes of a writer one is a batch of so many messages.
const BATCH_EVERY: u64 = 5;
const BATCH: u64 = 3;

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Rooms, created by the first publish.
    pub rooms: Vec<RoomName>,
    /// Writers of each room.
    pub writers: u32,
    /// Subscribers of each room, from the beginning on.
    pub watchers: u32,
    /// Publishes that a writer has under way.
    pub window: usize,
    /// A writer's pause between two publishes.
    pub pause: Duration,
}

impl Plan {
    /// A load that two cores can carry in a debug build: some 1,000 messages per second over `rooms` rooms
    /// named `PREFIX-n`.
    ///
    /// # Panics
    /// The prefix is not the beginning of a room's name.
    #[must_use]
    pub fn new(prefix: &str, rooms: u32) -> Self {
        let name = |n| match format!("{prefix}-{n}").parse() {
            Ok(name) => name,
            Err(error) => panic!("{prefix}-{n}: {error}"),
        };
        let pause = Duration::from_millis(3) * rooms;
        Self { rooms: (0..rooms).map(name).collect(), writers: 2, watchers: 2, window: 8, pause }
    }
}

/// A running load.
#[derive(Debug)]
pub struct Workload {
    client: Client,
    plan: Plan,
    acks: Arc<HashMap<RoomName, AtomicU64>>,
    stop: watch::Sender<bool>,
    heads: watch::Sender<Option<Arc<HashMap<RoomName, Offset>>>>,
    writers: Vec<JoinHandle<Vec<Sent>>>,
    watchers: Vec<JoinHandle<Watch>>,
    faults: Vec<Fault>,
}

impl Workload {
    /// Starts subscribers, then writers, with clients that know these nodes.
    ///
    /// # Errors
    /// A subscriber cannot join.
    pub async fn start(urls: Vec<String>, plan: Plan) -> Result<Self> {
        let client = Client::new(ClientConfig { deadline: DEADLINE, ..ClientConfig::new(urls) })?;
        let acks = Arc::new(plan.rooms.iter().map(|room| (room.clone(), AtomicU64::new(0))).collect());
        let (stop, stopped) = watch::channel(false);
        let (heads, heads_known) = watch::channel(None);
        let (mut writers, mut watchers) = (Vec::new(), Vec::new());
        for room in &plan.rooms {
            for _ in 0..plan.watchers {
                let subscription = client.room(room.clone()).subscribe(From::Beginning).await;
                let subscription = subscription.with_context(|| format!("cannot join room {room}"))?;
                watchers.push(tokio::spawn(watch_room(room.clone(), subscription, heads_known.clone())));
            }
        }
        for room in &plan.rooms {
            for _ in 0..plan.writers {
                let writer = Writer {
                    number: u32::try_from(writers.len())?,
                    room: client.room(room.clone()),
                    acks: Arc::clone(&acks),
                    sent: Vec::new(),
                };
                writers.push(tokio::spawn(writer.run(plan.window, plan.pause, stopped.clone())));
            }
        }
        Ok(Self { client, plan, acks, stop, heads, writers, watchers, faults: Vec::new() })
    }

    /// Notes what is about to be done to the cluster.
    pub fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(Fault { at: Instant::now(), what: what.into() });
    }

    /// Waits until every room has so many more publishes acked than when this was called.
    ///
    /// # Errors
    /// One has not within `limit`.
    pub async fn more_acks(&self, count: u64, limit: Duration) -> Result<()> {
        self.more_acks_of(&self.plan.rooms, count, limit).await
    }

    /// The same for some of the rooms.
    ///
    /// # Errors
    /// One has not within `limit`, or is none of the load's rooms.
    pub async fn more_acks_of(&self, rooms: &[RoomName], count: u64, limit: Duration) -> Result<()> {
        let start = Instant::now();
        let mut waiting = Vec::new();
        for room in rooms {
            let acks = self.acks.get(room).with_context(|| format!("room {room} has no load"))?;
            waiting.push((room, acks, acks.load(Ordering::Relaxed)));
        }
        for (room, acks, before) in waiting {
            loop {
                let more = acks.load(Ordering::Relaxed) - before;
                if more >= count {
                    break;
                }
                ensure!(
                    start.elapsed() < limit,
                    "room {room} has only {more} of {count} acks after {limit:?}"
                );
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Stops the writers, waits for what is under way, lets the subscribers reach the rooms' heads.
    ///
    /// # Errors
    /// A room cannot be asked for its head.
    pub async fn finish(self) -> Result<History> {
        self.stop.send_replace(true);
        let mut history = History { faults: self.faults, ..History::default() };
        for writer in self.writers {
            history.sends.extend(writer.await?);
        }
        let mut heads = HashMap::new();
        for room in &self.plan.rooms {
            heads.insert(room.clone(), self.client.room_info(room).await?.next);
        }
        self.heads.send_replace(Some(Arc::new(heads)));
        for watcher in self.watchers {
            history.watches.push(watcher.await?);
        }
        Ok(history)
    }
}

/// Publishes to one room, in order.
struct Writer {
    number: u32,
    room: Room,
    acks: Arc<HashMap<RoomName, AtomicU64>>,
    sent: Vec<Sent>,
}

impl Writer {
    async fn run(mut self, window: usize, pause: Duration, stop: watch::Receiver<bool>) -> Vec<Sent> {
        let mut under_way = VecDeque::new();
        let mut number = 0;
        while !*stop.borrow() {
            let messages = self.messages(number);
            number += 1;
            match self.room.publish_pipelined(messages.clone()).await {
                Ok(ticket) => under_way.push_back((messages, ticket)),
                Err(error) => {
                    self.note(messages, Outcome::Refused(error.to_string()));
                    break;
                }
            }
            if under_way.len() >= window {
                self.settle_first(&mut under_way).await;
            }
            sleep(pause).await;
        }
        while !under_way.is_empty() {
            self.settle_first(&mut under_way).await;
        }
        self.sent
    }

    /// One message, or now and then a batch; each says who wrote it and which publish it was.
    fn messages(&self, number: u64) -> Vec<NewMessage> {
        let count = if number % BATCH_EVERY == BATCH_EVERY - 1 { BATCH } else { 1 };
        let message = |part| NewMessage {
            id: MessageId::generate(),
            data: Data::Json(
                format!(r#"{{"writer":{},"number":{number},"part":{part}}}"#, self.number).into(),
            ),
            sent: None,
        };
        (0..count).map(message).collect()
    }

    async fn settle_first(&mut self, under_way: &mut VecDeque<(Vec<NewMessage>, PublishTicket)>) {
        let Some((messages, ticket)) = under_way.pop_front() else { return };
        let outcome = match ticket.await {
            Ok(ok) => {
                self.acks[self.room.name()].fetch_add(1, Ordering::Relaxed);
                Outcome::Acked { at: Instant::now(), epoch: ok.epoch, offsets: ok.offsets }
            }
            Err(error) if error.is_unknown() => Outcome::Unknown(error.to_string()),
            Err(error) => Outcome::Refused(error.to_string()),
        };
        self.note(messages, outcome);
    }

    fn note(&mut self, messages: Vec<NewMessage>, outcome: Outcome) {
        let bytes = |data: Data| -> Bytes { data.bytes().clone() };
        let messages = messages.into_iter().map(|message| (message.id, bytes(message.data))).collect();
        self.sent.push(Sent { room: self.room.name().clone(), writer: self.number, messages, outcome });
    }
}

/// Notes what a subscriber is sent, until it has everything below the head.
async fn watch_room(
    room: RoomName,
    mut subscription: Subscription,
    mut heads: watch::Receiver<Option<Arc<HashMap<RoomName, Offset>>>>,
) -> Watch {
    let from = subscription.joined().from;
    let mut watch = Watch { room, from, items: Vec::new(), error: None };
    let mut head = None;
    loop {
        let next = watch.items.last().map_or(from, |(offset, _)| offset.next());
        if head.is_some_and(|head| next >= head) {
            return watch;
        }
        // While the load goes on, a room may be silent for as long as an outage lasts.
        let patience = if head.is_some() { CATCH_UP_LIMIT } else { DEADLINE };
        let event = tokio::select! {
            changed = heads.changed(), if head.is_none() => {
                head = heads.borrow_and_update().as_ref().and_then(|heads| heads.get(&watch.room).copied());
                if changed.is_err() {
                    watch.error = Some("the run was given up".to_owned());
                    return watch;
                }
                continue;
            }
            event = timeout(patience, subscription.next()) => event,
        };
        watch.error = match event {
            Ok(Some(Ok(Event::Items(items)))) => {
                watch.items.extend(items.into_iter().map(|item| (item.offset, item.id)));
                continue;
            }
            Ok(Some(Ok(Event::Reconnected(_) | Event::Moved(_)))) => continue,
            Ok(Some(Err(error))) => Some(error.to_string()),
            Ok(None) => Some("the subscription ended".to_owned()),
            Err(_) => Some(format!("nothing more came for {patience:?}")),
        };
        return watch;
    }
}
