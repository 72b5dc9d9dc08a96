//! Acks per room, for whoever waits for progress, and how a client's answer is noted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use roomkeeper_client::Error;
use roomkeeper_protocol::PublishOk;
use roomkeeper_types::RoomName;

use crate::history::{Event, Id};

/// Publishes acked, by room.
#[derive(Debug)]
pub(super) struct Tally(HashMap<RoomName, AtomicU64>);

impl Tally {
    pub(super) fn new(rooms: &[RoomName]) -> Self {
        Self(rooms.iter().map(|room| (room.clone(), AtomicU64::new(0))).collect())
    }

    pub(super) fn acks(&self, room: &RoomName) -> Option<u64> {
        self.0.get(room).map(|acks| acks.load(Ordering::Relaxed))
    }

    pub(super) fn acked(&self, room: &RoomName) {
        if let Some(acks) = self.0.get(room) {
            acks.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How something else that was asked ended without success.
pub(super) fn refused(op: Id, error: &Error) -> Event {
    match error.code().filter(|code| !code.is_unknown()) {
        Some(code) => Event::OpFail { op, code: code.name().to_owned(), why: error.to_string() },
        None => Event::OpInfo { op, why: error.to_string() },
    }
}

/// How a publish ended, as an event. Only what the server itself said no to counts as refused.
pub(super) fn ended(op: Id, result: Result<PublishOk, Error>) -> Event {
    match result {
        Ok(PublishOk { epoch, offsets, duplicates, .. }) => Event::SendOk { op, epoch, offsets, duplicates },
        Err(error) if !error.is_unknown() && error.code().is_some() => {
            Event::SendFail { op, why: error.to_string() }
        }
        Err(error) => Event::SendInfo { op, why: error.to_string() },
    }
}
