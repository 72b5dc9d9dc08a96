//! What a client asks over plain HTTP.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use roomkeeper_protocol::{
    Command, CommandKind, Commit, Create, CreateOk, ErrorCode, HoldOk, HoldRef, Member, NewMessage,
    Placement, Publish, PublishOk, Reply, RoomOptions, RoomRef, Rooms, RoomsOk, decode_reply_json,
    encode_command_json,
};
use roomkeeper_types::{ConsumerId, MessageId, Offset, RoomName};

use crate::http::{at, json, unreadable};
use crate::room::{millis, wrong_reply};
use crate::targets::parse_base;
use crate::{Client, ClusterMap, Error, LocalCopy, RoomInfo};

impl Client {
    /// A page of the list of rooms.
    ///
    /// # Errors
    /// [`Error::Deadline`], the server's definite no.
    pub async fn rooms(&self, query: &Rooms) -> Result<RoomsOk, Error> {
        let mut pairs = Vec::new();
        if let Some(prefix) = &query.prefix {
            pairs.push(("prefix", prefix.clone()));
        }
        if let Some(after) = &query.after {
            pairs.push(("after", after.clone()));
        }
        for (name, number) in [("limit", query.limit), ("page", query.page)] {
            if let Some(number) = number {
                pairs.push((name, number.to_string()));
            }
        }
        let (url, body) = self.get_any("/v1/rooms", &pairs).await?;
        match decode_reply_json(CommandKind::Rooms, &body) {
            Ok(Reply::Rooms(rooms)) => Ok(rooms),
            Ok(_) => Err(unreadable(&url, "not a list of rooms")),
            Err(error) => Err(unreadable(&url, error)),
        }
    }

    /// A room's owner, replicas and offsets, as its owner says.
    ///
    /// # Errors
    /// `not_found`, [`Error::Deadline`].
    pub async fn room_info(&self, room: &RoomName) -> Result<RoomInfo, Error> {
        let (url, body) = self.get_any(&format!("/v1/rooms/{room}"), &[]).await?;
        json(&url, &body)
    }

    /// Creates a room. Options left out are the cluster's.
    ///
    /// # Errors
    /// As [`Room::create`](crate::Room::create).
    pub async fn create_room(
        &self,
        room: &RoomName,
        options: RoomOptions,
        placement: Option<Placement>,
    ) -> Result<CreateOk, Error> {
        let create = Command::Create(Create { room: None, options, placement });
        match self.command(Method::PUT, room, "", &create).await? {
            Reply::Create(ok) => Ok(ok),
            other => Err(wrong_reply("create", &other)),
        }
    }

    /// Deletes a room and all its messages.
    ///
    /// # Errors
    /// As [`Room::delete`](crate::Room::delete).
    pub async fn delete_room(&self, room: &RoomName) -> Result<(), Error> {
        match self.command(Method::DELETE, room, "", &Command::Delete(RoomRef::default())).await? {
            Reply::Delete => Ok(()),
            other => Err(wrong_reply("delete", &other)),
        }
    }

    /// Who is in a room, one for each user and device.
    ///
    /// # Errors
    /// As [`Room::presence`](crate::Room::presence).
    pub async fn presence(&self, room: &RoomName) -> Result<Vec<Member>, Error> {
        let (url, body) = self.get_any(&format!("/v1/rooms/{room}/presence"), &[]).await?;
        match decode_reply_json(CommandKind::Presence, &body) {
            Ok(Reply::Presence(ok)) => Ok(ok.members),
            Ok(other) => Err(wrong_reply("presence", &other)),
            Err(error) => Err(unreadable(&url, error)),
        }
    }

    /// Moves a consumer's durable cursor, and returns it; offset 0 only returns it.
    ///
    /// # Errors
    /// As [`Room::commit`](crate::Room::commit).
    pub async fn commit(
        &self,
        room: &RoomName,
        consumer: ConsumerId,
        offset: Offset,
    ) -> Result<Offset, Error> {
        let commit = Command::Commit(Commit { room: RoomRef::default(), consumer, offset });
        match self.command(Method::POST, room, "/cursors", &commit).await? {
            Reply::Commit(ok) => Ok(ok.committed),
            other => Err(wrong_reply("commit", &other)),
        }
    }

