//! What a token grants.

use serde::{Deserialize, Serialize};

use crate::{Actions, RoomPattern};

/// Some actions on some rooms: `{"rooms": "chat.*", "actions": ["publish", "subscribe"]}` in a token. Members that
/// are not known are ignored, except that they never grant anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Which rooms.
    pub rooms: RoomPattern,
    /// What may be done with them.
    pub actions: Actions,
}
