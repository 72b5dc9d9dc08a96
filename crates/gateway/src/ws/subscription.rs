//! One subscription of a socket: a position in a room's log, and what stands there.
//!
//! What a client is to see lives here and is the same whoever owns the room: where it stands, where it ends, how far
//! its credit reaches. Where messages come from, and whether they may be handed out at the moment, its [`Source`] knows.

use std::sync::Arc;

use roomkeeper_protocol::{Codec, Error, Seen};
use roomkeeper_types::{LifeId, Offset, RoomName};
use tokio_tungstenite::tungstenite::Message;

use super::beat::{Beat, Pulse, Step as BeatStep};
use super::credit::{Credit, Grant};
use super::events::{Events, HoldsMissed};
use super::source::{Page, PageAsk, Source, Standing};
use crate::clock;
use crate::edge::Edge;
use crate::hub::{Entry, FeedFrame, Step, Subscriber, SubscriptionId, Waiter, to_message};
use crate::local::Span;

/// A position in a room's log.
pub(crate) struct Subscription {
    pub(crate) id: SubscriptionId,
    subscriber: Subscriber,
    waiter: Arc<Waiter>,
    source: Source,
    /// The offset that is sent next.
    position: Offset,
    /// The last offset to send, if there is one.
    to: Option<Offset>,
    /// `None`: the client needs none.
    credit: Option<Credit>,
    pulse: Pulse,
    /// The heartbeat that is being answered.
    beat: Option<Beat>,
    /// What happens beside the messages. `None`: it comes another way, from the room's owner.
    events: Option<Events>,
}

/// A client was handed a life's messages from here on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handed {
    pub(crate) life: LifeId,
    pub(crate) from: Offset,
}

/// What a subscription has for its client.
pub(crate) enum Turn {
    /// These messages; there may be more.
    Message(Message),
    /// Nothing for now.
    Wait,
    /// Nothing while the ownership does not stand: to be asked again soon. It may be over, or have been held up.
    Suspended,
    /// Nothing any more.
    Ended,
}

/// The log does not have what the subscription needs next.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogGap {
    /// It could not be read.
    #[error("{0}")]
    Unreadable(Error),
    /// It was trimmed meanwhile.
    #[error("offset {wanted} is not in the log any more, it goes on at {found}")]
    Trimmed { wanted: Offset, found: Offset },
    /// The reader of what is held was too slow to hear of all of it.
    #[error(transparent)]
    HoldsMissed(#[from] HoldsMissed),
}

impl Subscription {
    pub(crate) fn new(
        id: SubscriptionId,
        subscriber: Subscriber,
        waiter: Arc<Waiter>,
        source: Source,
        span: Span,
    ) -> Self {
        let Span { from, to } = span;
        let (pulse, beat) = (Pulse::new(from), None);
        Self { id, subscriber, waiter, source, position: from, to, credit: None, pulse, beat, events: None }
    }

    /// The same, that is sent no more messages than its credit allows.
    pub(crate) fn with_credit(self, credit: Option<Credit>) -> Self {
        Self { credit, ..self }
    }

    /// The same, of a client that was handed what comes from `since` on, by this socket and before the room moved.
    pub(crate) fn with_past(self, since: Option<Handed>) -> Self {
        let since = since.filter(|since| since.life == self.subscriber.life());
        Self { pulse: self.pulse.since(since.map(|since| since.from)), ..self }
    }

    /// The same, that is told what happens beside the messages.
    pub(crate) fn with_events(self, events: Events) -> Self {
        Self { events: Some(events), ..self }
    }

    /// The client says what it has, and whether it is there. Whoever calls this gives the subscription a turn.
    pub(crate) fn beat(&mut self, seen: Seen, resumed: bool) {
        if let Some(events) = &mut self.events {
            events.note_here(&self.subscriber, seen.here);
        }
        self.beat = Some(self.pulse.beat(self.position, seen, resumed));
    }

    /// The client may have more messages. Whoever calls this gives the subscription a turn.
    pub(crate) fn grant(&mut self, grant: &Grant) {
        if let Some(credit) = &mut self.credit {
            credit.grant(grant);
        }
    }

    /// The room.
    pub(crate) fn room(&self) -> &RoomName {
        self.subscriber.room()
    }

    /// Puts it on its connection's list of those that have something.
    pub(crate) fn wake(&self) {
        self.waiter.wake();
    }

    /// Takes what stands at the position and moves on behind it: a shared frame of the feed where there is
    /// one, else a page of the log.
    ///
    /// # Errors
    /// The subscription cannot go on; nothing is skipped.
    pub(crate) async fn turn(&mut self, edge: &Edge, codec: Codec) -> Result<Turn, LogGap> {
        if self.source.standing() == Standing::Doubtful {
            return Ok(Turn::Suspended);
        }
        if let Some(turn) = self.answer_beat(edge, codec).await? {
            return Ok(turn);
        }
        if self.to.is_some_and(|to| self.position > to) {
            return Ok(Turn::Ended);
        }
        // One that has no credit stays on the list, so that no message wakes a client that may not have it.
        let has_credit = self.credit.as_ref().is_none_or(|credit| self.position <= credit.limit());
        if has_credit {
            self.waiter.taken();
        }
        // Looked at behind that, as what comes next wakes it.
        let step = match self.source.standing() {
            Standing::Doubtful => return Ok(Turn::Suspended),
            Standing::Stands if has_credit => Some(self.subscriber.at(self.position)),
            Standing::Stands | Standing::NotYet => None,
        };
        // Looked at behind the messages and handed out before them: what was held is heard of before it is confirmed.
        if let Some(events) = &mut self.events
            && let Some(message) = events.next(&self.subscriber, codec)?
        {
            return Ok(Turn::Message(message));
        }
        match step {
            None | Some(Step::Wait) => Ok(Turn::Wait),
            Some(Step::Ended) => Ok(Turn::Ended),
            Some(Step::Frame(frame)) => Ok(Turn::Message(self.take(edge, &frame, codec))),
            Some(Step::Log(kept_to)) => self.page(edge, codec, kept_to).await,
        }
    }