    /// Stores messages without offsets, to be confirmed or rolled back.
    ///
    /// # Errors
    /// As [`Room::hold`](crate::Room::hold).
    pub async fn hold(
        &self,
        room: &RoomName,
        messages: Vec<NewMessage>,
        time: Duration,
    ) -> Result<PublishOk, Error> {
        let (room_ref, hold_ms) = (RoomRef::default(), Some(millis(time)));
        let publish =
            Command::Publish(Publish { room: room_ref, messages, expect: None, hold_ms, timeout_ms: None });
        match self.command(Method::POST, room, "/messages", &publish).await? {
            Reply::Publish(ok) => Ok(ok),
            other => Err(wrong_reply("publish", &other)),
        }
    }

    /// Appends what was held, in one piece.
    ///
    /// # Errors
    /// As [`Room::confirm`](crate::Room::confirm).
    pub async fn confirm(&self, room: &RoomName, ids: Vec<MessageId>) -> Result<HoldOk, Error> {
        let confirm = Command::Confirm(HoldRef { room: RoomRef::default(), ids });
        match self.command(Method::POST, room, "/confirm", &confirm).await? {
            Reply::Confirm(ok) => Ok(ok),
            other => Err(wrong_reply("confirm", &other)),
        }
    }

    /// Drops what was held.
    ///
    /// # Errors
    /// As [`Room::rollback`](crate::Room::rollback).
    pub async fn rollback(&self, room: &RoomName, ids: Vec<MessageId>) -> Result<(), Error> {
        let rollback = Command::Rollback(HoldRef { room: RoomRef::default(), ids });
        match self.command(Method::POST, room, "/rollback", &rollback).await? {
            Reply::Rollback => Ok(()),
            other => Err(wrong_reply("rollback", &other)),
        }
    }

    /// Nodes and shards, as the first seed that answers sees them.
    ///
    /// # Errors
    /// [`Error::Deadline`].
    pub async fn cluster_map(&self) -> Result<ClusterMap, Error> {
        let (url, body) = self.get_any("/v1/cluster", &[]).await?;
        json(&url, &body)
    }

    /// Nodes and shards, as that node sees them now.
    ///
    /// # Errors
    /// [`Error::Unreachable`] and the like: nothing is retried.
    pub async fn cluster_map_of(&self, node: &str) -> Result<ClusterMap, Error> {
        let url = at(&parse_base(node)?, "/v1/cluster", &[]);
        json(&url, &self.get(&url).await?)
    }

    /// Whether that node says it is ready, and what it says otherwise.
    ///
    /// # Errors
    /// [`Error::Refused`] with the node's words, [`Error::Unreachable`].
    pub async fn ready(&self, node: &str) -> Result<(), Error> {
        self.get(&at(&parse_base(node)?, "/readyz", &[])).await.map(drop)
    }

    /// That node's own copy of a room; `None` where the node has no replica of it.
    ///
    /// # Errors
    /// [`Error::Unreachable`] and the like: nothing is retried.
    pub async fn local_copy(&self, node: &str, room: &RoomName) -> Result<Option<LocalCopy>, Error> {
        let query = [("replica", "local".to_owned())];
        let url = at(&parse_base(node)?, &format!("/v1/rooms/{room}"), &query);
        match self.get(&url).await {
            Ok(body) => json(&url, &body).map(Some),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has a room's command carried out.
    async fn command(
        &self,
        method: Method,
        room: &RoomName,
        what: &str,
        command: &Command,
    ) -> Result<Reply, Error> {
        let body = if method == Method::DELETE { Bytes::new() } else { encode_command_json(command) };
        let (url, body) = self.send_any(method, &format!("/v1/rooms/{room}{what}"), &body).await?;
        decode_reply_json(command.kind(), &body).map_err(|error| unreadable(&url, error))
    }
}

fn is_not_found(error: &Error) -> bool {
    match error {
        Error::Server(error) => error.code == ErrorCode::NotFound,
        Error::Refused { status, .. } => *status == StatusCode::NOT_FOUND.as_u16(),
        _ => false,
    }
}
