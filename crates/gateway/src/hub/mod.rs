//! Fan-out: from the apply thread to every subscriber of a room.
//!
//! A pull model. The apply thread appends a frame to the room's feed, if it has one, and is done. A task of the
//! hub wakes the subscribers, which take what stands at their position: a frame of the feed, shared and
//! encoded once, or, when they are further behind than the feed reaches, a page of the log. So a slow
//! subscriber costs a position, whatever it misses, and is never dropped for being slow.
//!
//! A node has one hub for the rooms that it owns, which its apply threads fill, and one for each node that it
//! follows rooms of, which is filled by the link to it.
//!
//! A room that is deleted pushes nothing more to its subscribers; their further commands are answered
//! `not_found` or `recreated`.

mod audience;
mod company;
mod event;
mod feed;
mod frame;
mod members;
mod recent;
#[cfg(test)]
mod tests;
mod wake;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use roomkeeper_cluster::{Audience, Observer};
use roomkeeper_protocol::Push;
use roomkeeper_room::{Effect, Item};
use roomkeeper_types::{LifeId, Offset, RoomName, ShardId};
use tokio::sync::Notify;

use self::audience::Audiences;
use crate::clock;
use crate::metrics::FanOut;
pub(crate) use company::{Counting, Membership};
pub(crate) use event::{Event, EventNumber, Found};
pub(crate) use feed::{EventKind, Feed, Step};
pub(crate) use frame::{FeedFrame, to_message, to_protocol};
pub(crate) use members::{Full, MemberId, Told};
pub(crate) use recent::Entry;
pub(crate) use wake::{Ready, SubscriptionId, Waiter};

/// Locks over the feeds, by shard: apply threads of different shards do not meet.
const STRIPES: usize = 16;
/// Most items of a frame. What one run of the apply thread appended to a room goes out in as few frames as
/// this and [`FRAME_BYTES`] allow.
const FRAME_ITEMS: usize = 256;
/// Data bytes from which a frame takes no further item.
const FRAME_BYTES: usize = 64 << 10;
const SWEEP_EVERY: Duration = Duration::from_secs(2);

type Feeds = HashMap<LifeId, Arc<Feed>>;

/// The feeds of all rooms that have subscribers on this node. Rooms without subscribers cost nothing.
#[derive(Default)]
pub struct Hub {
    stripes: [Mutex<Feeds>; STRIPES],
    /// Feeds whose subscribers are to be woken; each at most once.
    dirty: Mutex<Vec<Arc<Feed>>>,
    dirtied: Notify,
    audiences: Audiences,
    pub(crate) counts: FanOut,
    subscribers: AtomicU64,
    /// Feeds whose members have changed; each at most once.
    stirred: Mutex<Vec<Arc<Feed>>>,
    /// Feeds of rooms that have a new owner, and when their members are settled.
    settling: Mutex<Vec<(Instant, Weak<Feed>)>>,
}

impl Hub {
    /// A hub without feeds.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// One whose feeds and subscribers count with those of others.
    pub(crate) fn counting_with(others: &Self) -> Arc<Self> {
        Arc::new(Self { counts: others.counts.clone(), ..Self::default() })
    }

