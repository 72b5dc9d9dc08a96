//! Ids and positions of Roomkeeper as newtypes.
//!
//! Two planes, and no arithmetic between them: the consensus plane counts in [`Epoch`] and [`LogIndex`]
//! per shard, the room plane in [`Offset`] per room.

mod ids;
mod name;
mod position;
mod token;

pub use ids::{ClusterId, LifeId, MessageId, NodeId, ParseIdError, ReplicaId, ShardCount, ShardId};
pub use name::{ConsumerId, NameError, RoomName, UserId};
pub use position::{Epoch, LogIndex, LogPosition, Offset, Timestamp};
pub use token::Token;
