//! Small hand-made histories for the checkers' tests, each step a millisecond after the one before.

mod features;

use std::time::Duration;

use roomkeeper_types::{Epoch, MessageId, NodeId, Offset, RoomName, ShardId};

use super::Findings;
use crate::history::History;
use crate::history::event::{
    At, Change, Content, Event, FORMAT, FaultBegin, Id, Line, Phase, Place, RunInfo, Seen, SendInvoke,
};

/// A message's number, its offset before it.
type Placed = (u64, u8);

#[derive(Clone)]
pub(crate) struct Story {
    pub(crate) info: RunInfo,
    clock: At,
    last_id: u64,
    lines: Vec<Line>,
    log: Option<(Vec<Seen>, Offset)>,
    /// Node, next, hash; `None`: as they should be.
    copies: Option<Vec<(u32, u64, &'static str)>>,
}

fn room() -> RoomName {
    "general".parse().unwrap()
}

/// A message as it should be shown: message `n` has the hash `n`.
pub(crate) fn seen(offset: u64, number: u8) -> Seen {
    Seen { offset: Offset(offset), epoch: Epoch(1), id: MessageId([number; 16]), hash: u64::from(number) }
}

fn all_seen(placed: &[Placed]) -> Vec<Seen> {
    placed.iter().map(|(offset, number)| seen(*offset, *number)).collect()
}

fn offsets(plain: &[u64]) -> Vec<Offset> {
    plain.iter().copied().map(Offset).collect()
}

impl Story {
    /// Nothing happens, and the room is empty in the end.
    pub(crate) fn empty() -> Self {
        let info = RunInfo { format: FORMAT, scenario: "sample".to_owned(), nodes: 3, ..RunInfo::default() };
        let log = Some((Vec::new(), Offset(1)));
        Self { info, clock: At(0), last_id: 0, lines: Vec::new(), log, copies: None }
    }

    /// Writer 0 sends 1 and the bulk 2 and 3, writer 1 sends 4; a subscriber is sent all, a reader sees all.
    pub(crate) fn right() -> Self {
        let mut story = Self::empty().with_log(&[(1, 1), (2, 2), (3, 3), (4, 4)]);
        let sub = story.subscribe(1, 1);
        for (writer, numbers) in [(0, &[1][..]), (0, &[2, 3]), (1, &[4])] {
            let op = story.send(writer, numbers);
            let stands: Vec<u64> = numbers.iter().map(|number| u64::from(*number)).collect();
            story.ok(op, 1, &stands);
        }
        story.deliver(sub, &[(1, 1), (2, 2), (3, 3), (4, 4)]);
        let read = story.read();
        story.read_ok(read, 1, 5);
        story
    }

    pub(crate) fn with_log(self, placed: &[Placed]) -> Self {
        let next = placed.last().map_or(1, |(offset, _)| offset + 1);
        self.with_log_until(placed, next)
    }

    pub(crate) fn with_log_until(mut self, placed: &[Placed], next: u64) -> Self {
        self.log = Some((all_seen(placed), Offset(next)));
        self
    }

    pub(crate) fn set_log(&mut self, items: Vec<Seen>) {
        let next = items.last().map_or(Offset(1), |item| item.offset.next());
        self.log = Some((items, next));
    }

    pub(crate) fn without_log(mut self) -> Self {
        self.log = None;
        self
    }

