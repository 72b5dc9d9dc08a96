//! The state of one room's protocol: what to send, what is unanswered, where the subscription stands.
//!
//! A plain value: calls and frames go in with the time, requests and effects come out. No socket, clock or
//! task, so that whole stories of reconnects are tests (`session_test.rs`). Its rules:
//!
//! - On every connection `hello` goes first, then `join` if there is a subscription, then everything that
//!   is unanswered, in the order of the calls and with the same message ids, then what is new.
//! - An answer that leaves the outcome open (`unavailable`, `timeout`, `internal`) ends the connection: what
//!   was in flight behind it is open too, and only a new connection restores the order.
//! - `rate_limited` is a definite no: that command alone is sent again, after a pause.

use std::collections::VecDeque;
use std::time::Duration;

use roomkeeper_protocol::{
    Command, CommandId, CommandKind, ErrorCode, From, Hello, HelloOk, Item, Join, JoinOk, Limits, OwnerHint,
    Push, Reply, Request, RoomRef, ServerFrame,
};
use roomkeeper_types::LifeId;
use tokio::time::Instant;

use crate::calls::{Calls, Origin, Outgoing};
use crate::resume::Resume;
use crate::{Error, Event};

/// Pause after `rate_limited`.
const RATE_PAUSE: Duration = Duration::from_millis(100);

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
    /// Give the connection up and make another one, at the hint if there is one.
    Reconnect(Error, Option<OwnerHint>),
    /// Give up for good: [`Session::fail`] has answered everyone.
    Failed,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Session<W> {
    hello: Hello,
    /// How long a call may take: for the words of its error.
    patience: Duration,
    calls: Calls<W>,
    /// What the server said to this connection's hello.
    greeting: Option<HelloOk>,
    /// Who waits for that.
    greeters: Vec<(W, Instant)>,
    subscription: Option<Subscription<W>>,
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

#[derive(Debug)]
struct Subscription<W> {
    resume: Resume,
    /// Waits for the first join.
    waiter: Option<(W, Instant)>,
    joined: bool,
}

impl<W> Session<W> {
    pub(crate) fn new(hello: Hello, patience: Duration) -> Self {
        Self {
            hello,
            patience,
            calls: Calls::new(),
            greeting: None,
            greeters: Vec::new(),
            subscription: None,
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
        self.calls.push(Outgoing::call(command, waiter, deadline));
    }

    /// A subscription; `waiter` gets the answer to its first join. `false` if it was refused at once.
    pub(crate) fn subscribe(&mut self, from: From, waiter: W, deadline: Instant) -> bool {
        let refusal = match &self.failure {
            Some(failure) => Some(failure.clone()),
            None if self.subscription.is_some() => Some(Error::AlreadySubscribed),
            None => None,
        };
        if let Some(error) = refusal {
            self.effects.push_back(Effect::Answer(waiter, Err(error)));
            return false;
        }
        let resume = Resume::new(from);
        self.subscription = Some(Subscription { resume, waiter: Some((waiter, deadline)), joined: false });
        if self.connected
            && let Some(join) = self.join()
        {
            self.calls.push(join);
        }
        true
    }

    /// Someone wants to know when there is a connection, and to whom.
    pub(crate) fn greet(&mut self, waiter: W, deadline: Instant) {
        match (&self.failure, &self.greeting) {
            (Some(failure), _) => self.effects.push_back(Effect::Answer(waiter, Err(failure.clone()))),
            (None, Some(ok)) => self.effects.push_back(Effect::Answer(waiter, Ok(Reply::Hello(ok.clone())))),
            (None, None) => self.greeters.push((waiter, deadline)),
        }
    }

    /// The subscriber has gone.
    pub(crate) fn unsubscribe(&mut self) {
        let Some(subscription) = self.subscription.take() else { return };
        self.leave(subscription.joined);
    }

    /// A connection is there.
    pub(crate) fn connected(&mut self) {
        self.connected = true;
        self.healthy = false;
        let hello = Outgoing::own(Command::Hello(self.hello.clone()));
        let join = self.join();
        self.republished += self.calls.begin([hello].into_iter().chain(join));
    }

    /// The connection is gone, or none could be made: what is unanswered goes back to the head of the outbox.
    pub(crate) fn disconnected(&mut self, cause: Error) {
        self.connected = false;
        self.greeting = None;
        self.last_error = Some(cause);
        self.calls.end();
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
            ServerFrame::Push(Push::Messages { items, .. }) => {
                // What comes before the join's reply belongs to a subscription that was left.
                let Some(subscription) = self.subscription.as_mut().filter(|s| s.joined) else { return };
                match subscription.resume.take(items) {
                    Ok(items) => {
                        let done = subscription.resume.is_done();
                        self.deliver(items);
                        if done {
                            self.end_subscription(None);
                        }
                    }
                    Err(gap) => self.end_subscription(Some(gap)),
                }
            }
            ServerFrame::Push(Push::Moved(hint) | Push::Redirect(hint)) => {
                if self.subscription.is_some() {
                    self.effects.push_back(Effect::Event(Event::Moved(hint.clone())));
                }
                let cause = Error::disconnected("the former owner", "the room has another owner");
                self.effects.push_back(Effect::Reconnect(cause, Some(hint)));
            }
            // Follow commands that this SDK does not send yet.
            ServerFrame::Push(
                Push::Sync { .. }
                | Push::Presence(_)
                | Push::Signal { .. }
                | Push::Held { .. }
                | Push::RolledBack { .. },
            ) => {}
        }
    }

    /// Gives up what is late.
    pub(crate) fn expire(&mut self, now: Instant) {
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
                match (entry.origin, reply) {
                    (Origin::Session, Reply::Hello(ok)) => self.greeted(ok),
                    (Origin::Session, Reply::Join(ok)) => self.joined(ok),
                    (Origin::Session, _) => {}
                    (Origin::Call { waiter, .. }, reply) => {
                        self.effects.push_back(Effect::Answer(waiter, Ok(reply)));
                    }
                }
            }
            Err(error) if error.code() == Some(ErrorCode::RateLimited) => {
                self.calls.pause(entry, now + RATE_PAUSE);
            }
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
            (Origin::Session, Command::Join(_)) => self.end_subscription(Some(error)),
            (Origin::Session, _) => {}
        }
    }

    fn greeted(&mut self, ok: HelloOk) {
        for (waiter, _) in self.greeters.drain(..) {
            self.effects.push_back(Effect::Answer(waiter, Ok(Reply::Hello(ok.clone()))));
        }
        self.greeting = Some(ok);
    }

    fn joined(&mut self, ok: JoinOk) {
        let Some(subscription) = &mut self.subscription else { return };
        self.life = Some(ok.life);
        subscription.joined = true;
        if let Err(gap) = subscription.resume.joined(&ok) {
            self.end_subscription(Some(gap));
            return;
        }
        self.effects.push_back(match subscription.waiter.take() {
            Some((waiter, _)) => Effect::Answer(waiter, Ok(Reply::Join(ok))),
            None => Effect::Event(Event::Reconnected(ok)),
        });
    }

    /// Pushes that arrived together are one event: half of a delivery's cost is its way to the subscriber.
    fn deliver(&mut self, mut items: Vec<Item>) {
        match self.effects.back_mut() {
            Some(Effect::Event(Event::Items(last))) => last.append(&mut items),
            _ if items.is_empty() => {}
            _ => self.effects.push_back(Effect::Event(Event::Items(items))),
        }
    }

    fn end_subscription(&mut self, error: Option<Error>) {
        let Some(subscription) = self.subscription.take() else { return };
        let joined = subscription.joined;
        match (subscription.waiter, error) {
            // The join itself was refused: there is nothing to leave.
            (Some((waiter, _)), Some(error)) => {
                self.effects.push_back(Effect::Answer(waiter, Err(error)));
            }
            (_, error) => {
                self.effects.push_back(Effect::Unsubscribed(error));
                if joined {
                    self.leave(joined);
                }
            }
        }
    }

    /// Ends the subscription at the server too.
    fn leave(&mut self, joined: bool) {
        if self.connected && joined {
            self.calls.push(Outgoing::own(Command::Leave(RoomRef::default())));
        } else if self.connected {
            // Its join may be on the way: a new connection knows nothing of it.
            self.reconnect(Error::disconnected("the server", "a join was given up"));
        }
    }

    fn reconnect(&mut self, cause: Error) {
        self.effects.push_back(Effect::Reconnect(cause, None));
    }

    /// What joins the room where the subscription stands.
    fn join(&self) -> Option<Outgoing<W>> {
        let from = self.subscription.as_ref()?.resume.from();
        let room = RoomRef { room: None, life: self.life };
        Some(Outgoing::own(Command::Join(Join { room, from, ..Join::default() })))
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
            Command::Delete(room) => room,
            _ => return,
        };
        room.life = room.life.or(self.life);
    }

    /// No answer in time.
    fn give_up(&mut self, waiter: W) {
        let last = self.last_error.clone().map(Box::new);
        let error = Error::Deadline { after: self.patience, last };
        self.effects.push_back(Effect::Answer(waiter, Err(error)));
    }
}

#[cfg(test)]
#[path = "session_test.rs"]
mod tests;