    /// Wakes subscribers until it is dropped. One task for all feeds: from within the runtime a wake costs a
    /// tenth of what it costs the apply thread, and frames that come in between wake nobody twice.
    pub(crate) async fn run(&self) {
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut look = tokio::time::interval(company::LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.dirtied.notified() => self.wake_dirty(),
                _ = sweep.tick() => self.sweep(Instant::now()),
                _ = look.tick() => self.look_at_members(Instant::now()),
            }
        }
    }

    /// Registers a subscriber. From here on it misses nothing: read the rows after this call, and call
    /// [`Feed::reached`] with the room's next offset.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        room: &RoomName,
        life: LifeId,
        waiter: Arc<Waiter>,
    ) -> Subscriber {
        let id = self.subscribers.fetch_add(1, Ordering::Relaxed);
        let mut feeds = self.stripe(life).lock();
        let feed = feeds.entry(life).or_insert_with(|| {
            self.counts.feeds.inc();
            let listeners = self.audiences.of(life.shard);
            Arc::new(Feed::new(room.clone(), life, listeners))
        });
        let feed = feed.clone();
        feed.register(id, waiter);
        self.counts.subscriptions.inc();
        drop(feeds);
        Subscriber { hub: self.clone(), feed, id }
    }

    fn unsubscribe(&self, feed: &Feed, id: u64) {
        // Under the lock that subscribing takes, so that nobody joins a feed that is being removed.
        let mut feeds = self.stripe(feed.life).lock();
        self.counts.subscriptions.dec();
        if feed.unregister(id) && feeds.remove(&feed.life).is_some() {
            self.counts.feeds.dec();
        }
    }

    fn stripe(&self, life: LifeId) -> &Mutex<Feeds> {
        // The remainder is below the number of stripes.
        &self.stripes[life.shard.0 as usize % STRIPES]
    }

    fn feed(&self, life: LifeId) -> Option<Arc<Feed>> {
        self.stripe(life).lock().get(&life).cloned()
    }

    /// A frame of a life, if anybody here is subscribed to it.
    pub(crate) fn put(&self, life: LifeId, frame: FeedFrame) {
        if let Some(feed) = self.feed(life) {
            feed.append(Arc::new(frame));
            self.mark_dirty(&feed);
        }
    }

    /// The life has come so far, and may be looked at: its subscribers do.
    pub(crate) fn reached(&self, life: LifeId, next: Offset) {
        if let Some(feed) = self.feed(life) {
            feed.reached(next);
            self.mark_dirty(&feed);
        }
    }

    /// Something happened in a life beside its messages: whoever listens here hears of it.
    pub(crate) fn tell(&self, life: LifeId, push: Push) {
        if let Some(feed) = self.feed(life) {
            feed.tell(Event::new(push));
            self.mark_dirty(&feed);
        }
    }

    /// The life is over: nothing comes behind what its feed has.
    pub(crate) fn end(&self, life: LifeId) {
        if let Some(feed) = self.feed(life) {
            feed.end();
            self.mark_dirty(&feed);
        }
    }

    fn append(&self, feed: &Arc<Feed>, items: &[Item]) {
        let mut rest = items;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |item: &&Item| {
                let fits = bytes < FRAME_BYTES;
                bytes += item.payload.bytes.len();
                fits
            };
            let (now, later) = rest.split_at(rest.iter().take(FRAME_ITEMS).take_while(fits).count());
            if let Some(frame) = FeedFrame::new(now) {
                feed.append(Arc::new(frame));
            }
            rest = later;
        }
        self.mark_dirty(feed);
    }

    fn mark_dirty(&self, feed: &Arc<Feed>) {
        if feed.mark_dirty() {
            self.dirty.lock().push(feed.clone());
            self.dirtied.notify_one();
        }
    }

    fn wake_dirty(&self) {
        let dirty = std::mem::take(&mut *self.dirty.lock());
        for feed in dirty {
            // Before the wakes, so that a frame that comes after them marks it again.
            feed.dirty.store(false, Ordering::Release);
            feed.wake_all();
        }
    }

    fn sweep(&self, now: Instant) {
        for stripe in &self.stripes {
            let feeds: Vec<_> = stripe.lock().values().cloned().collect();
            feeds.iter().for_each(|feed| feed.sweep(now, clock::now()));
        }
    }
}

impl Observer for Hub {
    fn audiences(&self) -> Vec<(ShardId, Audience)> {
        self.audiences.all()
    }

    fn applied(&self, _shard: ShardId, effects: Vec<Effect>) {
        // Each room's appends of this call go out together, however they are mixed with other rooms'.
        let mut runs: HashMap<LifeId, (Arc<Feed>, Vec<Item>)> = HashMap::new();
        for effect in effects {
            match effect {
                Effect::Appended { life, items, .. } => {
                    if let Some((_, gathered)) = runs.get_mut(&life) {
                        gathered.extend_from_slice(&items);
                    } else if let Some(feed) = self.feed(life) {
                        runs.insert(life, (feed, items.to_vec()));
                    }
                }
                Effect::Deleted { life, .. } => {
                    if let Some((feed, items)) = runs.remove(&life) {
                        self.append(&feed, &items);
                    }
                    self.end(life);
                }
                Effect::Held { room, life, items, expires } => {
                    let items = items.iter().cloned().map(to_protocol).collect();
                    self.tell(life, Push::Held { room, items, expires });
                }
                Effect::RolledBack { room, life, ids } => self.tell(life, Push::RolledBack { room, ids }),
                // Readers find out when they read.
                Effect::Trimmed { .. } => {}
            }
        }
        for (feed, items) in runs.values() {
            self.append(feed, items);
        }
    }
}

/// A subscriber's place in a feed. Dropping it leaves.
pub(crate) struct Subscriber {
    hub: Arc<Hub>,
    feed: Arc<Feed>,
    id: u64,
}

impl Subscriber {
    /// The room's name.
    pub(crate) fn room(&self) -> &RoomName {
        &self.feed.room
    }

    /// The life subscribed to.
    pub(crate) fn life(&self) -> LifeId {
        self.feed.life
    }

    /// What there is at `position`.
    pub(crate) fn at(&self, position: Offset) -> Step {
        self.feed.at(position)
    }

    /// The room's next offset was seen in its rows.
    pub(crate) fn reached(&self, next: Offset) {
        self.feed.reached(next);
    }

    /// From here on the subscriber is woken, by a waiter of its own, for what happens beside the messages: a client
    /// that may have no more messages is not woken for those. Returns the number of the next event of each kind.
    pub(crate) fn listen(&self, waiter: Arc<Waiter>) -> [EventNumber; 2] {
        self.feed.listen(self.id, waiter)
    }

    /// What there is of a kind at `number`.
    pub(crate) fn event(&self, kind: EventKind, number: EventNumber) -> Found {
        self.feed.event(kind, number)
    }

    /// Of the offsets from `low` to `end` (exclusive), those of the last minutes that are known here, and which the
    /// log is to be asked about.
    pub(crate) fn recent(&self, low: Offset, end: Offset) -> (Vec<Entry>, Option<(Offset, Offset)>) {
        self.feed.recent(low, end)
    }

    /// What the log has right before what is known here.
    pub(crate) fn rebuild(&self, read: &[Entry]) {
        self.feed.rebuild(read);
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.hub.unsubscribe(&self.feed, self.id);
    }
}
