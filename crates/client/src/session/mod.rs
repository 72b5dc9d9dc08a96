//! The state of one room's protocol: what to send, what is unanswered, where the subscription stands.
//!
//! A plain value: calls and frames go in with the time, requests and effects come out. No socket, clock or
//! task, so that whole stories of reconnects are tests (`tests.rs`). Its rules:
//!
//! - On every connection `hello` goes first, then `join` if there is a subscription, then everything that
//!   is unanswered, in the order of the calls and with the same message ids, then what is new.
//! - An answer that leaves the outcome open (`unavailable`, `timeout`, `internal`) ends the connection: what
//!   was in flight behind it is open too, and only a new connection restores the order.
//! - `rate_limited` is a definite no: that command alone is sent again, after a pause.
//! - A signal is never sent twice: it fails with the connection that it was sent on.
//! - The session's own commands are made anew on every connection: `hello`, `join`, who is there, heartbeats,
//!   credit.

mod subscription;

use std::collections::VecDeque;
use std::time::Duration;

use roomkeeper_protocol::{
    Command, CommandId, CommandKind, ErrorCode, Hello, HelloOk, Limits, OwnerHint, Push, Reply, Request,
    ServerFrame,
};
use roomkeeper_types::{LifeId, Offset, Timestamp};
use tokio::time::Instant;

use crate::calls::{Calls, Origin, Outgoing};
use crate::heartbeat::Heartbeats;
use crate::{Error, Event};
use subscription::Subscription;

/// What the driver has to do, in order. `W` is whoever waits for an answer.
#[derive(Debug)]
pub(crate) enum Effect<W> {
    /// The answer to a call.
    Answer(W, Result<Reply, Error>),
    /// Something for the subscriber.
    Event(Event),
    /// The subscription is over: by an error, or (`None`) because all of its range was delivered.
    Unsubscribed(Option<Error>),
    /// The connection works: a command succeeded on it.
    Healthy,
    /// The server takes the token until then.
    Expires(Timestamp),
    /// The server skipped this message: what follows is kept until it comes.
    Hole(Offset),
    /// Give the connection up and make another one, at the hint if there is one.
    Reconnect(Error, Option<OwnerHint>),
    /// Give up for good: [`Session::fail`] has answered everyone.
    Failed,
}

/// What a session is told before it starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// How long a call may take: for the words of its error.
    pub(crate) patience: Duration,
    /// Whether a message that the server skipped is waited for, rather than an error at once.
    pub(crate) fill_holes: bool,
    /// Of the intervals between heartbeats.
    pub(crate) seed: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Session<W> {
    hello: Hello,
    settings: Settings,
    calls: Calls<W>,
    /// What the server said to this connection's hello.
    greeting: Option<HelloOk>,
    /// Who waits for that.
    greeters: Vec<(W, Instant)>,
    subscription: Option<Subscription<W>>,
    heartbeats: Heartbeats,
    /// The life this session is bound to, once it has joined one.
    life: Option<LifeId>,
    connected: bool,
    /// A command has succeeded on this connection.
    healthy: bool,
    last_error: Option<Error>,
    failure: Option<Error>,
    republished: u64,
    effects: VecDeque<Effect<W>>,
}

impl<W> Session<W> {
    pub(crate) fn new(hello: Hello, settings: Settings) -> Self {
        Self {
            hello,
            settings,
            calls: Calls::new(),
            greeting: None,
            greeters: Vec::new(),
            subscription: None,
            heartbeats: Heartbeats::new(settings.seed),
            life: None,
            connected: false,
            healthy: false,
            last_error: None,
            failure: None,
            republished: 0,
            effects: VecDeque::new(),
        }
    }

    /// A caller's command.
    pub(crate) fn call(&mut self, command: Command, waiter: W, deadline: Instant) {
        if let Some(failure) = &self.failure {
            self.effects.push_back(Effect::Answer(waiter, Err(failure.clone())));
            return;
        }
        if let (Command::Commit(commit), Some(subscription)) = (&command, &mut self.subscription) {
            subscription.feed.commits(commit);
        }
        self.calls.push(Outgoing::call(command, waiter, deadline));
    }

    /// Someone wants to know when there is a connection, and to whom.
    pub(crate) fn greet(&mut self, waiter: W, deadline: Instant) {
        match (&self.failure, &self.greeting) {
            (Some(failure), _) => self.effects.push_back(Effect::Answer(waiter, Err(failure.clone()))),
            (None, Some(ok)) => self.effects.push_back(Effect::Answer(waiter, Ok(Reply::Hello(ok.clone())))),
            (None, None) => self.greeters.push((waiter, deadline)),
        }
    }

