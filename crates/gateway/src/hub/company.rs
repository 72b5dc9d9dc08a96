//! Members of the rooms that this node owns: who joins is counted for as long as its subscription lasts.
//!
//! Changes are told in batches: subscribers are woken a few times a second at most, however many come and go.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use roomkeeper_protocol::Member;
use roomkeeper_types::{Epoch, LifeId, Timestamp};

use super::event::Event;
use super::feed::Feed;
use super::members::{Full, MemberId, Members, Told};
use super::{Hub, Subscriber};

/// Between two looks at rooms whose members have changed.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A member's socket in a room. Dropping it leaves.
pub(crate) struct Membership {
    hub: Arc<Hub>,
    feed: Arc<Feed>,
    id: MemberId,
    epoch: Epoch,
}

/// An ownership under which members are counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counting {
    pub(crate) epoch: Epoch,
    /// Until then members that an earlier owner knew may still come back.
    pub(crate) settles_at: Option<Instant>,
}

impl Subscriber {
    /// The subscriber's client is there from now on.
    ///
    /// # Errors
    /// The room has `max` members.
    pub(crate) fn enter(
        &self,
        id: MemberId,
        counting: Counting,
        now: Timestamp,
        max: Option<u32>,
    ) -> Result<Membership, Full> {
        let Counting { epoch, settles_at } = counting;
        let mut members = self.feed.members.lock();
        if members.begin(epoch, settles_at)
            && let Some(at) = settles_at
        {
            self.hub.settling.lock().push((at, Arc::downgrade(&self.feed)));
        }
        // One of an ownership that was lost meanwhile counts as little as it will when it goes.
        if members.is_of(epoch) {
            members.enter(&id, now, max)?;
        }
        drop(members);
        self.hub.note_change(&self.feed);
        Ok(Membership { hub: self.hub.clone(), feed: self.feed.clone(), id, epoch })
    }

    /// What the subscriber is told next of who is there.
    pub(crate) fn company(&self, told: Told) -> Option<(Arc<Event>, Told)> {
        self.feed.members.lock().tell(&self.feed.room, told, Instant::now())
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.feed.members.lock().exit(&self.id, self.epoch);
        self.hub.note_change(&self.feed);
    }
}

impl Hub {
    /// How many members a life has. `None`: that is not known yet.
    pub(crate) fn member_count(&self, life: LifeId, counting: Counting) -> Option<u64> {
        self.counted(life, counting, Members::count)
    }

    /// All members of a life. `None`: they are not known yet.
    pub(crate) fn members(&self, life: LifeId, counting: Counting) -> Option<Vec<Member>> {
        self.counted(life, counting, Members::list)
    }

    fn counted<T: Default>(
        &self,
        life: LifeId,
        counting: Counting,
        look: impl FnOnce(&Members) -> T,
    ) -> Option<T> {
        if counting.settles_at.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        // Nobody has come to this ownership where its members are not counted.
        let feed = self.feed(life);
        let members = feed.as_ref().map(|feed| feed.members.lock());
        Some(members.filter(|members| members.is_of(counting.epoch)).map_or_else(T::default, |it| look(&it)))
    }

    fn note_change(&self, feed: &Arc<Feed>) {
        if !feed.stirred.swap(true, Ordering::AcqRel) {
            self.stirred.lock().push(feed.clone());
        }
    }

    /// Wakes the subscribers of rooms whose members have changed, or are settled now.
    pub(super) fn look_at_members(&self, now: Instant) {
        let mut changed = std::mem::take(&mut *self.stirred.lock());
        changed.iter().for_each(|feed| feed.stirred.store(false, Ordering::Release));
        self.settling.lock().retain(|(at, feed)| {
            if *at <= now {
                changed.extend(feed.upgrade());
            }
            *at > now
        });
        for feed in changed {
            feed.members.lock().announce();
            feed.stir();
            self.mark_dirty(&feed);
        }
    }
}
