//! The one room of a fake cluster: its log, cursors, holds and members, kept in memory. Who owns it and who is
//! connected is none of its business.

use std::collections::{BTreeMap, HashMap};

use roomkeeper_client::protocol::{
    CommitOk, Error, ErrorCode, HoldOk, Item, Member, NewMessage, PresencePush, Publish, PublishOk, Push,
};
use roomkeeper_client::types::{ConsumerId, Epoch, MessageId, Offset, Timestamp};

use super::{room, user};

/// See the module.
#[derive(Default)]
pub(super) struct FakeRoom {
    pub(super) items: Vec<Item>,
    known: HashMap<MessageId, Offset>,
    cursors: BTreeMap<ConsumerId, Offset>,
    holds: Vec<Vec<NewMessage>>,
    dropped: Vec<Vec<MessageId>>,
    /// Who is there, each with the number of its connection.
    members: Vec<(u64, Member)>,
}

fn stored(message: &NewMessage, offset: Offset) -> Item {
    Item {
        offset,
        epoch: Epoch(1),
        id: message.id,
        from: user(),
        time: Timestamp(1),
        sent: message.sent,
        data: message.data.clone(),
    }
}

fn ids(messages: &[NewMessage]) -> Vec<MessageId> {
    messages.iter().map(|message| message.id).collect()
}

impl FakeRoom {
    /// The offset of the next message.
    pub(super) fn next(&self) -> Offset {
        Offset(self.items.len() as u64 + 1)
    }

    /// Stores messages that are not known yet.
    pub(super) fn publish(&mut self, messages: &[NewMessage]) -> PublishOk {
        let duplicates = messages.iter().map(|message| self.known.contains_key(&message.id)).collect();
        let offsets = messages.iter().map(|message| self.append(message)).collect();
        PublishOk { epoch: Epoch(1), offsets, duplicates, held: false, expires: None }
    }

    fn append(&mut self, message: &NewMessage) -> Offset {
        if let Some(offset) = self.known.get(&message.id) {
            return *offset;
        }
        let offset = self.next();
        self.known.insert(message.id, offset);
        self.items.push(stored(message, offset));
        offset
    }

    /// Keeps messages without offsets; the push is for those who want to know.
    pub(super) fn hold(&mut self, publish: &Publish) -> (PublishOk, Push) {
        let count = publish.messages.len();
        let expires = Timestamp(publish.hold_ms.unwrap_or_default());
        if !self.holds.contains(&publish.messages) {
            self.holds.push(publish.messages.clone());
        }
        let (offsets, duplicates) = (Vec::new(), vec![false; count]);
        let ok = PublishOk { epoch: Epoch(1), offsets, duplicates, held: true, expires: Some(expires) };
        (ok, held(&publish.messages, expires))
    }

    /// What tells a new reader of all open holds.
    pub(super) fn open_holds(&self) -> Vec<Push> {
        self.holds.iter().map(|messages| held(messages, Timestamp(1))).collect()
    }

    /// Appends a hold; doing so again answers the same.
    pub(super) fn confirm(&mut self, wanted: &[MessageId]) -> Result<HoldOk, Error> {
        if let Some(place) = self.holds.iter().position(|messages| ids(messages) == wanted) {
            let messages = self.holds.remove(place);
            for message in &messages {
                self.append(message);
            }
        }
        if self.dropped.iter().any(|dropped| dropped == wanted) {
            return Err(Error::new(ErrorCode::Gone, "it was dropped"));
        }
        let offsets: Option<Vec<Offset>> = wanted.iter().map(|id| self.known.get(id).copied()).collect();
        offsets
            .map(|offsets| HoldOk { offsets })
            .ok_or_else(|| Error::new(ErrorCode::NotFound, "no such hold"))
    }

    /// Drops a hold; the push is for those who were told of it.
    pub(super) fn rollback(&mut self, wanted: &[MessageId]) -> Result<Push, Error> {
        if wanted.iter().any(|id| self.known.contains_key(id)) {
            return Err(Error::new(ErrorCode::TooLate, "it was confirmed"));
        }
        self.holds.retain(|messages| ids(messages) != wanted);
        self.dropped.push(wanted.to_vec());
        Ok(Push::RolledBack { room: room(), ids: wanted.to_vec() })
    }

    /// A consumer's cursor.
    pub(super) fn cursor(&self, consumer: &ConsumerId) -> Offset {
        self.cursors.get(consumer).copied().unwrap_or_default()
    }

    /// Moves a cursor, never back.
    pub(super) fn commit(&mut self, consumer: &ConsumerId, offset: Offset) -> Result<CommitOk, Error> {
        if offset >= self.next() {
            return Err(Error::bad_request("offset: there is no such message"));
        }
        let committed = self.cursor(consumer).max(offset);
        self.cursors.insert(consumer.clone(), committed);
        Ok(CommitOk { committed })
    }

    /// A connection's member comes.
    pub(super) fn enter(&mut self, connection: u64, member: Member) -> Push {
        self.members.push((connection, member.clone()));
        self.presence(vec![member], Vec::new())
    }

    /// It goes, if it was there.
    pub(super) fn exit(&mut self, connection: u64) -> Option<Push> {
        let place = self.members.iter().position(|(of, _)| *of == connection)?;
        let (_, member) = self.members.remove(place);
        Some(self.presence(Vec::new(), vec![member]))
    }

    /// Who is there.
    pub(super) fn members(&self) -> Vec<Member> {
        self.members.iter().map(|(_, member)| member.clone()).collect()
    }

    fn presence(&self, joined: Vec<Member>, left: Vec<Member>) -> Push {
        let count = self.members.len() as u64;
        Push::Presence(PresencePush { room: room(), joined, left, count, settled: true, members: None })
    }
}

fn held(messages: &[NewMessage], expires: Timestamp) -> Push {
    let items = messages.iter().map(|message| stored(message, Offset(0))).collect();
    Push::Held { room: room(), items, expires }
}
