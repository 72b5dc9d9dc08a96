//! Rooms that are not where their name hashes to.
//!
//! A name's hash shard is its authority: it holds the room, or a forward to the shard that does. A forward is made
//! once, before its room, and stays for ever. So what any copy of the hash shard says of a forward is true however
//! old the copy is, and only "there is none" has to be asked of the shard's owner.

use std::time::{Duration, Instant};

use roomkeeper_room::row::NameRow;
use roomkeeper_room::{Command, Forward, Outcome, Refusal, RowsError, read};
use roomkeeper_types::{RoomName, ShardId};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::node::{Node, Shared};
use crate::peer::{Answer, Request};
use crate::router::Route;
use crate::shard::{Ownership, SubmitError};

/// A node that owns the shard answers at once, or after a commit.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two questions: the one who answers "not me" has not heard of the next owner yet.
const PAUSE: Duration = Duration::from_millis(50);

/// A question for the owner of a name's hash shard: which shard holds the room of this name, or would hold it?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inquiry {
    pub(crate) room: RoomName,
    /// Unless that is settled, the name is to be put on a shard with little to do.
    pub(crate) place: bool,
}

/// Nobody said where a room is. Asking again is safe.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LocateError {
    /// The name's hash shard has no owner.
    #[error("{0}, which knows where the room is, has no owner at the moment")]
    NoOwner(ShardId),
    /// Its owner gave no answer.
    #[error("the owner of {shard}, which knows where the room is, gave no answer: {why}")]
    Unanswered {
        /// The hash shard.
        shard: ShardId,
        /// What happened.
        why: String,
    },
}

impl Node {
    /// The shard that holds the room of this name, or would hold it, by the word of the owner of the name's hash shard,
    /// which is waited for until `deadline`.
    ///
    /// # Errors
    /// [`LocateError`].
    pub async fn locate(&self, room: &RoomName, deadline: Instant) -> Result<ShardId, LocateError> {
        self.inquire(Inquiry { room: room.clone(), place: false }, deadline).await
    }

    /// Puts a name to which no room belongs so far on a shard with little to do ([`Node::least_loaded_shard`]), for
    /// ever. Returns the shard that holds the name's room, or would hold it: the one that it was put on, now or before,
    /// or its hash shard, because that has little to do or holds the room already.
    ///
    /// # Errors
    /// [`LocateError`]; the name may have been put somewhere.
    pub async fn place(&self, room: &RoomName, deadline: Instant) -> Result<ShardId, LocateError> {
        self.inquire(Inquiry { room: room.clone(), place: true }, deadline).await
    }

    async fn inquire(&self, inquiry: Inquiry, deadline: Instant) -> Result<ShardId, LocateError> {
        let shard = self.shard_of(&inquiry.room);
        let request = Request::Locate(inquiry.clone()).encode();
        loop {
            let why = match self.wait_route(shard, None, deadline).await {
                Route::Owned(ownership) => match self.shared.inquire_here(&ownership, &inquiry).await {
                    Ok(found) => return Ok(found),
                    Err(error) => error.to_string(),
                },
                Route::Elsewhere(owner) => {
                    let left = deadline.saturating_duration_since(Instant::now()).min(ASK_TIMEOUT);
                    let answer = self.shared.consensus.ask(owner.node, request.clone(), left).await;
                    match answer.map(|bytes| Answer::decode(&bytes)) {
                        Ok(Ok(Answer::Located(found))) => return Ok(found),
                        Ok(Ok(Answer::Later(why))) => why,
                        Ok(Ok(_)) => format!("{} answered something else", owner.node),
                        Ok(Err(error)) => error.to_string(),
                        Err(error) => error.to_string(),
                    }
                }
                Route::Electing { .. } => return Err(LocateError::NoOwner(shard)),
            };
            if Instant::now() + PAUSE >= deadline {
                return Err(LocateError::Unanswered { shard, why });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The owner does not know.
#[derive(Debug, thiserror::Error)]
enum UnknownHere {
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error("rows are unreadable: {0}")]
    Rows(#[from] RowsError),
    #[error("the log answered {0:?}")]
    Unexpected(Outcome),
}

impl Shared {
    /// Answers another node, as owner of the name's hash shard only.
    pub(crate) async fn answer_inquiry(&self, inquiry: &Inquiry) -> Answer {
        let shard = inquiry.room.hash_shard(self.identity.shards);
        let Some(held) = self.table.known(shard).held else {
            return Answer::Later(format!("{} does not own {shard}", self.identity.node));
        };
        match self.inquire_here(&held, inquiry).await {
            Ok(found) => Answer::Located(found),
            Err(error) => Answer::Later(error.to_string()),
        }
    }

    async fn inquire_here(&self, held: &Ownership, inquiry: &Inquiry) -> Result<ShardId, UnknownHere> {
        let (here, room) = (held.shard(), &inquiry.room);
        if let Some(settled) = find(held, room).await? {
            return Ok(settled);
        }
        if !inquiry.place {
            return Ok(here);
        }
        let Some(to) = self.least_loaded_shard().filter(|shard| *shard != here) else { return Ok(here) };
        let (done, outcome) = oneshot::channel();
        let command = Command::Forward(Forward { room: room.clone(), to });
        // Nobody may wait any more: the forward is made all the same.
        held.submit(command, Box::new(move |outcome| drop(done.send(outcome)))).await;
        let dropped = |_| SubmitError::Unknown("it was dropped".to_owned());
        match outcome.await.map_err(dropped)?? {
            Outcome::Forwarded { to } => Ok(to),
            Outcome::Refused(Refusal::AlreadyExists) => Ok(here),
            other => Err(UnknownHere::Unexpected(other)),
        }
    }
}

/// The shard that is known to hold the room: the shard itself if it is there, or the one that it is forwarded to.
async fn find(held: &Ownership, room: &RoomName) -> Result<Option<ShardId>, UnknownHere> {
    let rows = held.read().await?.view();
    Ok(read::name_row(&rows, room)?.map(|row| match row {
        NameRow::Life(_) => held.shard(),
        NameRow::Forward { shard, .. } => shard,
    }))
}
