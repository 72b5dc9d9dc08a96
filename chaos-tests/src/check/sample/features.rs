//! What only some clients do: cursors, holds, presence, guests.

use std::time::Duration;

use roomkeeper_types::{ConsumerId, Epoch, MessageId, NodeId, Offset};

use super::{Story, offsets, room};
use crate::history::access::{GuestAsked, GuestEnd, GuestIn, GuestTold};
use crate::history::cursors::{CommitInvoke, Following};
use crate::history::event::{Content, Event, Id, Place};
use crate::history::holds::{HoldInvoke, HoldOk, SettleInvoke, Word};
use crate::history::presence::{Company, MemberJoin};

fn consumer() -> ConsumerId {
    "worker".parse().unwrap()
}

fn contents(numbers: &[u8]) -> Vec<Content> {
    numbers.iter().map(|n| Content { id: MessageId([*n; 16]), hash: u64::from(*n) }).collect()
}

fn names(names: &str) -> Vec<String> {
    names.split_whitespace().map(str::to_owned).collect()
}

impl Story {
    /// A publish that must get that offset.
    pub(crate) fn send_expecting(&mut self, writer: u32, expect: u64, numbers: &[u8]) -> Id {
        self.invoke_expecting(room(), writer, 1, Some(Offset(expect)), numbers)
    }

    pub(crate) fn conflict(&mut self, op: Id) {
        self.note(Event::SendFail { op, why: "conflict: the next offset is another one".to_owned() });
    }

    /// The worker joins a log that ends before o5, behind what it committed.
    pub(crate) fn follow(&mut self, committed: u64, credit: u64) -> Id {
        self.follow_at(committed, committed + 1, credit)
    }

    pub(crate) fn follow_at(&mut self, committed: u64, from: u64, credit: u64) -> Id {
        let (sub, asked) = (self.id(), Some(self.clock.after(Duration::from_micros(1))));
        let unread = 4 - committed;
        let following = Following { consumer: consumer(), credit, committed: Offset(committed), unread };
        let (place, following) = (Self::place(from, 5), Some(following));
        self.note(Event::SubOk { sub, room: room(), asked, place, following, sees_holds: false });
        sub
    }

    /// It is back, with the owner of that epoch.
    pub(crate) fn resume_in(&mut self, sub: Id, epoch: u64) {
        let place = Place { epoch: Epoch(epoch), ..Self::place(1, 5) };
        self.note(Event::ResumeOk { sub, place });
    }

    pub(crate) fn commit(&mut self, sub: Id, offset: u64) -> Id {
        let (op, room, consumer) = (self.id(), room(), consumer());
        self.note(Event::CommitInvoke(CommitInvoke { op, sub, room, consumer, offset: Offset(offset) }));
        op
    }

    pub(crate) fn committed(&mut self, op: Id, committed: u64) {
        self.note(Event::CommitOk { op, committed: Offset(committed) });
    }

    pub(crate) fn cursor(&mut self, committed: u64) {
        let (room, consumer) = (room(), consumer());
        self.note(Event::FinalCursor { room, consumer, committed: Offset(committed) });
    }

    pub(crate) fn unknown(&mut self, op: Id) {
        self.note(Event::OpInfo { op, why: "no answer".to_owned() });
    }

    pub(crate) fn refused(&mut self, op: Id, code: &str) {
        self.note(Event::OpFail { op, code: code.to_owned(), why: "no".to_owned() });
    }

    /// A hold that is taken at once.
    pub(crate) fn hold(&mut self, numbers: &[u8], ms: u64) -> Id {
        let (op, hold) = (self.id(), self.id());
        let (room, messages) = (room(), contents(numbers));
        self.note(Event::HoldInvoke(HoldInvoke { op, hold, room, ms, messages }));
        let expires = Some(self.clock.after(Duration::from_millis(ms)));
        self.note(Event::HoldOk(HoldOk { op, offsets: Vec::new(), expires }));
        hold
    }

    pub(crate) fn settle(&mut self, hold: Id, word: Word) -> Id {
        let op = self.id();
        self.note(Event::SettleInvoke(SettleInvoke { op, hold, word }));
        op
    }

    pub(crate) fn settled(&mut self, op: Id, stands: &[u64]) {
        self.note(Event::HoldOk(HoldOk { op, offsets: offsets(stands), expires: None }));
    }

    /// A subscriber that is told of holds too.
    pub(crate) fn subscribe_to_holds(&mut self, from: u64, head: u64) -> Id {
        let (sub, asked) = (self.id(), Some(self.clock.after(Duration::from_micros(1))));
        let (place, following) = (Self::place(from, head), None);
        self.note(Event::SubOk { sub, room: room(), asked, place, following, sees_holds: true });
        sub
    }

    pub(crate) fn told_held(&mut self, sub: Id, numbers: &[u8]) {
        self.note(Event::Held { sub, messages: contents(numbers) });
    }

    pub(crate) fn told_rolled_back(&mut self, sub: Id, numbers: &[u8]) {
        let ids = contents(numbers).iter().map(|content| content.id).collect();
        self.note(Event::RolledBack { sub, ids });
    }

    /// A member that joins, and has joined; with the subscription that it is.
    pub(crate) fn enter(&mut self, name: &str, sub: Option<Id>) -> Id {
        let member = self.id();
        self.note(Event::MemberJoin(MemberJoin { member, room: room(), name: name.to_owned() }));
        self.note(Event::MemberIn { member, sub });
        member
    }

    pub(crate) fn exit(&mut self, member: Id) {
        self.note(Event::MemberOut { member });
    }

    /// What a subscriber is told of who is there: who came, who went, who is there now.
    pub(crate) fn company(&mut self, sub: Id, joined: &str, left: &str, members: &str) {
        let (joined, left, members) = (names(joined), names(left), names(members));
        let company = Company { joined, left, count: members.len() as u64, settled: true, members };
        self.note(Event::Presence { sub, company });
    }

    /// Who is there, as a node says in the end.
    pub(crate) fn picture(&mut self, node: u32, members: &str) {
        self.note(Event::FinalPresence { room: room(), node: NodeId(node), members: names(members) });
    }

    /// A guest that may read the room, for so many milliseconds.
    pub(crate) fn guest(&mut self, ms: u64) -> Id {
        let guest = self.id();
        let expires = self.clock.after(Duration::from_millis(ms));
        self.note(Event::GuestIn(GuestIn { guest, node: 0, rooms: vec![room()], expires }));
        guest
    }

    /// It asked for something of a room; without a code it was done.
    pub(crate) fn guest_asked(&mut self, guest: Id, room: &str, command: &str, code: Option<&str>) {
        let (room, command) = (room.parse().unwrap(), command.to_owned());
        let (since, code) = (self.clock, code.map(str::to_owned));
        self.note(Event::GuestAsked(GuestAsked { guest, room, command, since, code }));
    }

    pub(crate) fn guest_told(&mut self, guest: Id, room: &str) {
        let (room, push, last) = (room.parse().unwrap(), "messages".to_owned(), Some(Offset(1)));
        self.note(Event::GuestTold(GuestTold { guest, room, push, last }));
    }

    pub(crate) fn guest_closed(&mut self, guest: Id, code: Option<u16>) {
        self.note(Event::GuestEnd(GuestEnd { guest, code, left: false }));
    }
}
