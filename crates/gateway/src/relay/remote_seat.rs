//! A session socket's place in a room that another node owns.

use std::sync::Arc;

use futures::future::BoxFuture;
use roomkeeper_protocol::{Command, Error, ErrorCode, Join, OwnerHint, Publish, Reply, RoomRef};
use roomkeeper_types::{Epoch, LifeId, RoomName};
use tokio::sync::{oneshot, watch};

use super::upstream::Upstream;
use crate::host::{Host, Owner};
use crate::route::route_after;
use crate::ws::{Answer, Ticket};

/// What the socket to the owner says of a room.
#[derive(Debug, Clone)]
pub(super) enum Link {
    /// Nobody is subscribed: messages on their way are of an earlier subscription.
    Idle,
    /// The client is subscribed.
    Joined,
    /// It does not, or not any more.
    Moved(OwnerHint),
}

/// A session socket's place in a room that another node owns.
pub(crate) struct RemoteSeat {
    upstream: Arc<Upstream>,
    room: RoomName,
    epoch: Epoch,
    link: watch::Receiver<Link>,
    /// Resolves when the room has an owner of a higher epoch: this one may have died without a word.
    overtaken: BoxFuture<'static, ()>,
    /// Seen to be lost.
    is_over: bool,
}

impl RemoteSeat {
    pub(super) fn new(host: Arc<dyn Host>, upstream: Arc<Upstream>, room: RoomName, owner: &Owner) -> Self {
        let link = upstream.links.add(&room);
        let (shard, epoch) = (host.shard_of(&room), owner.epoch);
        let overtaken = Box::pin(async move { route_after(host.as_ref(), shard, epoch).await });
        Self { upstream, room, epoch, link, overtaken, is_over: false }
    }

    /// The epoch of the ownership that the seat relies on.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether it still stands, as far as is known here.
    pub(crate) fn is_current(&self) -> bool {
        !self.is_over && !self.upstream.gone.is_cancelled() && !matches!(*self.link.borrow(), Link::Moved(_))
    }

    /// Resolves when it is lost.
    pub(crate) async fn lost(&mut self) {
        if self.is_over {
            return;
        }
        tokio::select! {
            // Either the link says so, or it goes with its socket: both end the seat.
            _ = self.link.wait_for(|link| matches!(link, Link::Moved(_))) => {}
            () = &mut self.overtaken => {}
        }
        self.is_over = true;
    }

    /// What the former owner said of the new one.
    pub(crate) fn hint(&self) -> Option<OwnerHint> {
        match &*self.link.borrow() {
            Link::Moved(hint) if hint.node.is_some() => Some(hint.clone()),
            _ => None,
        }
    }

    /// Joins and answers. Returns the life joined; the ticket unanswered where the seat is lost, so that
    /// the join may be tried at the next owner.
    pub(crate) async fn join(&mut self, join: Join, ticket: Ticket) -> Result<Option<LifeId>, Ticket> {
        let (joined, outcome) = oneshot::channel();
        let (links, room) = (self.upstream.links.clone(), self.room.clone());
        // Answered where the reply arrives, before the messages that arrive behind it.
        let done = move |reply: Result<Reply, Error>| {
            let outcome = match reply {
                Err(error) if error.code == ErrorCode::Unavailable => Err((error, ticket)),
                reply => {
                    let life = reply.as_ref().ok().and_then(life_joined);
                    if life.is_some() {
                        links.set(&room, Link::Joined);
                    }
                    ticket.answer(reply);
                    Ok(life)
                }
            };
            // Where nobody takes it, the whole socket is gone.
            drop(joined.send(outcome));
        };
        let join = Join { room: self.named(join.room.life), ..join };
        self.upstream.call(Command::Join(join), Box::new(done)).await;
        match outcome.await {
            Ok(Ok(life)) => Ok(life),
            // What the owner said of the room came before its reply.
            Ok(Err((_, ticket))) if !self.is_current() => Err(ticket),
            Ok(Err((error, ticket))) => {
                ticket.answer(Err(error));
                Ok(None)
            }
            // The ticket has answered when it was dropped.
            Err(_) => Ok(None),
        }
    }

    /// Ends the subscription, if there is one, without a word to the client, who hears that the room moved.
    pub(crate) async fn abandon(&mut self) {
        let was_joined = self.upstream.links.remove(&self.room);
        if was_joined && !self.upstream.gone.is_cancelled() {
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

    /// Sends any other command on its way.
    pub(crate) async fn ask(&mut self, mut command: Command, ticket: Ticket) {
        match &mut command {
            Command::Leave(room) => room.room = Some(self.room.clone()),
            Command::History(history) => history.room.room = Some(self.room.clone()),
            Command::Delete(room) => room.room = Some(self.room.clone()),
            Command::Create(create) => create.room = Some(self.room.clone()),
            _ => {}
        }
        self.upstream.call(command, Box::new(move |reply| ticket.answer(reply))).await;
    }

    fn named(&self, life: Option<LifeId>) -> RoomRef {
        RoomRef { room: Some(self.room.clone()), life }
    }
}

fn life_joined(reply: &Reply) -> Option<LifeId> {
    match reply {
        Reply::Join(ok) => Some(ok.life),
        _ => None,
    }
}
