//! The ways by which a client may be in a room: what it sees is the same by all of them.

use serde_json::{Value, json};

use super::{Client, Served};

/// A client's way to a room that the first of two nodes owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// A socket bound to the room.
    Room,
    /// The same through a node that does not own it.
    ProxiedRoom,
    /// A socket for many rooms.
    Session,
    /// The same at a node that does not own the room.
    FarSession,
    /// The same by protobuf.
    FarProto,
}

impl Way {
    pub(crate) const ALL: [Self; 5] =
        [Self::Room, Self::ProxiedRoom, Self::Session, Self::FarSession, Self::FarProto];

    /// A socket of this user.
    pub(crate) async fn open(self, owner: &Served, other: &Served, room: &str, user: &str) -> Client {
        let proxied = format!("/v1/rooms/{room}/ws?route=proxy");
        let mut client = match self {
            Self::Room => owner.room(room).await,
            Self::ProxiedRoom => other.client(&proxied).await,
            Self::Session => owner.client("/v1/ws").await,
            Self::FarSession => other.client("/v1/ws").await,
            Self::FarProto => Client::open_proto(&other.url, "/v1/ws").await,
        };
        client.ok("hello", json!({ "user": user })).await;
        client
    }

    /// The same, joined with these fields besides the room.
    pub(crate) async fn join(
        self,
        (owner, other): (&Served, &Served),
        room: &str,
        user: &str,
        mut fields: Value,
    ) -> (Client, Value) {
        let mut client = self.open(owner, other, room, user).await;
        fields["room"] = room.into();
        let ok = client.ok("join", fields).await;
        (client, ok)
    }
}