    /// A connection is there, to be opened with that token.
    pub(crate) fn connected(&mut self, token: Option<String>) {
        self.connected = true;
        self.healthy = false;
        self.hello.token = token.map(Into::into);
        let hello = Outgoing::own(Command::Hello(self.hello.clone()));
        let join = self.join();
        self.republished += self.calls.begin([hello].into_iter().chain(join));
    }

    /// The connection goes on with another token.
    pub(crate) fn renew(&mut self, token: String) {
        self.hello.token = Some(token.into());
        if self.connected {
            self.calls.push(Outgoing::own(Command::Hello(self.hello.clone())));
        }
    }

    /// The connection is gone, or none could be made: what is unanswered goes back to the head of the outbox.
    pub(crate) fn disconnected(&mut self, cause: Error) {
        self.connected = false;
        self.greeting = None;
        self.heartbeats.stop();
        for waiter in self.calls.end() {
            self.effects.push_back(Effect::Answer(waiter, Err(cause.clone())));
        }
        self.last_error = Some(cause);
        if let Some(subscription) = &mut self.subscription {
            subscription.joined = false;
        }
    }

    /// Nothing will ever be answered any more: everyone is told why, now and from now on.
    pub(crate) fn fail(&mut self, error: Error) {
        let greeters = self.greeters.drain(..).map(|(waiter, _)| waiter);
        for waiter in self.calls.drain().chain(greeters) {
            self.effects.push_back(Effect::Answer(waiter, Err(error.clone())));
        }
        self.end_subscription(Some(error.clone()));
        self.failure = Some(error);
        self.effects.push_back(Effect::Failed);
    }

    /// The next request to send, which counts as sent from now on.
    pub(crate) fn transmit(&mut self, now: Instant) -> Option<&Request> {
        if !self.connected {
            return None;
        }
        if self.calls.is_exhausted() {
            self.reconnect(Error::disconnected("the server", "all command numbers are used up"));
            return None;
        }
        let mut entry = self.calls.next(now)?;
        self.bind_to_life(&mut entry);
        self.calls.sent(entry)
    }

    /// Whether the server would take a frame of that many bytes. It refuses bigger ones unread, without saying
    /// whose they were.
    pub(crate) fn check_size(&self, bytes: usize) -> Result<(), Error> {
        let limits = self.greeting.as_ref().map_or_else(Limits::default, |hello| hello.limits);
        if bytes <= limits.max_frame as usize {
            return Ok(());
        }
        let text = format!("the command takes {bytes} bytes, of at most {}", limits.max_frame);
        Err(Error::Server(roomkeeper_protocol::Error::new(ErrorCode::TooLarge, text)))
    }

    /// The command that was sent under that number has failed.
    pub(crate) fn refuse(&mut self, id: CommandId, error: Error) {
        if let Some(entry) = self.calls.take(id) {
            self.refused(entry, error);
        }
    }

    /// Which command had that number, as the codec asks.
    pub(crate) fn kind_of(&self, id: CommandId) -> Option<CommandKind> {
        self.calls.kind_of(id)
    }

    /// A frame of the server.
    pub(crate) fn received(&mut self, frame: ServerFrame, now: Instant) {
        match frame {
            ServerFrame::Reply(0, result) => {
                let error = result.err().map_or_else(
                    || Error::disconnected("the server", "a reply without a command"),
                    Error::from,
                );
                self.reconnect(error);
            }
            ServerFrame::Reply(id, result) => {
                if let Some(entry) = self.calls.take(id) {
                    self.answered(entry, result.map_err(Error::from), now);
                }
            }
            ServerFrame::Push(Push::Moved(hint) | Push::Redirect(hint)) => {
                if self.subscription.is_some() {
                    self.effects.push_back(Effect::Event(Event::Moved(hint.clone())));
                }
                let cause = Error::disconnected("the former owner", "the room has another owner");
                self.effects.push_back(Effect::Reconnect(cause, Some(hint)));
            }
            ServerFrame::Push(push) => self.pushed(push, now),
        }
    }

