//! The newest frames of one room, for those of its subscribers that keep up.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use roomkeeper_protocol::Push;
use roomkeeper_types::{LifeId, Offset, RoomName, Timestamp};

use super::FeedFrame;
use super::audience::Listeners;
use super::event::{Event, EventNumber, Found, Ring};
use super::members::Members;
use super::recent::{Entry, Recent};
use super::wake::Waiter;

/// Most frames a feed keeps.
const FRAMES_MAX: usize = 256;
/// Most bytes a feed keeps, by [`FeedFrame::bytes`].
const BYTES_MAX: usize = 1 << 20;
/// Frames older than this go at the next sweep: who has not taken them by then reads the log.
const AGE_MAX: Duration = Duration::from_secs(2);

/// The newest frames of one life of a room, as long as it has subscribers.
///
/// Frames have neighbouring offsets. The oldest go when there are too many, and nobody is asked: a
/// subscriber holds its position and nothing else, and one whose position is gone reads the log.
pub(crate) struct Feed {
    pub(crate) room: RoomName,
    pub(crate) life: LifeId,
    /// Whether it stands in the hub's list of feeds whose subscribers are to be woken.
    pub(super) dirty: AtomicBool,
    /// Messages that nobody was woken for yet.
    fresh: AtomicU64,
    listeners: Arc<Listeners>,
    state: Mutex<State>,
    /// Under a lock of their own: the apply thread does not wait while many are woken.
    waiters: Mutex<HashMap<u64, Arc<Waiter>>>,
    /// Whoever is to be woken for events.
    ears: Mutex<HashMap<u64, Arc<Waiter>>>,
    /// There are messages, or events, that nobody was woken for yet.
    has_messages: AtomicBool,
    has_events: AtomicBool,
    pub(super) members: Mutex<Members>,
    /// Whether it stands in the hub's list of feeds whose members have changed.
    pub(super) stirred: AtomicBool,
}

/// Which events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// Messages were held, or dropped.
    Hold,
    /// A signal came.
    Signal,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Kept>,
    bytes: usize,
    /// Every message below it is committed and applied here.
    next: Offset,
    /// The room was deleted: nothing more comes.
    ended: bool,
    /// By [`EventKind`].
    events: [Ring; 2],
    recent: Recent,
}

struct Kept {
    frame: Arc<FeedFrame>,
    at: Instant,
}

/// What there is for a subscriber at some position.
pub(crate) enum Step {
    /// This frame, which has the position in it.
    Frame(Arc<FeedFrame>),
    /// Messages that the feed no longer has: read the log from the position up to this offset, inclusive.
    Log(Offset),
    /// Nothing yet: it will be woken.
    Wait,
    /// Nothing ever again.
    Ended,
}

impl Feed {
    pub(super) fn new(room: RoomName, life: LifeId, listeners: Arc<Listeners>) -> Self {
        Self {
            room,
            life,
            dirty: AtomicBool::new(false),
            fresh: AtomicU64::new(0),
            listeners,
            state: Mutex::default(),
            waiters: Mutex::default(),
            ears: Mutex::default(),
            has_messages: AtomicBool::new(false),
            has_events: AtomicBool::new(false),
            members: Mutex::default(),
            stirred: AtomicBool::new(false),
        }
    }

    /// What there is at `position`.
    pub(crate) fn at(&self, position: Offset) -> Step {
        let state = self.state.lock();
        let behind = state.frames.partition_point(|kept| kept.frame.first() <= position);
        let before = behind.checked_sub(1).and_then(|index| state.frames.get(index));
        if let Some(kept) = before.filter(|kept| position <= kept.frame.last()) {
            return Step::Frame(kept.frame.clone());
        }
        if state.ended {
            // Its rows are gone, so there is no log to read.
            return Step::Ended;
        }
        if position >= state.next {
            return Step::Wait;
        }
        // Below the frames, or between them and what somebody saw in the rows before its frame came.
        let oldest = state.frames.front().map(|kept| kept.frame.first()).filter(|first| position < *first);
        Step::Log(Offset(oldest.unwrap_or(state.next).get() - 1))
    }

    /// The room's next offset was seen in its rows.
    pub(crate) fn reached(&self, next: Offset) {
        let mut state = self.state.lock();
        state.next = state.next.max(next);
        state.recent.begin(next);
        drop(state);
        self.has_messages.store(true, Ordering::Release);
    }

