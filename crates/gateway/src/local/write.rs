//! Changing a room: commands that go through the shard's log.

use roomkeeper_auth::{Action, Identity};
use roomkeeper_protocol::{self as protocol, CreateOk, Data, Error, ErrorCode, Publish, PublishOk};
use roomkeeper_room::read::RoomInfo;
use roomkeeper_room::{Command, Outcome, Payload, PayloadKind, RoomOptions};
use roomkeeper_room::{Create as CreateEntry, Delete as DeleteEntry};
use roomkeeper_room::{Hold as HoldEntry, NewMessage as NewEntry, Publish as PublishEntry};
use roomkeeper_types::LifeId;
use tokio::sync::oneshot;

use super::LocalRoom;
use crate::failure;
use crate::host::SubmitError;

impl LocalRoom {
    /// Creates the room.
    ///
    /// # Errors
    /// `already_exists`; `unavailable`, …
    pub(crate) async fn create(&self, options: &protocol::RoomOptions) -> Result<CreateOk, Error> {
        let life = self.create_entry(true, self.edge.config.room_defaults.with(options)).await?;
        let owner = self.edge.host.identity().node;
        Ok(CreateOk { owner, epoch: self.owned.epoch(), life })
    }

    /// Deletes the room and all its messages.
    ///
    /// # Errors
    /// `not_found`, `recreated`; `unavailable`, …
    pub(crate) async fn delete(&self, life: Option<LifeId>) -> Result<(), Error> {
        match self.submit(Command::Delete(DeleteEntry { room: self.name.clone(), life })).await? {
            Outcome::Deleted { .. } => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Whether whoever joins or publishes to the room first creates it.
    pub(crate) fn may_be_created_by(&self, identity: &Identity) -> bool {
        self.edge.config.auto_create && identity.allows(Action::Create, &self.name)
    }

    /// Publishes, and waits for the outcome.
    ///
    /// # Errors
    /// As the command `publish`.
    pub(crate) async fn publish(&self, identity: &Identity, publish: Publish) -> Result<PublishOk, Error> {
        let life = publish.room.life;
        let timeout = publish.timeout_ms;
        let count = publish.messages.len();
        let command = self.publish_command(life, identity, publish);
        self.published(self.submit_within(command, timeout).await, count)
    }

    /// The room, for somebody who joins it: created if it is not there and may be. Never when the joiner
    /// names a life: that one is over, and a new one is not what it means.
    ///
    /// # Errors
    /// `not_found`, `recreated`; `unavailable`, …
    pub(crate) async fn open(&self, identity: &Identity, life: Option<LifeId>) -> Result<RoomInfo, Error> {
        if let Some(info) = self.find(life).await? {
            return Ok(info);
        }
        if life.is_some() || !self.may_be_created_by(identity) {
            return Err(failure::not_found(&self.name));
        }
        self.create_entry(false, self.edge.config.room_defaults.into()).await?;
        // What this node applied it sees. Deleted again since: then so be it.
        self.find_in(&self.owned.view(), None)?.ok_or_else(|| failure::not_found(&self.name))
    }

    async fn create_entry(&self, exclusive: bool, options: RoomOptions) -> Result<LifeId, Error> {
        let (room, placed) = (self.name.clone(), self.is_placed());
        let create = CreateEntry { room, exclusive, options, placed };
        match self.submit(Command::Create(create)).await? {
            Outcome::Created { life, .. } => Ok(life),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn submit(&self, command: Command) -> Result<Outcome, Error> {
        match self.submit_within(command, None).await {
            Ok(Outcome::Refused(refusal)) => Err(self.refused(&refusal)),
            other => other,
        }
    }

    async fn submit_within(&self, command: Command, timeout_ms: Option<u64>) -> Result<Outcome, Error> {
        let timeout = timeout_ms.map_or(self.edge.config.command_timeout, std::time::Duration::from_millis);
        let (done, outcome) = oneshot::channel();
        let ended = async {
            // Nobody waits any more after a time-out; the outcome is then unknown to the client, as it was told.
            self.owned.submit(command, Box::new(move |outcome| drop(done.send(outcome)))).await;
            outcome.await
        };
        match tokio::time::timeout(timeout, ended).await {
            Ok(Ok(outcome)) => outcome.map_err(|error| failure::unsubmitted(&error)),
            Ok(Err(_)) => Err(failure::unsubmitted(&SubmitError::Unknown("it was dropped".to_owned()))),
            Err(_) => Err(failure::timed_out()),
        }
    }

    /// The log's form of a publish. `life` is the one it is bound to, by its own word or by a join.
    pub(crate) fn publish_command(
        &self,
        life: Option<LifeId>,
        identity: &Identity,
        publish: Publish,
    ) -> Command {
        let messages = publish.messages.into_iter().map(|message| {
            let (kind, bytes) = match message.data {
                Data::Json(bytes) => (PayloadKind::Json, bytes),
                Data::Binary(bytes) => (PayloadKind::Binary, bytes),
            };
            NewEntry { id: message.id, sent: message.sent, payload: Payload { kind, bytes } }
        });
        let (room, from, messages) = (self.name.clone(), identity.user().clone(), messages.collect());
        // Also where the room is known to be there: it may be deleted before this is applied.
        let creates = life.is_none() && self.may_be_created_by(identity);
        let create = creates.then(|| self.edge.config.room_defaults.into());
        let placed = self.is_placed();
        match publish.hold_ms {
            Some(hold_ms) => Command::Hold(HoldEntry { room, life, from, messages, hold_ms, create, placed }),
            None => {
                let expect = publish.expect;
                Command::Publish(PublishEntry { room, life, from, messages, expect, create, placed })
            }
        }
    }

    /// The reply to a publish of so many messages of that outcome, which is counted.
    pub(crate) fn published(
        &self,
        outcome: Result<Outcome, Error>,
        messages: usize,
    ) -> Result<PublishOk, Error> {
        let ok = match outcome? {
            Outcome::Published { epoch, offsets, duplicates, .. } => {
                PublishOk { epoch, offsets, duplicates, held: false, expires: None }
            }
            Outcome::Held { epoch, expires, duplicate, .. } => PublishOk {
                epoch,
                offsets: Vec::new(),
                duplicates: vec![duplicate; messages],
                held: true,
                expires: Some(expires),
            },
            Outcome::Refused(refusal) => return Err(self.refused(&refusal)),
            other => return Err(unexpected(&other)),
        };
        self.edge.metrics.published(&ok);
        Ok(ok)
    }
}

/// The outcome of another command.
pub(super) fn unexpected(outcome: &Outcome) -> Error {
    tracing::error!(?outcome, "a command had the outcome of another one");
    Error::new(ErrorCode::Internal, "the server mixed up the outcomes of two commands")
}
