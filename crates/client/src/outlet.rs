//! The way from a room's task to its subscriber: a bounded buffer, and what did not fit.

use std::collections::VecDeque;

use roomkeeper_types::Offset;
use tokio::sync::{mpsc, watch};

use crate::{Error, Event};

/// Events kept beyond the messages that a subscriber gave credit for.
const OTHERS: usize = 1_024;

/// The driver's ends of the way.
#[derive(Debug)]
pub(crate) struct Way {
    /// To the subscriber.
    pub(crate) events: mpsc::Sender<Result<Event, Error>>,
    /// How far it has read, where that makes room for more.
    pub(crate) read: Option<watch::Receiver<Offset>>,
    /// Messages that may be on their way unread, as the server keeps to that; `None`: any number.
    pub(crate) window: Option<u64>,
}

/// What the subscriber did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Took something: there may be room again.
    Took,
    /// Has read everything up to there.
    Read(Offset),
    /// Dropped the subscription.
    Gone,
}

/// Where the server does not keep to a window, the socket is not read while something is stashed, so that the
/// stash holds no more than what one read of the socket brought. Where it does, the stash has room for the
/// window, and the socket is read on: behind the messages there may be the answer that the subscriber waits
/// for before it reads the next one.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    way: Option<Way>,
    stash: VecDeque<Result<Event, Error>>,
    /// Events that the stash may hold before the socket is not read.
    room: usize,
    /// Nothing follows what is stashed.
    finished: bool,
}

impl Outlet {
    /// A new subscriber.
    pub(crate) fn open(&mut self, way: Way) {
        let room = way.window.map_or(0, |window| usize::try_from(window).unwrap_or(usize::MAX));
        let room = if room > 0 { room.saturating_add(OTHERS) } else { 0 };
        *self = Self { way: Some(way), stash: VecDeque::new(), room, finished: false };
    }

    /// Whether the subscriber has to read before more may come.
    pub(crate) fn is_full(&self) -> bool {
        self.stash.len() > self.room
    }

    /// Hands over an event, or keeps it until there is room. `false`: a signal that found none, and is gone.
    pub(crate) fn push(&mut self, event: Result<Event, Error>) -> bool {
        let Some(way) = &self.way else { return true };
        if !self.stash.is_empty() {
            return self.keep(event);
        }
        match way.events.try_send(event) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(event)) => self.keep(event),
            // `changed` reports it.
            Err(mpsc::error::TrySendError::Closed(_)) => true,
        }
    }

    fn keep(&mut self, event: Result<Event, Error>) -> bool {
        let is_signal = matches!(event, Ok(Event::Signal { .. }));
        if !is_signal {
            self.stash.push_back(event);
        }
        !is_signal
    }

    /// The stream ends after what was handed over.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
        self.release();
    }

    /// Waits until the subscriber reads, or is gone; for ever while there is nothing to wait for. Nothing is
    /// lost when the future is dropped.
    pub(crate) async fn changed(&mut self) -> Reader {
        let Some(Way { events, read, .. }) = &mut self.way else { return std::future::pending().await };
        let progress = async {
            if let Some(read) = read
                && read.changed().await.is_ok()
            {
                return *read.borrow_and_update();
            }
            // The sender goes with the subscriber, which the other branch reports.
            std::future::pending().await
        };
        let taken = async {
            if self.stash.is_empty() {
                events.closed().await;
                return None;
            }
            events.reserve().await.ok()
        };
        let permit = tokio::select! {
            offset = progress => return Reader::Read(offset),
            permit = taken => permit,
        };
        let took = permit.zip(self.stash.pop_front()).map(|(permit, event)| permit.send(event)).is_some();
        if took {
            self.release();
            return Reader::Took;
        }
        self.stash.clear();
        self.way = None;
        Reader::Gone
    }

    fn release(&mut self) {
        if self.finished && self.stash.is_empty() {
            self.way = None;
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

    fn way(events: mpsc::Sender<Result<Event, Error>>, window: Option<u64>) -> Way {
        Way { events, read: None, window }
    }

    #[tokio::test]
    async fn push_full_is_kept_and_delivered_in_order_before_the_end() {
        let (events, mut reader) = mpsc::channel(1);
        let mut outlet = Outlet::default();
        outlet.open(way(events, None));
        for n in 1..=3 {
            outlet.push(error(n));
        }
        outlet.finish();
        assert!(outlet.is_full());
        assert_eq!(number(reader.recv().await), Some(1));
        assert_eq!(outlet.changed().await, Reader::Took);
        assert_eq!(number(reader.recv().await), Some(2));
        assert_eq!(outlet.changed().await, Reader::Took);
        assert_eq!(number(reader.recv().await), Some(3));
        assert!(reader.recv().await.is_none());
    }

    #[tokio::test]
    async fn reader_dropped_is_reported() {
        let (events, reader) = mpsc::channel(1);
        let mut outlet = Outlet::default();
        outlet.open(way(events, None));
        outlet.push(error(1));
        outlet.push(error(2));
        drop(reader);
        assert_eq!(outlet.changed().await, Reader::Gone);
        assert!(!outlet.is_full());
    }

    #[tokio::test]
    async fn stash_of_a_window_is_full_only_beyond_it() {
        let (events, _reader) = mpsc::channel(1);
        let mut outlet = Outlet::default();
        outlet.open(way(events, Some(10)));
        let room = 1 + 10 + OTHERS as u64;
        for n in 1..=room {
            assert!(!outlet.is_full(), "{n}");
            outlet.push(error(n));
        }
        assert!(!outlet.is_full());
        outlet.push(error(room + 1));
        assert!(outlet.is_full());
    }

    #[tokio::test]
    async fn signal_without_room_is_dropped_and_nothing_else_is() {
        let (events, mut reader) = mpsc::channel(1);
        let mut outlet = Outlet::default();
        outlet.open(way(events, None));
        let signal = || {
            let data = roomkeeper_protocol::Data::json_string("typing");
            Ok(Event::Signal { from: "ann".parse().unwrap(), data })
        };
        assert!(outlet.push(signal()));
        assert!(!outlet.push(signal()));
        assert!(outlet.push(error(1)));
        assert!(matches!(reader.recv().await, Some(Ok(Event::Signal { .. }))));
        assert_eq!(outlet.changed().await, Reader::Took);
        assert_eq!(number(reader.recv().await), Some(1));
    }

    #[tokio::test]
    async fn reading_is_reported_without_anything_stashed() {
        let (events, reader) = mpsc::channel(1);
        let (tell, read) = watch::channel(Offset(0));
        let mut outlet = Outlet::default();
        outlet.open(Way { events, read: Some(read), window: Some(1) });
        tell.send_replace(Offset(3));
        assert_eq!(outlet.changed().await, Reader::Read(Offset(3)));
        drop((tell, reader));
        assert_eq!(outlet.changed().await, Reader::Gone);
    }
}
