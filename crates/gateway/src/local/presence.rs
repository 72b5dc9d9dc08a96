//! Who is in a room.

use std::time::{Duration, Instant};

use roomkeeper_protocol::{Error, ErrorCode, PresenceOk};
use roomkeeper_room::read::RoomInfo;
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::LifeId;

use super::LocalRoom;
use crate::clock::now;
use crate::host::Owned;
use crate::hub::Counting;

/// What three times in whole milliseconds may be off together.
const ROUNDED_MS: u64 = 3;

/// Under which ownership a room's members are counted, and until when those may come back whom a former owner knew.
pub(crate) fn counting(owned: &Owned, info: &RoomInfo, settling: Duration) -> Counting {
    let begun = owned.begun();
    // A room of this very ownership had no members before it.
    let age_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(ROUNDED_MS);
    let is_older = info.created.millis() < now().millis().saturating_sub(age_ms);
    let is_older = is_older && !sabotage::is(Bug::LeftAtOnce);
    let settles_at = Some(begun + settling).filter(|at| is_older && Instant::now() < *at);
    Counting { epoch: owned.epoch(), settles_at }
}

impl LocalRoom {
    /// Under which ownership the room's members are counted.
    pub(crate) fn counting(&self, info: &RoomInfo) -> Counting {
        counting(&self.owned, info, self.edge.config.presence_settling)
    }

    /// How many members the room has. `None`: it has no presence, or that is not known yet.
    pub(crate) fn member_count(&self, info: &RoomInfo) -> Option<u64> {
        let count = || self.edge.hub.member_count(info.life, self.counting(info));
        info.options.presence.then(count).flatten()
    }

    /// All members of the room, by user and device; none where it has no presence.
    ///
    /// # Errors
    /// `not_found`, `recreated`; `unavailable`, also while members of a room that has a new owner may still be on
    /// their way back.
    pub(crate) async fn presence(&self, life: Option<LifeId>) -> Result<PresenceOk, Error> {
        let info = self.info(life).await?;
        if !info.options.presence {
            return Ok(PresenceOk { members: Vec::new() });
        }
        let members = self.edge.hub.members(info.life, self.counting(&info)).ok_or_else(|| {
            let text = "the room has a new owner, whom its members are just coming back to; try again";
            Error::new(ErrorCode::Unavailable, text)
        })?;
        Ok(PresenceOk { members })
    }
}
