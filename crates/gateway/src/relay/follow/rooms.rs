//! What a link follows, and what is to be asked of the owner for it. No sockets: what happens comes in, what is to be
//! asked comes out, and the feeds are told.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use roomkeeper_protocol::{Error, ErrorCode, JoinOk};
use roomkeeper_types::{Epoch, LifeId, Offset, RoomName, ShardId};
use tokio_util::sync::CancellationToken;

use crate::hub::{FeedFrame, Hub};

/// What a link follows.
pub(super) struct Rooms {
    hub: Arc<Hub>,
    rooms: HashMap<RoomName, Room>,
    /// Rooms of which a life is perhaps to be joined; each at most once.
    due: VecDeque<RoomName>,
    /// Rooms that nobody needs any more, perhaps, and since when; each at most once.
    idle: VecDeque<(Instant, RoomName)>,
    /// Ownerships that rooms are followed of.
    owned: HashMap<ShardId, Epoch>,
    /// Those of them that nobody watches yet.
    unwatched: Vec<(ShardId, Epoch)>,
}

/// A room's name. It has one life at a time; clients that come and go as it is created anew may need two for a moment.
#[derive(Default)]
struct Room {
    lives: Vec<Life>,
    /// Whose messages the owner sends.
    joined: Option<LifeId>,
    /// A join is on its way. One at a time, so that what comes behind its reply is this life's.
    asked: Option<LifeId>,
    is_due: bool,
    /// When the last follower left.
    idle_since: Option<Instant>,
    is_idle: bool,
}

struct Life {
    following: Arc<Following>,
    /// Every message below it is in the owner's log.
    next: Offset,
    /// The ownership that the owner joined it in.
    epoch: Option<Epoch>,
}

/// One life of a room as it is followed, shared with its followers.
pub(super) struct Following {
    pub(super) room: RoomName,
    pub(super) life: LifeId,
    /// The owner sends its messages, or has said that it is over.
    settled: AtomicBool,
    /// The ownership is over, or the way to the owner.
    lost: CancellationToken,
    /// Changed under the lock that is over [`Rooms`].
    followers: AtomicUsize,
}

/// What is to be asked of the owner.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Join(RoomName, LifeId),
    Leave(RoomName),
}

impl Following {
    /// Whether the feed may be looked at.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    pub(super) fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    fn is_wanted(&self) -> bool {
        self.followers.load(Ordering::Relaxed) > 0
    }
}

impl Room {
    fn is_wanted(&self) -> bool {
        self.lives.iter().any(|life| life.following.is_wanted())
    }

    fn life(&mut self, id: LifeId) -> Option<&mut Life> {
        self.lives.iter_mut().find(|life| life.following.life == id)
    }

    fn take(&mut self, id: LifeId) -> Option<Life> {
        let at = self.lives.iter().position(|life| life.following.life == id)?;
        Some(self.lives.swap_remove(at))
    }
}