    pub(super) fn append(&self, frame: Arc<FeedFrame>) {
        let mut state = self.state.lock();
        let end = state.frames.back().map(|kept| kept.frame.last().next());
        if end.is_some_and(|end| frame.first() < end) {
            // Told a second time.
            return;
        }
        if end.is_some_and(|end| frame.first() > end) {
            // This copy jumped (a snapshot came): what lies between is in the log only.
            state.frames.clear();
            state.bytes = 0;
        }
        let messages = frame.last().next().get().saturating_sub(frame.first().get());
        self.fresh.fetch_add(messages, Ordering::Relaxed);
        state.recent.append(frame.items());
        state.bytes += frame.bytes();
        state.next = state.next.max(frame.last().next());
        state.frames.push_back(Kept { frame, at: Instant::now() });
        self.has_messages.store(true, Ordering::Release);
        while state.frames.len() > FRAMES_MAX || (state.bytes > BYTES_MAX && state.frames.len() > 1) {
            state.drop_oldest();
        }
    }

    pub(super) fn end(&self) {
        self.state.lock().ended = true;
        self.has_messages.store(true, Ordering::Release);
    }

    /// Drops frames that were there for long enough for everybody who keeps up.
    pub(super) fn sweep(&self, now: Instant, time: Timestamp) {
        let mut state = self.state.lock();
        state.recent.sweep(time);
        while state.frames.front().is_some_and(|kept| now.duration_since(kept.at) > AGE_MAX) {
            state.drop_oldest();
        }
    }

    pub(super) fn recent(&self, low: Offset, end: Offset) -> (Vec<Entry>, Option<(Offset, Offset)>) {
        let state = self.state.lock();
        (state.recent.range(low, end), state.recent.unknown(low, end))
    }

    pub(super) fn rebuild(&self, read: &[Entry]) {
        self.state.lock().recent.rebuild(read);
    }

    /// What there is of a kind at `number`.
    pub(crate) fn event(&self, kind: EventKind, number: EventNumber) -> Found {
        self.state.lock().events[kind as usize].at(number)
    }

    pub(super) fn tell(&self, event: Arc<Event>) {
        let kind = match event.push() {
            Push::Signal { .. } => EventKind::Signal,
            _ => EventKind::Hold,
        };
        self.state.lock().events[kind as usize].push(event);
        self.stir();
    }

    /// Whoever listens is to look again.
    pub(super) fn stir(&self) {
        self.has_events.store(true, Ordering::Release);
    }

    pub(super) fn listen(&self, id: u64, waiter: Arc<Waiter>) -> [EventNumber; 2] {
        self.ears.lock().insert(id, waiter);
        let state = self.state.lock();
        [state.events[0].next(), state.events[1].next()]
    }

    pub(super) fn wake_all(&self) {
        if self.has_events.swap(false, Ordering::AcqRel) {
            self.ears.lock().values().for_each(|ear| ear.wake());
        }
        if !self.has_messages.swap(false, Ordering::AcqRel) {
            return;
        }
        let fresh = self.fresh.swap(0, Ordering::Relaxed);
        let waiters = self.waiters.lock();
        waiters.values().for_each(|waiter| waiter.wake());
        self.listeners.delivered(fresh, waiters.len() as u64);
    }

    pub(super) fn register(&self, id: u64, waiter: Arc<Waiter>) {
        self.waiters.lock().insert(id, waiter);
        self.listeners.came();
    }

    /// Whether nobody is left.
    pub(super) fn unregister(&self, id: u64) -> bool {
        self.ears.lock().remove(&id);
        let mut waiters = self.waiters.lock();
        if waiters.remove(&id).is_some() {
            self.listeners.went();
        }
        waiters.is_empty()
    }

    /// Whether the caller is the one to put the feed on the list of those whose subscribers are to be woken.
    pub(super) fn mark_dirty(&self) -> bool {
        !self.dirty.swap(true, Ordering::AcqRel)
    }

    #[cfg(test)]
    pub(super) fn frames(&self) -> usize {
        self.state.lock().frames.len()
    }
}

impl State {
    fn drop_oldest(&mut self) {
        if let Some(kept) = self.frames.pop_front() {
            self.bytes = self.bytes.saturating_sub(kept.frame.bytes());
        }
    }
}
