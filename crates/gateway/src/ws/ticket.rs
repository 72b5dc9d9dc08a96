//! A command under way, which gets exactly one reply.

use std::sync::Arc;
use std::time::Instant;

use roomkeeper_protocol::{CommandId, CommandKind, Error, ErrorCode, Reply};
use roomkeeper_types::{ConsumerId, RoomName};
use tokio::sync::OwnedSemaphorePermit;

use super::conn::{Conn, Outgoing};
use super::credit::Grant;
use crate::metrics::Asked;

/// The duty to answer one command once. Dropped unanswered it answers `unavailable`, so that whatever
/// happens to a command its client hears of it.
pub(crate) struct Ticket {
    id: CommandId,
    /// Which command; `None`: the frame was none.
    kind: Option<CommandKind>,
    taken: Instant,
    conn: Arc<Conn>,
    permit: Option<OwnedSemaphorePermit>,
    answered: bool,
    /// Whose cursor a commit moves, and in which room: what it comes to is credit.
    commits: Option<(RoomName, ConsumerId)>,
}

impl Ticket {
    pub(crate) fn new(
        id: CommandId,
        (kind, taken): (Option<CommandKind>, Instant),
        conn: Arc<Conn>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self { id, kind, taken, conn, permit, answered: false, commits: None }
    }

    /// The command moves a cursor, by which the client's credit goes.
    pub(crate) fn note_commit(&mut self, room: RoomName, consumer: ConsumerId) {
        self.commits = Some((room, consumer));
    }

    pub(crate) fn answer(mut self, result: Result<Reply, Error>) {
        self.send(result);
    }

    fn send(&mut self, result: Result<Reply, Error>) {
        self.answered = true;
        let metrics = &self.conn.edge.metrics;
        let asked = self.kind.map_or(Asked::Unreadable, Asked::Command);
        metrics.answered(asked, result.as_ref().err());
        if self.kind == Some(CommandKind::Publish) {
            metrics.publish_duration.observe(self.taken.elapsed());
        }
        if self.id == 0 && result.is_ok() {
            // A heartbeat in its short form, which wants no reply.
            if let Some(permit) = self.permit.take() {
                self.conn.send(Outgoing::Done(permit));
            }
            return;
        }
        let granted = match (self.commits.take(), &result) {
            (Some((room, consumer)), Ok(Reply::Commit(ok))) => {
                Some(Outgoing::Grant(room, Grant::Committed(consumer, ok.committed)))
            }
            _ => None,
        };
        self.conn.send(Outgoing::Reply(self.id, Box::new(result), self.permit.take()));
        // Behind the reply, as are the messages that it lets through.
        if let Some(granted) = granted {
            self.conn.send(granted);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.answered {
            self.send(Err(Error::new(ErrorCode::Unavailable, "the command was given up; send it again")));
        }
    }
}