    /// Time has passed: gives up what is late, and does what is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.look_after(now);
        while let Some(waiter) = self.calls.late(now) {
            self.give_up(waiter);
        }
        while let Some(position) = self.greeters.iter().position(|(_, deadline)| *deadline <= now) {
            let (waiter, _) = self.greeters.swap_remove(position);
            self.give_up(waiter);
        }
        let waiter = self
            .subscription
            .as_mut()
            .and_then(|subscription| subscription.waiter.take_if(|(_, deadline)| *deadline <= now));
        if let Some((waiter, _)) = waiter {
            self.unsubscribe();
            self.give_up(waiter);
        }
    }

    /// What to do next.
    pub(crate) fn effect(&mut self) -> Option<Effect<W>> {
        self.effects.pop_front()
    }

    /// Whether a connection is needed.
    pub(crate) fn has_work(&self) -> bool {
        self.calls.any() || self.subscription.is_some() || !self.greeters.is_empty()
    }

    /// Whether something was sent on this connection that is not answered yet.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.connected && self.calls.any_sent()
    }

    /// Whether somebody waits for something: an answer, or a message that is missing.
    pub(crate) fn is_busy(&self) -> bool {
        let waits = |subscription: &Subscription<W>| {
            subscription.waiter.is_some() || subscription.feed.hole().is_some()
        };
        self.awaits_answer()
            || self.calls.any()
            || !self.greeters.is_empty()
            || self.subscription.as_ref().is_some_and(waits)
    }

    /// When the server is told next what the client has, if it will be.
    pub(crate) fn next_beat(&self) -> Option<Instant> {
        self.heartbeats.next()
    }

    /// Whether a command has succeeded on this connection.
    pub(crate) fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// Publishes sent again since the last time this was asked.
    pub(crate) fn take_republished(&mut self) -> u64 {
        std::mem::take(&mut self.republished)
    }

    fn answered(&mut self, entry: Outgoing<W>, result: Result<Reply, Error>, now: Instant) {
        match result {
            Ok(reply) => {
                // Not hello: any node says hello, also one that knows no owner.
                if !matches!(reply, Reply::Hello(_)) && !std::mem::replace(&mut self.healthy, true) {
                    self.effects.push_back(Effect::Healthy);
                }
                self.calls.ease();
                match (entry.origin, reply) {
                    (Origin::Session, Reply::Hello(ok)) => self.greeted(ok),
                    (Origin::Session, Reply::Join(ok)) => self.joined(ok, now),
                    (Origin::Session, Reply::Presence(ok)) => self.counted(ok),
                    (Origin::Session, _) => {}
                    (Origin::Call { waiter, .. }, reply) => {
                        self.effects.push_back(Effect::Answer(waiter, Ok(reply)));
                    }
                }
            }
            Err(error) if entry.is_of_the_moment() => self.passed(&entry, &error, now),
            Err(error) if error.code() == Some(ErrorCode::RateLimited) => self.calls.pause(entry, now),
            // Whether it was carried out is not known, and it must not be twice.
            Err(error) if entry.is_once() => self.refused(entry, error),
            Err(error) if error.is_retryable() => {
                self.calls.put_back(entry);
                self.reconnect(error);
            }
            Err(error) => self.refused(entry, error),
        }
    }

    /// A definite no.
    fn refused(&mut self, entry: Outgoing<W>, error: Error) {
        match (entry.origin, &entry.request.command) {
            (Origin::Call { waiter, .. }, _) => {
                self.effects.push_back(Effect::Answer(waiter, Err(error)));
            }
            (Origin::Session, Command::Hello(_)) => self.fail(error),
            // Without the credit that it was refused the subscription would stand still.
            (Origin::Session, Command::Join(_) | Command::Credit(_)) => self.end_subscription(Some(error)),
            (Origin::Session, _) => {}
        }
    }

    fn greeted(&mut self, ok: HelloOk) {
        for (waiter, _) in self.greeters.drain(..) {
            self.effects.push_back(Effect::Answer(waiter, Ok(Reply::Hello(ok.clone()))));
        }
        self.effects.extend(ok.expires.map(Effect::Expires));
        self.heartbeats.set_interval(ok.heartbeat_ms);
        self.hello.session = Some(ok.session.clone());
        self.greeting = Some(ok);
    }

    fn reconnect(&mut self, cause: Error) {
        self.effects.push_back(Effect::Reconnect(cause, None));
    }

    /// A joined socket is bound to its life by the server. Until the join is answered the commands behind
    /// it say themselves which life they mean: they must not end up in another one.
    fn bind_to_life(&self, entry: &mut Outgoing<W>) {
        if self.subscription.as_ref().is_some_and(|subscription| subscription.joined) {
            return;
        }
        let room = match &mut entry.request.command {
            Command::Publish(publish) => &mut publish.room,
            Command::History(history) => &mut history.room,
            Command::Signal(signal) => &mut signal.room,
            Command::Commit(commit) => &mut commit.room,
            Command::Confirm(hold) | Command::Rollback(hold) => &mut hold.room,
            Command::Presence(room) | Command::Delete(room) => room,
            // These begin a life, or speak of what was joined.
            Command::Hello(_)
            | Command::Join(_)
            | Command::Leave(_)
            | Command::Credit(_)
            | Command::Heartbeat(_)
            | Command::Rooms(_)
            | Command::Create(_) => return,
        };
        room.life = room.life.or(self.life);
    }

    /// No answer in time.
    fn give_up(&mut self, waiter: W) {
        let last = self.last_error.clone().map(Box::new);
        let error = Error::Deadline { after: self.settings.patience, last };
        self.effects.push_back(Effect::Answer(waiter, Err(error)));
    }
}

#[cfg(test)]
mod tests;
