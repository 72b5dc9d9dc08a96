//! Holds: messages without offsets, until their sender says what becomes of them.

use roomkeeper_protocol::{Error, ErrorCode, HoldOk, HoldRef, Push};
use roomkeeper_room::{Command, HoldRef as HoldEntry, Outcome, read};
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::{LifeId, RoomName, UserId};

use super::LocalRoom;
use super::write::unexpected;
use crate::failure;
use crate::host::View;
use crate::hub::to_protocol;

/// Most open holds that a reader is shown. Each may be as large as a publish.
const OPEN_MAX: usize = 1_000;
/// Most bytes of data that those may have.
const OPEN_BYTES_MAX: usize = 4 << 20;

impl LocalRoom {
    /// Appends the messages of a hold.
    ///
    /// # Errors
    /// `not_found`, `recreated`, `conflict`, `forbidden`, `gone`; `unavailable`, …
    pub(crate) async fn confirm(&self, user: UserId, hold: HoldRef) -> Result<HoldOk, Error> {
        match self.submit(Command::Confirm(self.hold_entry(user, hold))).await? {
            Outcome::Confirmed { offsets, .. } => Ok(HoldOk { offsets }),
            other => Err(unexpected(&other)),
        }
    }

    /// Drops the messages of a hold.
    ///
    /// # Errors
    /// `not_found`, `recreated`, `conflict`, `forbidden`, `too_late`; `unavailable`, …
    pub(crate) async fn rollback(&self, user: UserId, hold: HoldRef) -> Result<(), Error> {
        if sabotage::is(Bug::RollbackNotDone) {
            return Ok(());
        }
        match self.submit(Command::Rollback(self.hold_entry(user, hold))).await? {
            Outcome::RolledBack { .. } => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn hold_entry(&self, from: UserId, hold: HoldRef) -> HoldEntry {
        HoldEntry { room: self.name.clone(), life: hold.room.life, from, ids: hold.ids }
    }
}

/// All open holds of a life, as pushes for a reader who sees them.
///
/// # Errors
/// `too_large`: they are more than one reader is shown; `internal`.
pub(crate) fn open_holds(view: &View, room: &RoomName, life: LifeId) -> Result<Vec<Push>, Error> {
    let open = read::holds(view, life, OPEN_MAX + 1).map_err(|error| failure::unreadable(&error))?;
    let items = open.iter().flat_map(|hold| &hold.items);
    let bytes: usize = items.map(|item| item.payload.bytes.len()).sum();
    if open.len() > OPEN_MAX || bytes > OPEN_BYTES_MAX {
        let text = format!(
            "room {room} has more than {OPEN_MAX} open holds, or {OPEN_BYTES_MAX} bytes of them: read it with \
             isolation committed"
        );
        return Err(Error::new(ErrorCode::TooLarge, text));
    }
    let held = open.into_iter().map(|hold| Push::Held {
        room: room.clone(),
        items: hold.items.into_iter().map(to_protocol).collect(),
        expires: hold.expires,
    });
    Ok(held.collect())
}
