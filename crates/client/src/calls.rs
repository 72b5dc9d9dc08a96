//! The commands of one room that have no answer yet, in the order in which they were made.

use std::collections::VecDeque;
use std::time::Duration;

use roomkeeper_protocol::{Command, CommandId, CommandKind, Request};
use tokio::time::Instant;

/// First pause after `rate_limited`; while it is answered again, each is twice as long.
pub(crate) const RATE_PAUSE: Duration = Duration::from_millis(100);
/// No pause is longer than the first one times two to this.
const RATE_DOUBLINGS: u32 = 4;

/// A command without an answer.
#[derive(Debug)]
pub(crate) struct Outgoing<W> {
    pub(crate) request: Request,
    pub(crate) origin: Origin<W>,
}

/// Who made a command.
#[derive(Debug)]
pub(crate) enum Origin<W> {
    /// The session itself; it makes it anew on every connection.
    Session,
    /// A caller: it is sent again on every connection until it is answered or late.
    Call { waiter: W, deadline: Instant, sent_before: bool },
}

impl<W> Outgoing<W> {
    /// The session's own command.
    pub(crate) fn own(command: Command) -> Self {
        Self { request: Request { id: 0, command }, origin: Origin::Session }
    }

    /// A caller's command.
    pub(crate) fn call(command: Command, waiter: W, deadline: Instant) -> Self {
        let origin = Origin::Call { waiter, deadline, sent_before: false };
        Self { request: Request { id: 0, command }, origin }
    }

    /// Whether it must not reach the server twice.
    pub(crate) fn is_once(&self) -> bool {
        matches!(self.request.command, Command::Signal(_))
    }

    /// Whether the session's next one makes up for it, should it fail.
    pub(crate) fn is_of_the_moment(&self) -> bool {
        let passes = matches!(self.request.command, Command::Heartbeat(_) | Command::Presence(_));
        passes && !self.is_call()
    }

    fn into_waiter(self) -> Option<W> {
        match self.origin {
            Origin::Call { waiter, .. } => Some(waiter),
            Origin::Session => None,
        }
    }

    fn is_call(&self) -> bool {
        matches!(self.origin, Origin::Call { .. })
    }

    fn is_sent_publish(&self) -> bool {
        matches!(self.origin, Origin::Call { sent_before: true, .. })
            && matches!(self.request.command, Command::Publish(_))
    }
}

/// What is to be sent and what was sent. Numbers are given when a command is sent, ascending from 1 on each
/// connection, so that what was sent is sorted by them.
#[derive(Debug)]
pub(crate) struct Calls<W> {
    /// Not sent on this connection yet. A number other than 0 marks what came back to be sent again.
    outbox: VecDeque<Outgoing<W>>,
    /// Sent on this connection and unanswered.
    sent: VecDeque<Outgoing<W>>,
    next_id: CommandId,
    paused_until: Option<Instant>,
    /// Pauses since something was answered with yes.
    pauses: u32,
}

impl<W> Calls<W> {
    pub(crate) fn new() -> Self {
        Self { outbox: VecDeque::new(), sent: VecDeque::new(), next_id: 1, paused_until: None, pauses: 0 }
    }

    /// Adds a command behind all others.
    pub(crate) fn push(&mut self, entry: Outgoing<W>) {
        self.outbox.push_back(entry);
    }

    /// A connection begins, with the session's own commands in front. Returns how many publishes will be
    /// sent not for the first time.
    pub(crate) fn begin(&mut self, own: impl DoubleEndedIterator<Item = Outgoing<W>>) -> u64 {
        self.next_id = 1;
        let again = self.outbox.iter().filter(|entry| entry.is_sent_publish()).count() as u64;
        for entry in own.rev() {
            self.outbox.push_front(entry);
        }
        again
    }

    /// The connection is over: callers' commands are unsent again, in their order; the session's own are
    /// dropped. Returns who waits for what was sent and must not be sent again.
    pub(crate) fn end(&mut self) -> Vec<W> {
        let (lost, sent): (VecDeque<_>, VecDeque<_>) = self.sent.drain(..).partition(Outgoing::is_once);
        let unsent = std::mem::take(&mut self.outbox);
        self.outbox = sent.into_iter().chain(unsent).filter(Outgoing::is_call).collect();
        for entry in &mut self.outbox {
            entry.request.id = 0;
        }
        lost.into_iter().filter_map(Outgoing::into_waiter).collect()
    }

