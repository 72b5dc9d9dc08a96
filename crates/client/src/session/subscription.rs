//! The part of a session that is about its subscription.

use std::time::Duration;

use roomkeeper_protocol::{Command, Credit, Heartbeat, Item, JoinOk, PresenceOk, Push, RoomRef};
use roomkeeper_types::Offset;
use tokio::time::Instant;

use super::{Effect, Session};
use crate::calls::Outgoing;
use crate::feed::Feed;
use crate::{Error, Event, SubscribeOptions};

/// Heartbeats within which the server fills a hole: it looks at what it sent before the last one.
const HOLE_BEATS: u32 = 3;
/// However short these are.
const HOLE_PATIENCE_MIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Subscription<W> {
    pub(super) feed: Feed,
    /// Waits for the first join.
    pub(super) waiter: Option<(W, Instant)>,
    pub(super) joined: bool,
}

impl<W> Session<W> {
    /// A subscription; `waiter` gets the answer to its first join. `false` if it was refused at once.
    pub(crate) fn subscribe(&mut self, options: SubscribeOptions, waiter: W, deadline: Instant) -> bool {
        let refusal = match &self.failure {
            Some(failure) => Some(failure.clone()),
            None if self.subscription.is_some() => Some(Error::AlreadySubscribed),
            None => None,
        };
        if let Some(error) = refusal {
            self.effects.push_back(Effect::Answer(waiter, Err(error)));
            return false;
        }
        let feed = Feed::new(options, self.settings.fill_holes);
        self.subscription = Some(Subscription { feed, waiter: Some((waiter, deadline)), joined: false });
        if self.connected
            && let Some(join) = self.join()
        {
            self.calls.push(join);
        }
        true
    }

    /// The subscriber has gone.
    pub(crate) fn unsubscribe(&mut self) {
        let Some(subscription) = self.subscription.take() else { return };
        self.leave(subscription.joined);
    }

    /// The subscriber has read everything up to there.
    pub(crate) fn read(&mut self, offset: Offset) {
        let Some(subscription) = &mut self.subscription else { return };
        subscription.feed.read(offset);
        self.grant();
    }

    /// What joins the room where the subscription stands.
    pub(super) fn join(&mut self) -> Option<Outgoing<W>> {
        let join = self.subscription.as_mut()?.feed.join(self.life);
        Some(Outgoing::own(Command::Join(join)))
    }

    pub(super) fn joined(&mut self, ok: JoinOk, now: Instant) {
        let Some(subscription) = &mut self.subscription else { return };
        self.life = Some(ok.life);
        subscription.joined = true;
        if let Err(gap) = subscription.feed.joined(&ok, now) {
            self.end_subscription(Some(gap));
            return;
        }
        if subscription.feed.has_roster() {
            self.calls.push(Outgoing::own(Command::Presence(RoomRef::default())));
        }
        self.heartbeats.start(now);
        self.effects.push_back(match subscription.waiter.take() {
            Some((waiter, _)) => Effect::Answer(waiter, Ok(roomkeeper_protocol::Reply::Join(ok))),
            None => Effect::Event(Event::Reconnected(ok)),
        });
        // What was read while the join was under way.
        self.grant();
    }

    /// Something of the room. What comes before the join's reply belongs to a subscription that was left.
    pub(super) fn pushed(&mut self, push: Push, now: Instant) {
        let Some(subscription) = self.subscription.as_mut().filter(|s| s.joined) else { return };
        let event = match push {
            Push::Messages { items, .. } | Push::Sync { items, .. } => return self.took(items, now),
            Push::Presence(push) => subscription.feed.presence_pushed(push, now).map(Event::Presence),
            Push::Signal { from, data, .. } => Some(Event::Signal { from, data }),
            Push::Held { items, expires, .. } => Some(Event::Held { items, expires }),
            Push::RolledBack { ids, .. } => Some(Event::RolledBack(ids)),
            // About the connection: the session has seen to them.
            Push::Moved(_) | Push::Redirect(_) => None,
        };
        self.effects.extend(event.map(Effect::Event));
    }

    fn took(&mut self, items: Vec<Item>, now: Instant) {
        let Some(subscription) = &mut self.subscription else { return };
        let was_whole = subscription.feed.hole().is_none();
        match subscription.feed.take(items, now) {
            Ok(items) => {
                let (done, hole) = (subscription.feed.is_done(), subscription.feed.hole());
                self.deliver(items);
                self.effects.extend(hole.filter(|_| was_whole).map(Effect::Hole));
                if done {
                    self.end_subscription(None);
                }
            }
            Err(gap) => self.end_subscription(Some(gap)),
        }
    }

    /// Pushes that arrived together are one event: half of a delivery's cost is its way to the subscriber.
    fn deliver(&mut self, mut items: Vec<Item>) {
        match self.effects.back_mut() {
            Some(Effect::Event(Event::Items(last))) => last.append(&mut items),
            _ if items.is_empty() => {}
            _ => self.effects.push_back(Effect::Event(Event::Items(items))),
        }
    }

    /// Who is there, as the session asked.
    pub(super) fn counted(&mut self, ok: PresenceOk) {
        let Some(subscription) = &mut self.subscription else { return };
        let event = subscription.feed.presence_answered(ok.members).map(Event::Presence);
        self.effects.extend(event.map(Effect::Event));
    }

    /// A heartbeat, or the question who is there, has failed.
    pub(super) fn passed(&mut self, entry: &Outgoing<W>, error: &Error, now: Instant) {
        let Some(subscription) = &mut self.subscription else { return };
        if matches!(entry.request.command, Command::Presence(_)) {
            if !error.is_retryable() {
                tracing::warn!(%error, "who is in the room is not told");
            }
            subscription.feed.presence_unanswered(!error.is_retryable(), now);
        }
    }

    /// Says that it is still here, asks who else is, and gives up what is missing, each when it is time.
    pub(super) fn look_after(&mut self, now: Instant) {
        let Some(subscription) = self.subscription.as_mut().filter(|s| s.joined) else { return };
        if subscription.feed.asks_presence(now) {
            self.calls.push(Outgoing::own(Command::Presence(RoomRef::default())));
        }
        if self.heartbeats.is_due(now) {
            let rooms = vec![(None, subscription.feed.seen())];
            self.calls.push(Outgoing::own(Command::Heartbeat(Heartbeat { rooms })));
        }
        let patience = self.heartbeats.longest().saturating_mul(HOLE_BEATS).max(HOLE_PATIENCE_MIN);
        if let Some(gap) = subscription.feed.give_up_hole(now, patience) {
            self.reconnect(Error::disconnected("the server", gap));
        }
    }

    pub(super) fn end_subscription(&mut self, error: Option<Error>) {
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
        self.heartbeats.stop();
        if self.connected && joined {
            self.calls.push(Outgoing::own(Command::Leave(RoomRef::default())));
        } else if self.connected {
            // Its join may be on the way: a new connection knows nothing of it.
            self.reconnect(Error::disconnected("the server", "a join was given up"));
        }
    }

    /// Makes room for more messages, if enough were read.
    fn grant(&mut self) {
        if let Some(subscription) = self.subscription.as_mut().filter(|s| s.joined)
            && let Some(more) = subscription.feed.grant()
        {
            self.calls.push(Outgoing::own(Command::Credit(Credit { room: RoomRef::default(), more })));
        }
    }
}
