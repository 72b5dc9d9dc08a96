//! The way from a room's task to its subscriber: a bounded buffer, and what did not fit.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::{Error, Event};

pub(crate) type Events = mpsc::Sender<Result<Event, Error>>;

/// What the subscriber did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Took something: there may be room again.
    Read,
    /// Dropped the subscription.
    Gone,
}

/// While something is stashed the socket is not read, so that the stash holds no more than what one read
/// of the socket brought.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    events: Option<Events>,
    stash: VecDeque<Result<Event, Error>>,
    /// Nothing follows what is stashed.
    finished: bool,
}

impl Outlet {
    /// A new subscriber.
    pub(crate) fn open(&mut self, events: Events) {
        *self = Self { events: Some(events), stash: VecDeque::new(), finished: false };
    }

    /// Whether the subscriber has to read before more may come.
    pub(crate) fn is_full(&self) -> bool {
        !self.stash.is_empty()
    }

    /// Hands over an event, or keeps it until there is room.
    pub(crate) fn push(&mut self, event: Result<Event, Error>) {
        let Some(events) = &self.events else { return };
        if self.is_full() {
            self.stash.push_back(event);
            return;
        }
        match events.try_send(event) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(event)) => self.stash.push_back(event),
            // `changed` reports it.
            Err(mpsc::error::TrySendError::Closed(_)) => {}
        }
    }

    /// The stream ends after what was handed over.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
        self.release();
    }

    /// Waits until the subscriber reads what is stashed, or is gone; for ever while there is nothing to
    /// wait for. Nothing is lost when the future is dropped.
    pub(crate) async fn changed(&mut self) -> Reader {
        let Some(events) = &self.events else { return std::future::pending().await };
        if self.stash.is_empty() {
            events.closed().await;
            self.events = None;
            return Reader::Gone;
        }
        let delivered = match events.reserve().await {
            Ok(permit) => {
                if let Some(event) = self.stash.pop_front() {
                    permit.send(event);
                }
                true
            }
            Err(_) => false,
        };
        if delivered {
            self.release();
            return Reader::Read;
        }
        self.stash.clear();
        self.events = None;
        Reader::Gone
    }

    fn release(&mut self) {
        if self.finished && self.stash.is_empty() {
            self.events = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(n: u64) -> Result<Event, Error> {
        use roomkeeper_types::Offset;
        Err(Error::Gap { expected: Offset(n), got: Offset(n) })
    }

    fn number(event: Option<Result<Event, Error>>) -> Option<u64> {
        match event {
            Some(Err(Error::Gap { expected, .. })) => Some(expected.0),
            _ => None,
        }
    }

    #[tokio::test]
    async fn push_full_is_kept_and_delivered_in_order_before_the_end() {
        let (events, mut reader) = mpsc::channel(1);
        let mut outlet = Outlet::default();
        outlet.open(events);
        for n in 1..=3 {
            outlet.push(error(n));
        }
        outlet.finish();
        assert!(outlet.is_full());
        assert_eq!(number(reader.recv().await), Some(1));
        assert_eq!(outlet.changed().await, Reader::Read);
        assert_eq!(number(reader.recv().await), Some(2));
        assert_eq!(outlet.changed().await, Reader::Read);
        assert_eq!(number(reader.recv().await), Some(3));
        assert!(reader.recv().await.is_none());
    }

    #[tokio::test]
    async fn reader_dropped_is_reported() {
        let (events, reader) = mpsc::channel(1);
        let mut outlet = Outlet::default();
        outlet.open(events);
        outlet.push(error(1));
        outlet.push(error(2));
        drop(reader);
        assert_eq!(outlet.changed().await, Reader::Gone);
        assert!(!outlet.is_full());
    }
}