impl Rooms {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self {
            hub,
            rooms: HashMap::new(),
            due: VecDeque::new(),
            idle: VecDeque::new(),
            owned: HashMap::new(),
            unwatched: Vec::new(),
        }
    }

    /// Whether nothing is followed, and nothing has to be asked or answered for that.
    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// One more follower of a life. Returns how far its log is known to reach.
    pub(super) fn follow(&mut self, name: &RoomName, id: LifeId) -> (Arc<Following>, Offset) {
        let room = self.rooms.entry(name.clone()).or_default();
        room.idle_since = None;
        let known = room.lives.iter().position(|life| life.following.life == id);
        let at = known.unwrap_or_else(|| {
            let following = Following {
                room: name.clone(),
                life: id,
                settled: AtomicBool::new(false),
                lost: CancellationToken::new(),
                followers: AtomicUsize::new(0),
            };
            room.lives.push(Life { following: Arc::new(following), next: Offset::default(), epoch: None });
            room.lives.len() - 1
        });
        let life = &room.lives[at];
        life.following.followers.fetch_add(1, Ordering::Relaxed);
        let followed = (life.following.clone(), life.next);
        self.list_due(name);
        followed
    }

    /// One follower less.
    pub(super) fn release(&mut self, following: &Following, now: Instant) {
        following.followers.fetch_sub(1, Ordering::Relaxed);
        self.list_idle(&following.room, now);
    }

    /// The next thing to ask. A room that nobody has needed for `linger` is left.
    pub(super) fn next_ask(&mut self, now: Instant, linger: Duration) -> Option<Ask> {
        while let Some(name) = self.due.pop_front() {
            let Some(room) = self.rooms.get_mut(&name) else { continue };
            room.is_due = false;
            let wanted = |life: &&Life| life.epoch.is_none() && life.following.is_wanted();
            let id = room.lives.iter().find(wanted).map(|life| life.following.life);
            // Where one is on its way, its reply puts the room on the list again.
            if let Some(id) = id.filter(|_| room.asked.is_none()) {
                room.asked = Some(id);
                return Some(Ask::Join(name, id));
            }
        }
        while self.idle.front().is_some_and(|(since, _)| *since + linger <= now) {
            let Some((listed, name)) = self.idle.pop_front() else { break };
            let Some(room) = self.rooms.get_mut(&name) else { continue };
            room.is_idle = false;
            if room.is_wanted() || room.asked.is_some() {
                continue;
            }
            if room.idle_since.is_some_and(|since| since > listed) {
                // Somebody came and went meanwhile.
                self.list_idle(&name, now);
            } else if self.rooms.remove(&name).is_some_and(|room| room.joined.is_some()) {
                return Some(Ask::Leave(name));
            }
        }
        None
    }

    /// When [`Rooms::next_ask`] may have something by itself.
    pub(super) fn next_idle(&self) -> Option<Instant> {
        self.idle.front().map(|(since, _)| *since)
    }

    /// The reply to a join.
    pub(super) fn joined(&mut self, name: &RoomName, id: LifeId, reply: Result<JoinOk, Error>, now: Instant) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        room.asked = None;
        match reply {
            Ok(ok) => {
                // What comes from here on is this life's; another one that was joined is over.
                let former = room.joined.replace(id).filter(|former| *former != id);
                if let Some(life) = room.life(id) {
                    life.next = life.next.max(ok.next);
                    life.epoch = Some(ok.epoch);
                    life.following.settled.store(true, Ordering::Release);
                    self.hub.reached(id, life.next);
                    self.watch(id.shard, ok.epoch);
                }
                if let Some(former) = former {
                    self.end(name, former);
                }
            }
            Err(error) if matches!(error.code, ErrorCode::NotFound | ErrorCode::Recreated) => {
                self.end(name, id);
            }
            Err(error) => {
                tracing::info!(room = %name, %error, "an owner does not let its room be followed");
                self.lose(name, id);
            }
        }
        self.list_due(name);
        self.list_idle(name, now);
    }

    /// Messages came.
    pub(super) fn messages(&mut self, name: &RoomName, frame: FeedFrame) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        let Some(life) = room.joined.and_then(|id| room.life(id)) else { return };
        life.next = life.next.max(frame.last().next());
        self.hub.put(life.following.life, frame);
    }

    /// The owner is none any more, of what it had joined. A join on its way gets an answer of its own.
    pub(super) fn moved(&mut self, name: &RoomName, now: Instant) {
        let joined = self.rooms.get_mut(name).and_then(|room| room.joined.take());
        if let Some(id) = joined {
            self.lose(name, id);
            self.list_idle(name, now);
        }
    }

    /// Ownerships to watch from now on.
    pub(super) fn unwatched(&mut self) -> Vec<(ShardId, Epoch)> {
        std::mem::take(&mut self.unwatched)
    }

    /// The shard has an owner of a higher epoch: this one may have died without a word.
    pub(super) fn overtaken(&mut self, shard: ShardId, epoch: Epoch, now: Instant) {
        if self.owned.get(&shard) == Some(&epoch) {
            self.owned.remove(&shard);
        }
        let of_epoch = |life: &Life| {
            life.following.life.shard == shard && life.epoch.is_some_and(|joined| joined <= epoch)
        };
        let lost: Vec<(RoomName, LifeId)> = (self.rooms.iter())
            .flat_map(|(name, room)| room.lives.iter().map(move |life| (name, life)))
            .filter(|(_, life)| of_epoch(life))
            .map(|(name, life)| (name.clone(), life.following.life))
            .collect();
        for (name, id) in lost {
            self.lose(&name, id);
            self.list_idle(&name, now);
        }
    }

    /// The link is gone, and with it everything.
    pub(super) fn lose_all(&mut self) {
        let lives = self.rooms.drain().flat_map(|(_, room)| room.lives);
        lives.for_each(|life| life.following.lost.cancel());
        self.due.clear();
        self.idle.clear();
    }

    fn watch(&mut self, shard: ShardId, epoch: Epoch) {
        if self.owned.get(&shard).is_none_or(|watched| *watched < epoch) {
            self.owned.insert(shard, epoch);
            self.unwatched.push((shard, epoch));
        }
    }

    fn lose(&mut self, name: &RoomName, id: LifeId) {
        let life = self.rooms.get_mut(name).and_then(|room| room.take(id));
        if let Some(life) = life {
            life.following.lost.cancel();
        }
    }

    /// The life is over: its followers get what the feed has, and then nothing any more.
    fn end(&mut self, name: &RoomName, id: LifeId) {
        let life = self.rooms.get_mut(name).and_then(|room| room.take(id));
        if let Some(life) = life {
            life.following.settled.store(true, Ordering::Release);
            self.hub.end(id);
        }
    }

    fn list_due(&mut self, name: &RoomName) {
        if let Some(room) = self.rooms.get_mut(name)
            && !std::mem::replace(&mut room.is_due, true)
        {
            self.due.push_back(name.clone());
        }
    }

    fn list_idle(&mut self, name: &RoomName, now: Instant) {
        let Some(room) = self.rooms.get_mut(name).filter(|room| !room.is_wanted()) else { return };
        let since = *room.idle_since.get_or_insert(now);
        if !std::mem::replace(&mut room.is_idle, true) {
            self.idle.push_back((since, name.clone()));
        }
    }
}
