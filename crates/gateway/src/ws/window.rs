//! The publishes of one socket to one room that are under way, and the rule that keeps their order.
//!
//! When one of them ends unknown, all others do too, at once, and no further one is taken: the client sends
//! them again, in order, after it joined again. (The owner's log keeps the other half of the promise: of the
//! publishes handed to it in one epoch, none is stored unless those before it are.)

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use roomkeeper_protocol::{Error, Reply};
use tokio::sync::Notify;

use super::conn::Ticket;
use crate::failure;

/// The publishes of one socket to one room that are under way. Bounded by the socket's units.
#[derive(Default)]
pub(crate) struct Window {
    state: Mutex<State>,
    /// Told when the window is fenced, and when the last publish was answered.
    changed: Notify,
}

#[derive(Default)]
struct State {
    pending: BTreeMap<u64, Pending>,
    next: u64,
    fenced: bool,
}

struct Pending {
    ticket: Ticket,
    deadline: Instant,
}

impl Window {
    /// Takes a publish on and returns what is to be called with its outcome, once. `None`: the window is
    /// fenced, the publish is answered and must not be proposed.
    pub(crate) fn enter(self: &Arc<Self>, ticket: Ticket, deadline: Instant) -> Option<Answer> {
        let mut state = self.state.lock();
        if state.fenced {
            drop(state);
            ticket.answer(Err(failure::fenced()));
            return None;
        }
        let number = state.next;
        state.next += 1;
        state.pending.insert(number, Pending { ticket, deadline });
        Some(Answer { window: self.clone(), number })
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

    /// Resolves when the window is fenced.
    pub(crate) async fn fenced(&self) {
        self.until(|state| state.fenced).await;
    }

    /// Resolves when nothing is under way.
    pub(crate) async fn idle(&self) {
        self.until(|state| state.pending.is_empty()).await;
    }

    /// Answers what is under way as unknown. If there is anything, the window is fenced. Returns whether it is.
    pub(crate) fn give_up(&self) -> bool {
        let mut state = self.state.lock();
        state.fenced |= !state.pending.is_empty();
        let fenced = state.fenced;
        let pending = std::mem::take(&mut state.pending);
        drop(state);
        self.fail(pending);
        fenced
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

    fn complete(&self, number: u64, result: Result<Reply, Error>) {
        let mut state = self.state.lock();
        // It may have been answered already, as overdue or with one before it.
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
}

impl Answer {
    pub(crate) fn give(self, result: Result<Reply, Error>) {
        self.window.complete(self.number, result);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Nothing happens where it was given.
        self.window.complete(self.number, Err(failure::fenced()));
    }
}