    pub(crate) fn with_copies(mut self, copies: &[(u32, u64, &'static str)]) -> Self {
        self.copies = Some(copies.to_vec());
        self
    }

    pub(crate) fn load(&self) -> History {
        let mut story = self.clone();
        if let Some((items, next)) = self.log.clone() {
            let usual = (1..=3).map(|node| (node, next.get(), "abc")).collect();
            story.note(Event::FinalItems { room: room(), items });
            let replicas = vec![NodeId(1), NodeId(2), NodeId(3)];
            story.note(Event::FinalRoom { room: room(), shard: None, first: Offset(1), next, replicas });
            for (node, next, hash) in self.copies.clone().unwrap_or(usual) {
                let (node, next, hash) = (NodeId(node), Offset(next), hash.to_owned());
                story.note(Event::FinalCopy { room: room(), node, next, hash });
            }
        }
        story.lines.insert(0, Line { t: At(0), event: Event::Run(self.info.clone()) });
        History::from_lines(story.lines).unwrap()
    }

    fn note(&mut self, event: Event) {
        self.wait(Duration::from_millis(1));
        self.lines.push(Line { t: self.clock, event });
    }

    fn id(&mut self) -> Id {
        self.last_id += 1;
        Id(self.last_id)
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.clock = self.clock.after(time);
    }

    pub(crate) fn phase(&mut self, phase: Phase) {
        self.note(Event::Phase { phase });
    }

    fn invoke(&mut self, room: RoomName, writer: u32, attempt: u32, numbers: &[u8]) -> Id {
        self.invoke_expecting(room, writer, attempt, None, numbers)
    }

    fn invoke_expecting(
        &mut self,
        room: RoomName,
        writer: u32,
        attempt: u32,
        expect: Option<Offset>,
        numbers: &[u8],
    ) -> Id {
        let op = self.id();
        let content = |n: &u8| Content { id: MessageId([*n; 16]), hash: u64::from(*n) };
        let messages = numbers.iter().map(content).collect();
        let through = None;
        self.note(Event::SendInvoke(SendInvoke { op, writer, room, attempt, through, expect, messages }));
        op
    }

    pub(crate) fn send(&mut self, writer: u32, numbers: &[u8]) -> Id {
        self.invoke(room(), writer, 1, numbers)
    }

    pub(crate) fn send_to(&mut self, room: &str, writer: u32, numbers: &[u8]) -> Id {
        self.invoke(room.parse().unwrap(), writer, 1, numbers)
    }

    pub(crate) fn send_again(&mut self, writer: u32, attempt: u32, numbers: &[u8]) -> Id {
        self.invoke(room(), writer, attempt, numbers)
    }

    pub(crate) fn ok(&mut self, op: Id, epoch: u64, stands: &[u64]) {
        let duplicates = vec![false; stands.len()];
        self.note(Event::SendOk { op, epoch: Epoch(epoch), offsets: offsets(stands), duplicates });
    }

    pub(crate) fn duplicate(&mut self, op: Id, epoch: u64, stands: &[u64]) {
        let duplicates = vec![true; stands.len()];
        self.note(Event::SendOk { op, epoch: Epoch(epoch), offsets: offsets(stands), duplicates });
    }

    pub(crate) fn info(&mut self, op: Id) {
        self.note(Event::SendInfo { op, why: "no answer".to_owned() });
    }

    pub(crate) fn fail(&mut self, op: Id) {
        self.note(Event::SendFail { op, why: "no".to_owned() });
    }

    pub(crate) fn read(&mut self) -> Id {
        let op = self.id();
        self.note(Event::ReadInvoke { op, reader: 0, room: room() });
        op
    }

    pub(crate) fn read_ok(&mut self, op: Id, epoch: u64, next: u64) {
        self.read_ok_by(op, 1, epoch, next);
    }

    pub(crate) fn read_ok_by(&mut self, op: Id, owner: u32, epoch: u64, next: u64) {
        let (owner, epoch, next) = (Some(NodeId(owner)), Epoch(epoch), Offset(next));
        self.note(Event::ReadOk { op, owner, epoch, next, items: Vec::new() });
    }

    fn place(from: u64, head: u64) -> Place {
        Place { from: Offset(from), head: Offset(head), owner: NodeId(1), epoch: Epoch(1) }
    }

    pub(crate) fn subscribe(&mut self, from: u64, head: u64) -> Id {
        let (sub, asked) = (self.id(), Some(self.clock.after(Duration::from_micros(1))));
        let (place, following) = (Self::place(from, head), None);
        self.note(Event::SubOk { sub, room: room(), asked, place, following, sees_holds: false });
        sub
    }

    pub(crate) fn resume(&mut self, sub: Id, from: u64, head: u64) {
        self.note(Event::ResumeOk { sub, place: Self::place(from, head) });
    }

    pub(crate) fn deliver(&mut self, sub: Id, placed: &[Placed]) {
        self.note(Event::Deliver { sub, items: all_seen(placed) });
    }

    pub(crate) fn deliver_seen(&mut self, sub: Id, item: Seen) {
        self.note(Event::Deliver { sub, items: vec![item] });
    }

    pub(crate) fn gap(&mut self, sub: Id, expected: u64, got: u64) {
        let (expected, got, why) = (Offset(expected), Some(Offset(got)), "trimmed".to_owned());
        self.note(Event::Gap { sub, expected, got, why });
    }

    pub(crate) fn leave(&mut self, sub: Id) {
        self.note(Event::SubEnd { sub, error: None });
    }

    pub(crate) fn sub_fails(&mut self, sub: Id, why: &str) {
        self.note(Event::SubEnd { sub, error: Some(why.to_owned()) });
    }

    pub(crate) fn fault(&mut self, nemesis: &str, nodes: &[usize]) {
        let (fault, nemesis, nodes) = (self.id(), nemesis.to_owned(), nodes.to_vec());
        self.note(Event::FaultBegin(FaultBegin { fault, nemesis, nodes, detail: String::new() }));
        self.note(Event::FaultEnd { fault, detail: String::new() });
    }

    pub(crate) fn count(&mut self, name: &str, more: u64) {
        self.note(Event::Count { name: name.to_owned(), more });
    }

    pub(crate) fn own(&mut self, shard: u32, epoch: u64, node: usize, change: Change) {
        self.note(Event::Own { shard: ShardId(shard), epoch: Epoch(epoch), node, change });
    }

    pub(crate) fn said(&mut self, node: usize, kind: &str, shard: u32) {
        let (kind, shard) = (kind.to_owned(), Some(ShardId(shard)));
        self.note(Event::Said { node, kind, shard, reason: String::new() });
    }
}

/// Fails if anything is wrong, or if another number of things was looked at.
#[track_caller]
pub(crate) fn assert_fine(findings: &Findings, looked_at: u64) {
    assert_eq!(findings.violations(), []);
    assert_eq!(findings.looked_at(), looked_at);
}

/// Fails unless a violation says so.
#[track_caller]
pub(crate) fn assert_found(findings: &Findings, words: &str) {
    let violations = findings.violations();
    let found = violations.iter().any(|violation| violation.to_string().contains(words));
    assert!(found, "nobody found '{words}': {violations:?}");
}