    /// Reads the log at the position, up to `kept_to`.
    async fn page(&mut self, edge: &Edge, codec: Codec, kept_to: Offset) -> Result<Turn, LogGap> {
        let wanted = self.position;
        let to = self.until(kept_to);
        let ask = PageAsk { life: self.subscriber.life(), from: wanted, to };
        match self.source.page(edge, ask, &self.waiter).await.map_err(LogGap::Unreadable)? {
            Page::Here(frame) if frame.first() == wanted => {
                edge.metrics.log_pages.inc();
                Ok(Turn::Message(self.take(edge, &frame, codec)))
            }
            Page::Here(frame) => Err(LogGap::Trimmed { wanted, found: frame.first() }),
            Page::Trimmed(found) => Err(LogGap::Trimmed { wanted, found }),
            Page::NotYet => Ok(Turn::Wait),
            Page::Gone => Ok(Turn::Ended),
            Page::Doubtful => Ok(Turn::Suspended),
        }
    }

    /// Goes on with the heartbeat that is being answered. `None`: there is none, or nothing is missing any more.
    async fn answer_beat(&mut self, edge: &Edge, codec: Codec) -> Result<Option<Turn>, LogGap> {
        let Some(mut beat) = self.beat.take() else { return Ok(None) };
        let (low, end) = beat.span();
        let life = self.subscriber.life();
        loop {
            let (recent, unknown) = self.subscriber.recent(low, end);
            let ask = match &mut beat.step {
                BeatStep::Read(at, read) => match unknown.filter(|(_, end)| *at < *end) {
                    Some((low, end)) => PageAsk { life, from: low.max(*at), to: Offset(end.get() - 1) },
                    None => {
                        self.subscriber.rebuild(read);
                        read.extend(recent.iter().skip_while(|entry| entry.offset < *at));
                        let known = std::mem::take(read);
                        beat.compare(&known, clock::now());
                        continue;
                    }
                },
                BeatStep::Fetch(missing) => match missing.front() {
                    Some((from, to)) => PageAsk { life, from: *from, to: *to },
                    None => return Ok(None),
                },
            };
            // So that it is woken for the page also where it has no credit.
            self.waiter.taken();
            let frame = match self.source.page(edge, ask, &self.waiter).await.map_err(LogGap::Unreadable)? {
                Page::Here(frame) => Some(frame),
                // A sync has what is kept: the rest was handed out once, and is not skipped in the log.
                Page::Trimmed(first) => {
                    beat.go_on_at(first);
                    continue;
                }
                Page::Gone => None,
                Page::NotYet => {
                    self.beat = Some(beat);
                    return Ok(Some(Turn::Wait));
                }
                Page::Doubtful => {
                    self.beat = Some(beat);
                    return Ok(Some(Turn::Suspended));
                }
            };
            // A page that others wait for too may reach further.
            let items = frame.as_ref().map_or(&[][..], |frame| frame.items());
            let items = &items[..items.partition_point(|item| item.offset <= ask.to)];
            let behind = items.last().map_or(ask.to, |item| item.offset).next();
            match &mut beat.step {
                BeatStep::Read(at, read) => {
                    read.extend(items.iter().map(Entry::from));
                    *at = behind;
                }
                BeatStep::Fetch(missing) => {
                    match missing.front_mut() {
                        Some((from, to)) if behind <= *to => *from = behind,
                        _ => drop(missing.pop_front()),
                    }
                    if items.is_empty() {
                        continue;
                    }
                    self.beat = Some(beat);
                    let sync = codec.encode_sync(self.subscriber.room(), items);
                    return Ok(Some(Turn::Message(to_message(sync))));
                }
            }
        }
    }

    /// What of the frame is for this client. The position is in it, and moves on behind it.
    fn take(&mut self, edge: &Edge, frame: &FeedFrame, codec: Codec) -> Message {
        let (from, last) = (self.position, frame.last());
        let to = self.until(last);
        self.position = to.next();
        edge.metrics.messages_delivered.inc_by(to.next().get() - from.get());
        let room = self.subscriber.room();
        if from == frame.first() && to == last {
            frame.message(codec, room)
        } else {
            frame.part(codec, room, from, to)
        }
    }

    /// How far the client may be sent what reaches to `last`.
    fn until(&self, last: Offset) -> Offset {
        let limit = self.credit.as_ref().map(Credit::limit);
        [self.to, limit].into_iter().flatten().fold(last, Offset::min)
    }
}
