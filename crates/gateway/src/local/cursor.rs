//! Cursors: how far a consumer has come.

use roomkeeper_protocol::{Commit, CommitOk, Error};
use roomkeeper_room::read::{self, RoomInfo};
use roomkeeper_room::{Command, Commit as CommitEntry, Outcome};
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::{ConsumerId, LifeId, Offset};

use super::LocalRoom;
use super::write::unexpected;
use crate::failure;
use crate::host::View;

/// How far a consumer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The last offset it has committed; 0: none yet.
    pub(crate) committed: Offset,
    /// Messages above it that the room keeps.
    pub(crate) unread: u64,
}

impl LocalRoom {
    /// Moves a consumer's cursor, which never goes back.
    ///
    /// # Errors
    /// `not_found`, `recreated`; `bad_request` beyond the last message; `unavailable`, …
    pub(crate) async fn commit(&self, commit: Commit) -> Result<CommitOk, Error> {
        let Commit { room, consumer, offset } = commit;
        if sabotage::is(Bug::CommitNotStored) && offset.get() % 3 == 1 {
            return Ok(CommitOk { committed: offset });
        }
        let entry = CommitEntry { room: self.name.clone(), life: room.life, consumer, offset };
        match self.submit(Command::Commit(entry)).await? {
            Outcome::Committed { offset, .. } => Ok(CommitOk { committed: offset }),
            other => Err(unexpected(&other)),
        }
    }

    /// A consumer's cursor, everything acked before the call included.
    ///
    /// # Errors
    /// `not_found`, `recreated`; `unavailable`, …
    pub(crate) async fn cursor(&self, life: Option<LifeId>, consumer: &ConsumerId) -> Result<Cursor, Error> {
        let view = self.current_view().await?;
        let info = self.find_in(&view, life)?.ok_or_else(|| failure::not_found(&self.name))?;
        cursor_in(&view, &info, consumer)
    }
}

/// The same in a view at hand: one get.
pub(crate) fn cursor_in(view: &View, info: &RoomInfo, consumer: &ConsumerId) -> Result<Cursor, Error> {
    let found = read::cursor(view, info.life, consumer).map_err(|error| failure::unreadable(&error))?;
    let committed = found.unwrap_or_default();
    let unread = info.next.get() - info.first.max(committed.next()).get().min(info.next.get());
    Ok(Cursor { committed, unread })
}
