//! A session socket's place in a room that another node owns.
//!
//! Its commands go to the owner over the client's own socket, in their order, and what the owner has for this client
//! alone comes back. The client's subscription is at the owner too, which knows where it begins, but with no credit:
//! messages come to this node once, and from there to all its clients. Only who reads what is held too is served
//! whole by the owner: held messages come before the same ones confirmed, and two sockets keep no order.

use std::future::pending;
use std::sync::Arc;

use futures::future::BoxFuture;
use roomkeeper_protocol::{
    Command, Error, ErrorCode, From, Heartbeat, Isolation, Join, JoinOk, OwnerHint, Publish, Reply, RoomRef,
    Seen,
};
use roomkeeper_types::{LifeId, RoomName};
use tokio::sync::{oneshot, watch};

use super::Followed;
use super::upstream::{Place, Upstream};
use crate::host::{Owner, Tenure};
use crate::hub::Waiter;
use crate::local::Span;
use crate::route::route_after;
use crate::ws::{Answer, Conn, Credit, Handed, Outgoing, Source, Subscription, Ticket};

/// A session socket's place in a room that another node owns.
pub(crate) struct RemoteSeat {
    conn: Arc<Conn>,
    upstream: Arc<Upstream>,
    room: RoomName,
    owner: Owner,
    place: watch::Receiver<Place>,
    /// The room's messages, while the client is subscribed.
    followed: Option<Arc<Followed>>,
    /// What the owner was told last of whether the client is there.
    here: bool,
    /// Resolves when the room has an owner of a higher epoch: this one may have died without a word.
    overtaken: BoxFuture<'static, ()>,
    /// Seen to be lost.
    is_over: bool,
}

impl RemoteSeat {
    pub(super) fn new(conn: Arc<Conn>, upstream: Arc<Upstream>, room: RoomName, owner: Owner) -> Self {
        let place = upstream.places.add(&room);
        let (host, tenure) = (conn.edge.host.clone(), owner.tenure());
        let overtaken = Box::pin(async move { route_after(host.as_ref(), tenure.shard, tenure.epoch).await });
        Self { conn, upstream, room, owner, place, followed: None, here: true, overtaken, is_over: false }
    }

    /// The ownership that the seat relies on.
    pub(crate) fn tenure(&self) -> Tenure {
        self.owner.tenure()
    }

    /// The room was put in another shard.
    pub(crate) fn give_up(&mut self) {
        self.is_over = true;
    }

    /// Whether it still stands, as far as is known here.
    pub(crate) fn is_current(&self) -> bool {
        !self.is_over
            && !self.upstream.is_gone()
            && !matches!(*self.place.borrow(), Place::Moved(_))
            && self.followed.as_ref().is_none_or(|followed| !followed.is_lost())
    }

    /// Resolves when it is lost.
    pub(crate) async fn lost(&mut self) {
        if self.is_over {
            return;
        }
        let messages_lost = async {
            match &self.followed {
                Some(followed) => followed.lost().await,
                None => pending().await,
            }
        };
        tokio::select! {
            // Either the owner says so, or the place goes with its socket: both end the seat.
            _ = self.place.wait_for(|place| matches!(place, Place::Moved(_))) => {}
            () = messages_lost => {}
            () = &mut self.overtaken => {}
        }
        self.is_over = true;
    }

    /// What the former owner said of the new one.
    pub(crate) fn hint(&self) -> Option<OwnerHint> {
        match &*self.place.borrow() {
            Place::Moved(hint) if hint.node.is_some() => Some(hint.clone()),
            _ => None,
        }
    }

    /// Joins and answers, and from then on the socket's writer serves the subscription. Returns what the client is
    /// handed from now on, which it was from `past` on before the room moved; the ticket unanswered where the seat is
    /// lost, so that the join may be tried at the next owner.
    pub(crate) async fn join(
        &mut self,
        join: Join,
        past: Option<Handed>,
        ticket: Ticket,
    ) -> Result<Option<Handed>, Ticket> {
        let whole = join.isolation == Isolation::Uncommitted;
        let (joined, outcome) = oneshot::channel();
        let (conn, places, room) = (self.conn.clone(), self.upstream.places.clone(), self.room.clone());
        // Answered where the reply arrives, before the pushes that arrive behind it.
        let done = move |reply: Result<Reply, Error>| {
            let outcome = match reply {
                Err(error) if error.code == ErrorCode::Unavailable => Err((error, ticket)),
                reply => {
                    let ok = reply.as_ref().ok().and_then(joined_with);
                    if ok.is_some() {
                        places.set(&room, Place::Joined { whole });
                        // Behind the reply come messages of the new subscription only.
                        conn.send(Outgoing::Unsubscribe(room));
                    }
                    ticket.answer(reply);
                    Ok(ok)
                }
            };
            // Where nobody takes it, the whole socket is gone.
            drop(joined.send(outcome));
        };
        let credit = if whole { join.credit } else { Some(0) };
        let upstream = Join { room: self.named(join.room.life), credit, ..join.clone() };
        self.upstream.call(Command::Join(upstream), Box::new(done)).await;
        match outcome.await {
            Ok(Ok(Some(ok))) => {
                self.here = true;
                if whole {
                    self.followed = None;
                } else {
                    self.subscribe(&join, past, &ok);
                }
                Ok(Some(Handed { life: ok.life, from: ok.from }))
            }
            // What the owner said of the room came before its reply.
            Ok(Err((_, ticket))) if !self.is_current() => Err(ticket),
            Ok(Err((error, ticket))) => {
                ticket.answer(Err(error));
                Ok(None)
            }
            // The ticket has answered, with a refusal or when it was dropped.
            Ok(Ok(None)) | Err(_) => Ok(None),
        }
    }

