//! Signals: to everybody who is subscribed at the moment, and stored nowhere.

use roomkeeper_protocol::{Error, Push, Signal};
use roomkeeper_types::UserId;

use super::LocalRoom;
use crate::failure;

impl LocalRoom {
    /// Hands a signal to the room's subscribers, the sender included if it is one. At most once: who is not
    /// there, or behind, misses it.
    ///
    /// # Errors
    /// `not_found`, `recreated`; `unavailable` where this node does not own the room any more.
    pub(crate) fn signal(&self, user: UserId, signal: Signal) -> Result<(), Error> {
        // What is applied here: a signal promises too little to ask a quorum for it.
        let info = self.find_in(&self.owned.view(), signal.room.life)?;
        let info = info.ok_or_else(|| failure::not_found(&self.name))?;
        if !self.owned.is_current() {
            return Err(failure::no_owner());
        }
        let push = Push::Signal { room: self.name.clone(), from: user, data: signal.data };
        self.edge.hub.tell(info.life, push);
        Ok(())
    }
}
