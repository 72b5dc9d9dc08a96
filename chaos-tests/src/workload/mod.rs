//! Load through the real client: writers, retriers, readers and subscribers of several rooms, and in some of them
//! [`features`]. Each notes in the history what it did and what it was told, and judges nothing.

mod bidder;
mod consumer;
mod features;
mod guest;
mod holder;
mod plan;
mod reader;
mod retrier;
mod tally;
mod visitor;
mod watcher;
mod writer;

pub use plan::Plan;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use roomkeeper_client::{Client, ClientConfig, Route};
use roomkeeper_types::{MessageId, Offset, RoomName};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::features::{Features, device, wishes};
use self::reader::Reader;
use self::retrier::Retrier;
use self::tally::Tally;
use self::visitor::company;
use self::watcher::{Watcher, Wishes};
use self::writer::Writer;
use crate::history::{Phase, Recorder};

/// Between two looks at the count of acks.
const POLL: Duration = Duration::from_millis(20);
/// Retries of a room that may wait for their turn; see [`Retrier`] for what happens beyond.
const RETRIES: usize = 256;

/// A running load.
#[derive(Debug)]
pub struct Workload {
    client: Client,
    recorder: Recorder,
    plan: Plan,
    tally: Arc<Tally>,
    stop: watch::Sender<bool>,
    heads: watch::Sender<Option<Heads>>,
    writers: JoinSet<()>,
    others: JoinSet<()>,
    watchers: JoinSet<()>,
    features: Features,
}

/// How rooms end, once nothing is published any more.
type Heads = Arc<HashMap<RoomName, End>>;

/// How a room ends.
#[derive(Debug, Clone)]
struct End {
    /// Offset that the next message would get.
    head: Offset,
    /// Messages that are held.
    open: BTreeSet<MessageId>,
    /// Messages of which nobody knows whether they are.
    perhaps_open: BTreeSet<MessageId>,
}

impl Workload {
    /// Starts subscribers, then everybody else, with clients that know the nodes with these client URLs.
    ///
    /// # Errors
    /// A subscriber cannot join.
    pub async fn start(recorder: &Recorder, urls: Vec<String>, plan: Plan) -> Result<Self> {
        let config = |urls, route| ClientConfig {
            user: Some(plan.user.clone()),
            deadline: plan.deadline,
            route,
            // What the server skips is what is looked for.
            fill_holes: false,
            ..crate::admission::config::<String>(urls)
        };
        let client = Client::new(config(urls.clone(), Route::Redirect))?;
        let relayed = Client::new(config(urls.clone(), Route::Proxy))?;
        let through: Vec<Client> = urls
            .iter()
            .map(|url| {
                let config = config(vec![url.clone()], Route::Proxy);
                Client::new(ClientConfig { deadline: plan.retry_deadline, ..config })
            })
            .collect::<Result<_, _>>()?;
        let (stop, stopped) = watch::channel(false);
        let (heads, heads_known) = watch::channel(None);
        let tally = Arc::new(Tally::new(&plan.rooms));
        let patient = config(urls.clone(), Route::Redirect);
        let features = Features::start(recorder, &plan, patient.clone(), &stopped, &heads_known)?;
        let mut load = Self {
            client: client.clone(),
            recorder: recorder.clone(),
            tally,
            stop,
            heads,
            writers: JoinSet::new(),
            others: JoinSet::new(),
            watchers: JoinSet::new(),
            features,
            plan,
        };
        let plan = &load.plan;
        for room in &plan.rooms {
            let is_featured = plan.featured().contains(room);
            for number in 0..plan.watchers + u32::from(is_featured) {
                // Every other one is on whatever node, which relays to the owner.
                let (client, route) =
                    if number % 2 == 0 { (&client, Route::Redirect) } else { (&relayed, Route::Proxy) };
                let (client, wishes) = if is_featured {
                    let device = Some(device(number));
                    (Client::new(ClientConfig { device, route, ..patient.clone() })?, wishes(plan, number))
                } else {
                    (client.clone(), Wishes { member: None, holds: false })
                };
                let watcher = Watcher::join(recorder.clone(), client, room.clone(), wishes).await;
                let watcher = watcher.with_context(|| format!("cannot join room {room}"))?;
                let churn = plan.churn.filter(|_| number == 0);
                let rng = plan.rng("watcher", load.watchers.len());
                load.watchers.spawn(watcher.run(churn, rng, plan.patience(), heads_known.clone()));
            }
        }
        for room in &plan.rooms {
            let (retries, to_retry) = mpsc::channel(RETRIES);
            let retrier = Retrier::new(recorder.clone(), room, &through);
            let rng = plan.rng("retrier", load.others.len());
            load.others.spawn(retrier.run(to_retry, rng));
            for _ in 0..plan.writers {
                let number = u32::try_from(load.writers.len())?;
                let writer =
                    Writer::new(number, plan, recorder.clone(), client.room(room.clone()), retries.clone());
                load.writers.spawn(writer.run(load.tally.clone(), stopped.clone()));
            }
            for _ in 0..plan.readers {
                let number = u32::try_from(load.others.len())?;
                let reader = Reader::new(number, recorder.clone(), client.clone(), room.clone());
                load.others.spawn(reader.run(plan.read_pause, stopped.clone()));
            }
        }
        Ok(load)
    }

    /// What is run.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Publishes acked so far, of all rooms, retries not counted.
    #[must_use]
    pub fn acks(&self) -> u64 {
        self.plan.rooms.iter().filter_map(|room| self.tally.acks(room)).sum()
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
            let before = self.tally.acks(room).with_context(|| format!("room {room} has no load"))?;
            waiting.push((room, before));
        }
        for (room, before) in waiting {
            loop {
                let more = self.tally.acks(room).unwrap_or(before) - before;
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

    /// Stops everybody who publishes or reads, waits for what is under way and for nodes to know who is there, lets the
    /// subscribers reach the rooms' heads. The cluster should be whole.
    ///
    /// # Errors
    /// A room cannot be asked for its head, or a part of the load panicked.
    pub async fn finish(mut self) -> Result<()> {
        self.recorder.phase(Phase::Drain);
        self.stop.send_replace(true);
        all_ended(&mut self.writers).await?;
        // With the last writer the retriers' queues end.
        all_ended(&mut self.others).await?;
        let left = self.features.stopped().await?;
        if self.plan.members {
            self.features.settle(&self.recorder, &self.client, self.plan.watchers).await?;
        }
        let mut heads = HashMap::new();
        for room in &self.plan.rooms {
            let head = self.client.room_info(room).await?.next;
            let held = left.get(room).cloned().unwrap_or_default();
            heads.insert(room.clone(), End { head, open: held.open, perhaps_open: held.perhaps });
        }
        self.heads.send_replace(Some(Arc::new(heads)));
        all_ended(&mut self.watchers).await?;
        self.features.end(&self.recorder, &self.client).await
    }
}

async fn all_ended(tasks: &mut JoinSet<()>) -> Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended.context("a part of the load ended by itself")?;
    }
    Ok(())
}