    /// The owner has joined the client: its messages come from what this node follows.
    fn subscribe(&mut self, join: &Join, past: Option<Handed>, ok: &JoinOk) {
        let id = self.conn.next_subscription();
        let waiter = Waiter::new(id, self.conn.ready.clone());
        let edge = &self.conn.edge;
        let (followed, subscriber) = edge.links.follow(edge, &self.owner, ok, &waiter);
        let followed = Arc::new(followed);
        self.followed = Some(followed.clone());
        let to = match join.from {
            From::Range(_, to) => Some(to),
            _ => None,
        };
        let (source, span) = (Source::Remote(followed, None), Span { from: ok.from, to });
        // The owner was told of no credit but none, and what happens beside the messages comes from there.
        let credit = join.credit.map(|ahead| Credit::new(ahead, ok.from, join.consumer.clone()));
        let subscription = Subscription::new(id, subscriber, waiter, source, span).with_credit(credit);
        self.conn.send(Outgoing::Subscribe(Box::new(subscription.with_past(past))));
    }

    /// Whether the client's messages come from the owner to it alone.
    pub(crate) fn is_served_whole(&self) -> bool {
        matches!(*self.place.borrow(), Place::Joined { whole: true })
    }

    /// The client says what it has: compared where its messages come from. Whether it is there the owner hears when
    /// that changes.
    pub(crate) async fn beat(&mut self, seen: Seen) {
        let changed = std::mem::replace(&mut self.here, seen.here) != seen.here;
        let told = if self.is_served_whole() {
            Some(seen)
        } else {
            let here = changed.then(|| Seen { here: seen.here, seen: Vec::new(), upto: None });
            self.conn.send(Outgoing::Beat(self.room.clone(), Box::new(seen)));
            here
        };
        if let Some(told) = told {
            let heartbeat = Heartbeat { rooms: vec![(Some(self.room.clone()), told)] };
            // It has no refusal, and nobody waits for it.
            self.upstream.call(Command::Heartbeat(heartbeat), Box::new(drop)).await;
        }
    }

    /// Ends the client's subscription, and answers.
    pub(crate) async fn leave(&mut self, ticket: Ticket) {
        self.followed = None;
        self.conn.send(Outgoing::Unsubscribe(self.room.clone()));
        self.ask(Command::Leave(RoomRef::default()), ticket).await;
    }

    /// Ends the client's subscription without an answer; the place stays.
    pub(crate) async fn unsubscribe(&mut self) {
        self.followed = None;
        // What is on its way already is not for the client any more.
        self.upstream.places.set(&self.room, Place::Idle);
        // It has no refusal, and nobody waits for it.
        self.upstream.call(Command::Leave(self.named(None)), Box::new(drop)).await;
    }

    /// Ends the subscription, if there is one, without a word to the client, who hears that the room moved.
    pub(crate) async fn abandon(&mut self) {
        self.followed = None;
        let was_joined = self.upstream.places.remove(&self.room);
        if was_joined && !self.upstream.is_gone() {
            // It has no refusal, and nobody waits for it.
            self.upstream.call(Command::Leave(self.named(None)), Box::new(drop)).await;
        }
    }

    /// What follows begins anew: an earlier place in the same room, over the same socket, may have left the
    /// owner waiting for a join before it takes more publishes.
    pub(crate) async fn begin_anew(&mut self) {
        // It has no refusal, and nobody waits for it.
        self.upstream.call(Command::Leave(self.named(None)), Box::new(drop)).await;
    }

    /// Sends a publish on its way.
    pub(crate) async fn publish(&mut self, publish: Publish, life: Option<LifeId>, answer: Answer) {
        let publish = Publish { room: self.named(life), ..publish };
        self.upstream.call(Command::Publish(publish), Box::new(move |reply| answer.give(reply))).await;
    }

    /// Sends a command and waits for the answer.
    ///
    /// # Errors
    /// As the command; `unavailable` where the socket to the owner ends.
    pub(crate) async fn call(&mut self, command: Command) -> Result<Reply, Error> {
        let (done, reply) = oneshot::channel();
        let command = self.name(command);
        self.upstream.call(command, Box::new(move |reply| drop(done.send(reply)))).await;
        reply.await.unwrap_or_else(|_| Err(Error::new(ErrorCode::Unavailable, "the owner gave no answer")))
    }

    /// Sends any other command on its way.
    pub(crate) async fn ask(&mut self, command: Command, ticket: Ticket) {
        let command = self.name(command);
        self.upstream.call(command, Box::new(move |reply| ticket.answer(reply))).await;
    }

    /// The socket to the owner is bound to no room.
    fn name(&self, mut command: Command) -> Command {
        if let Command::Create(create) = &mut command {
            create.room = Some(self.room.clone());
        } else if let Some(room) = command.room_mut() {
            room.room = Some(self.room.clone());
        }
        command
    }

    fn named(&self, life: Option<LifeId>) -> RoomRef {
        RoomRef { room: Some(self.room.clone()), life }
    }
}

fn joined_with(reply: &Reply) -> Option<JoinOk> {
    match reply {
        Reply::Join(ok) => Some(ok.clone()),
        _ => None,
    }
}
