//! Who is in a room.

use roomkeeper_protocol::{Error, ErrorCode, PresenceOk};
use roomkeeper_types::LifeId;

use super::LocalRoom;

impl LocalRoom {
    /// All members of the room, by user and device; none where it has no presence.
    ///
    /// # Errors
    /// `not_found`, `recreated`; `unavailable`, also while members of a room that has a new owner may still be on
    /// their way back.
    pub(crate) async fn presence(&self, life: Option<LifeId>) -> Result<PresenceOk, Error> {
        let info = self.info(life).await?;
        let members = self.edge.hub.members(info.life).ok_or_else(|| {
            let text = "the room has a new owner, whom its members are just coming back to; try again";
            Error::new(ErrorCode::Unavailable, text)
        })?;
        Ok(PresenceOk { members })
    }
}
