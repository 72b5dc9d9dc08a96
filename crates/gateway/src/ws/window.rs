//! The publishes of one socket to one room that are under way, and the rule that keeps their order.
//!
//! Where the log refuses one of them or leaves its outcome open, the window is broken: nothing more is handed to
//! that owner, and what is still to come of it does not count. If the room has moved, all that is under way goes
//! to the next owner, in its order; the ids tell what is known there. If not, or if one is overdue, all end
//! unknown, at once, and no further one is taken: the client sends them again, in order, after it joined again.
//! (The owner's log keeps the other half of the promise: of the publishes handed to it in one epoch, none is
//! stored unless those before it are.)

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use roomkeeper_protocol::{Error, ErrorCode, Publish, Reply};
use tokio::sync::Notify;

use super::ticket::Ticket;
use crate::failure;

/// The publishes of one socket to one room that are under way. Bounded by the socket's units.
#[derive(Default)]
pub(crate) struct Window {
    state: Mutex<State>,
    /// Told when the window is fenced or broken, and when the last publish was answered.
    changed: Notify,
}

#[derive(Default)]
struct State {
    pending: BTreeMap<u64, Pending>,
    next: u64,
    fenced: bool,
    broken: bool,
    /// Counts the owners that what is under way was handed to: outcomes of earlier ones do not count.
    round: u64,
}

struct Pending {
    ticket: Ticket,
    deadline: Instant,
    /// To be sent again. Its data are shared with what was sent.
    publish: Publish,
    /// To how many owners it was handed.
    handed: u32,
}

impl Window {
    /// Takes a publish on and returns what is to be called with its outcome, once. `None`: it must not be
    /// proposed now. Where the window is fenced it is answered, where it is broken it waits with the others.
    pub(crate) fn enter(
        self: &Arc<Self>,
        ticket: Ticket,
        deadline: Instant,
        publish: Publish,
    ) -> Option<Answer> {
        let mut state = self.state.lock();
        if state.fenced {
            drop(state);
            ticket.answer(Err(failure::fenced()));
            return None;
        }
        let number = state.next;
        state.next += 1;
        let handed = u32::from(!state.broken);
        state.pending.insert(number, Pending { ticket, deadline, publish, handed });
        let round = state.round;
        (!state.broken).then(|| Answer { window: self.clone(), number, round })
    }

    /// All that is under way, in its order, to be handed to another owner.
    pub(crate) fn again(self: &Arc<Self>) -> Vec<(Publish, Answer)> {
        let mut state = self.state.lock();
        state.broken = false;
        state.round += 1;
        let round = state.round;
        let again = state.pending.iter_mut().map(|(number, pending)| {
            pending.handed += 1;
            (pending.publish.clone(), Answer { window: self.clone(), number: *number, round })
        });
        again.collect()
    }

    /// The earliest deadline of what is under way.
    pub(crate) fn first_deadline(&self) -> Option<Instant> {
        self.state.lock().pending.values().map(|pending| pending.deadline).min()
    }

    /// Whether the owner has refused something, or left it open.
    pub(crate) fn is_broken(&self) -> bool {
        self.state.lock().broken
    }

    /// Whether nothing more is taken.
    pub(crate) fn is_fenced(&self) -> bool {
        self.state.lock().fenced
    }

    /// Whether nothing is under way and anything is taken.
    pub(crate) fn is_clear(&self) -> bool {
        let state = self.state.lock();
        !state.fenced && state.pending.is_empty()
    }

    /// Resolves when the window is broken or, if that matters, fenced.
    pub(crate) async fn over(&self, fenced_too: bool) {
        self.until(|state| state.broken || (fenced_too && state.fenced)).await;
    }

    /// Resolves when no further outcome is to be expected.
    pub(crate) async fn settled(&self) {
        self.until(|state| state.broken || state.pending.is_empty()).await;
    }

    /// Resolves when nothing is under way.
    pub(crate) async fn idle(&self) {
        self.until(|state| state.pending.is_empty()).await;
    }

    /// Answers what is under way as unknown. If there is anything, the window is fenced. Returns whether it is.
    pub(crate) fn give_up(&self) -> bool {
        let mut state = self.state.lock();
        state.fenced |= !state.pending.is_empty();
        state.broken = false;
        state.round += 1;
        let fenced = state.fenced;
        let pending = std::mem::take(&mut state.pending);
        drop(state);
        self.fail(pending);
        fenced
    }

    /// Takes no publish any more: one that never entered was refused.
    pub(crate) fn fence(&self) {
        self.state.lock().fenced = true;
    }

    /// Takes publishes again: the client has joined and knows where it stands.
    pub(crate) fn reopen(&self) {
        self.state.lock().fenced = false;
    }

    /// Answers what is overdue as `timeout`; then the window is fenced and all else under way unknown too.
    /// Returns the earliest deadline left.
    pub(crate) fn expire(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state.lock();
        if state.pending.values().all(|pending| pending.deadline > now) {
            return state.pending.values().map(|pending| pending.deadline).min();
        }
        state.fenced = true;
        let pending = std::mem::take(&mut state.pending);
        drop(state);
        let (overdue, others) = pending.into_iter().partition(|(_, pending)| pending.deadline <= now);
        let overdue: BTreeMap<u64, Pending> = overdue;
        for (_, pending) in overdue {
            pending.ticket.answer(Err(failure::timed_out()));
        }
        self.fail(others);
        None
    }

    fn complete(&self, (round, number): (u64, u64), result: Result<Reply, Error>) {
        let mut state = self.state.lock();
        // It may have been answered already, as overdue or with one before it, or handed to another owner.
        let pending = state.pending.get(&number).filter(|_| round == state.round);
        let Some(handed) = pending.map(|pending| pending.handed) else { return };
        let open = |error: &Error| match error.code {
            ErrorCode::Unavailable => true,
            // This owner's limit says nothing of what the one before did with it.
            ErrorCode::RateLimited => handed > 1,
            _ => false,
        };
        if result.as_ref().is_err_and(open) {
            state.broken = true;
            state.round += 1;
            drop(state);
            return self.changed.notify_waiters();
        }
        let Some(Pending { ticket, .. }) = state.pending.remove(&number) else { return };
        let unknown = result.as_ref().is_err_and(|error| error.code.is_unknown());
        let failed = if unknown {
            state.fenced = true;
            std::mem::take(&mut state.pending)
        } else {
            BTreeMap::new()
        };
        let settled = state.pending.is_empty();
        drop(state);
        ticket.answer(result);
        if unknown {
            self.fail(failed);
        } else if settled {
            self.changed.notify_waiters();
        }
    }

    fn fail(&self, pending: BTreeMap<u64, Pending>) {
        for (_, Pending { ticket, .. }) in pending {
            ticket.answer(Err(failure::fenced()));
        }
        self.changed.notify_waiters();
    }

    async fn until(&self, reached: impl Fn(&State) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Before looking, so that no change is missed in between.
            changed.as_mut().enable();
            if reached(&self.state.lock()) {
                return;
            }
            changed.await;
        }
    }
}

/// Where a publish's outcome goes. Dropped without one, the publish is unknown.
pub(crate) struct Answer {
    window: Arc<Window>,
    number: u64,
    round: u64,
}

impl Answer {
    pub(crate) fn give(self, result: Result<Reply, Error>) {
        self.window.complete((self.round, self.number), result);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Nothing happens where it was given.
        self.window.complete((self.round, self.number), Err(failure::fenced()));
    }
}
