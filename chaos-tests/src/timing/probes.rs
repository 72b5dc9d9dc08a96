//! A publish every ten milliseconds to every room, and when each was acked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use roomkeeper_client::{Client, ClientConfig, Room, message};
use roomkeeper_protocol::Data;
use roomkeeper_types::{MessageId, Offset, RoomName};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Between two publishes to a room.
pub(super) const PROBE: Duration = Duration::from_millis(10);
/// Between two looks at what was acked.
const POLL: Duration = Duration::from_millis(5);
/// Publishes that may be unanswered: an outage of 80 s.
const WINDOW: usize = 8_192;
/// A room that was silent for longer is not steady.
const SILENCE: Duration = Duration::from_millis(200);

/// What one room's prober knows.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// When publishes were acked.
    pub(super) acks: Vec<Instant>,
    /// What was acked, and where it is.
    pub(super) stored: Vec<(MessageId, Offset)>,
    /// Publishes that were refused, or whose outcome is not known after all retries.
    pub(super) failed: u64,
}

/// Probers of some rooms.
#[derive(Debug)]
pub(super) struct Probes {
    rooms: Vec<(RoomName, Arc<Mutex<Seen>>)>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Probes {
    /// Starts with so many rooms.
    pub(super) fn start(urls: Vec<String>, rooms: usize) -> Result<Self> {
        let deadline = Duration::from_secs(60);
        let client =
            Client::new(ClientConfig { window: WINDOW, deadline, ..crate::admission::config(urls) })?;
        let (stop, stopped) = watch::channel(false);
        let mut probes = Self { rooms: Vec::new(), stop, tasks: Vec::new() };
        for n in 0..rooms {
            let name: RoomName = format!("probe-{n}").parse()?;
            let seen = Arc::new(Mutex::new(Seen::default()));
            let room = client.room(name.clone());
            probes.tasks.push(tokio::spawn(probe(room, Arc::clone(&seen), stopped.clone())));
            probes.rooms.push((name, seen));
        }
        Ok(probes)
    }

    /// The rooms.
    pub(super) fn rooms(&self) -> Vec<RoomName> {
        self.rooms.iter().map(|(room, _)| room.clone()).collect()
    }

    fn seen(&self, room: &RoomName) -> Result<&Mutex<Seen>> {
        let found = self.rooms.iter().find(|(name, _)| name == room);
        found.map(|(_, seen)| &**seen).with_context(|| format!("room {room} is not probed"))
    }

    /// The first ack of a room after that moment.
    pub(super) fn first_ack(&self, room: &RoomName, after: Instant) -> Result<Option<Instant>> {
        let seen = self.seen(room)?.lock();
        let at = seen.acks.partition_point(|ack| *ack <= after);
        Ok(seen.acks.get(at).copied())
    }

    /// The longest time without an ack of a room that ended after that moment.
    pub(super) fn gap(&self, room: &RoomName, from: Instant) -> Result<Duration> {
        let seen = self.seen(room)?.lock();
        let gaps = seen.acks.windows(2).filter(|pair| pair[1] > from).map(|pair| pair[1] - pair[0]);
        gaps.max().with_context(|| format!("room {room} had no ack after the fault"))
    }

    /// Publishes that failed so far.
    pub(super) fn failed(&self) -> u64 {
        self.rooms.iter().map(|(_, seen)| seen.lock().failed).sum()
    }

    /// Waits until all rooms have been acked without a silence for so long.
    pub(super) async fn steady(&self, time: Duration, limit: Duration) -> Result<()> {
        let (begun, mut since) = (Instant::now(), Instant::now());
        while since.elapsed() < time {
            let newest = |seen: &Mutex<Seen>| seen.lock().acks.last().copied();
            let is_silent =
                |(_, seen): &(_, Arc<Mutex<Seen>>)| newest(seen).is_none_or(|ack| ack.elapsed() > SILENCE);
            if self.rooms.iter().any(is_silent) {
                since = Instant::now();
            }
            ensure!(begun.elapsed() < limit, "the rooms are not served steadily after {limit:?}");
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Stops, waits for what is under way, and answers what was acked where, room by room.
    pub(super) async fn finish(self) -> Result<Vec<(RoomName, Seen)>> {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.await.context("a prober ended by itself")?;
        }
        let take = |(room, seen): (RoomName, Arc<Mutex<Seen>>)| (room, std::mem::take(&mut *seen.lock()));
        Ok(self.rooms.into_iter().map(take).collect())
    }
}

async fn probe(room: Room, seen: Arc<Mutex<Seen>>, mut stopped: watch::Receiver<bool>) {
    let mut ticks = interval(PROBE);
    // Probes that were late are not made up for: they would look like acks in time.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut under_way = FuturesUnordered::new();
    let mut goes_on = true;
    while goes_on || !under_way.is_empty() {
        tokio::select! {
            _ = ticks.tick(), if goes_on => {
                let message = message(Data::Json("1".into()));
                let id = message.id;
                match room.publish_pipelined(vec![message]).await {
                    Ok(ticket) => under_way.push(async move { (id, ticket.await) }),
                    Err(_) => seen.lock().failed += 1,
                }
            }
            Some((id, answer)) = under_way.next() => {
                let now = Instant::now();
                let mut seen = seen.lock();
                match answer {
                    Ok(ok) => {
                        seen.acks.push(now);
                        seen.stored.extend(ok.offsets.first().map(|offset| (id, *offset)));
                    }
                    Err(_) => seen.failed += 1,
                }
            }
            _ = stopped.changed(), if goes_on => goes_on = false,
        }
    }
}