    /// Whether all numbers of this connection are used up: after a day at 40,000 commands per second.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.next_id == CommandId::MAX
    }

    /// Takes the next command to send; give it back with [`Calls::sent`].
    pub(crate) fn next(&mut self, now: Instant) -> Option<Outgoing<W>> {
        if self.paused_until.is_some_and(|until| now < until) || self.is_exhausted() {
            return None;
        }
        let mut entry = self.outbox.pop_front()?;
        entry.request.id = self.next_id;
        self.next_id += 1;
        if let Origin::Call { sent_before, .. } = &mut entry.origin {
            *sent_before = true;
        }
        Some(entry)
    }

    /// The command is on its way.
    pub(crate) fn sent(&mut self, entry: Outgoing<W>) -> Option<&Request> {
        self.sent.push_back(entry);
        self.sent.back().map(|entry| &entry.request)
    }

    /// Which command was sent under that number.
    pub(crate) fn kind_of(&self, id: CommandId) -> Option<CommandKind> {
        Some(self.sent[self.position(id)?].request.command.kind())
    }

    /// Takes out the command that was sent under that number: it has its answer.
    pub(crate) fn take(&mut self, id: CommandId) -> Option<Outgoing<W>> {
        let position = self.position(id)?;
        self.sent.remove(position)
    }

    /// The answer was none: the command stands where it stood, to be sent again on the next connection.
    pub(crate) fn put_back(&mut self, entry: Outgoing<W>) {
        let position = self.sent.partition_point(|sent| sent.request.id < entry.request.id);
        self.sent.insert(position, entry);
    }

    /// The command has to be sent again on this connection, and nothing before a pause is over.
    pub(crate) fn pause(&mut self, entry: Outgoing<W>, now: Instant) {
        // Those that were refused together share their pause.
        if self.paused_until.is_none_or(|until| until <= now) {
            self.paused_until = Some(now + RATE_PAUSE * 2u32.pow(self.pauses.min(RATE_DOUBLINGS)));
            self.pauses += 1;
        }
        let before = |other: &&Outgoing<W>| (1..entry.request.id).contains(&other.request.id);
        let position = self.outbox.iter().take_while(before).count();
        self.outbox.insert(position, entry);
    }

    /// Something was answered with yes: the next pause is short again.
    pub(crate) fn ease(&mut self) {
        self.pauses = 0;
    }

    /// Takes out a call whose deadline has passed.
    pub(crate) fn late(&mut self, now: Instant) -> Option<W> {
        // Calls are in the order of their deadlines, but for what was sent again: the late ones stand in
        // front of each queue, and a straggler is found when it gets there.
        for queue in [&mut self.sent, &mut self.outbox] {
            let Some(position) = queue.iter().position(Outgoing::is_call) else { continue };
            let is_late = matches!(queue[position].origin, Origin::Call { deadline, .. } if deadline <= now);
            if is_late
                && let Some(Outgoing { origin: Origin::Call { waiter, .. }, .. }) = queue.remove(position)
            {
                return Some(waiter);
            }
        }
        None
    }

    /// Takes out everyone who waits.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = W> {
        self.sent.drain(..).chain(self.outbox.drain(..)).filter_map(Outgoing::into_waiter)
    }

    /// Whether anyone waits.
    pub(crate) fn any(&self) -> bool {
        self.sent.iter().chain(&self.outbox).any(Outgoing::is_call)
    }

    /// Whether something was sent on this connection that is not answered yet.
    pub(crate) fn any_sent(&self) -> bool {
        !self.sent.is_empty()
    }

    fn position(&self, id: CommandId) -> Option<usize> {
        // Answers come in order but for the odd slow one: nearly always the first.
        match self.sent.front() {
            Some(entry) if entry.request.id == id => Some(0),
            _ => self.sent.binary_search_by_key(&id, |entry| entry.request.id).ok(),
        }
    }
}
