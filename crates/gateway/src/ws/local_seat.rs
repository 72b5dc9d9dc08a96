//! A socket's place in a room that this node owns.

use std::sync::Arc;

use futures::future::BoxFuture;
use roomkeeper_protocol::{Command, Error, ErrorCode, Isolation, Join, JoinOk, Publish, Reply};
use roomkeeper_room::read::RoomInfo;
use roomkeeper_types::LifeId;

use super::conn::{Conn, Outgoing};
use super::credit::Credit;
use super::events::Events;
use super::source::Source;
use super::subscription::{Handed, Subscription};
use super::ticket::Ticket;
use super::window::Answer;
use crate::clock::now;
use crate::failure;
use crate::host::Tenure;
use crate::hub::{Full, MemberId, Membership, Subscriber, Waiter};
use crate::local::{LocalRoom, Span, cursor_in, open_holds};
use crate::route::OWNERSHIP_ENDS;

/// A socket's place in a room that this node owns.
pub(crate) struct LocalSeat {
    /// Shared with publishes under way.
    room: Arc<LocalRoom>,
    lost: BoxFuture<'static, ()>,
    /// Seen to be lost.
    is_over: bool,
}

impl LocalSeat {
    pub(crate) fn new(room: LocalRoom) -> Self {
        Self { lost: room.owned.lost(), room: Arc::new(room), is_over: false }
    }

    /// The ownership.
    pub(crate) fn tenure(&self) -> Tenure {
        self.room.owned.tenure()
    }

    /// Whether the ownership lasts, and is one of the room.
    pub(crate) fn is_current(&self) -> bool {
        !self.is_over && !self.room.is_elsewhere() && self.room.owned.is_current()
    }

    /// Whether the room was found out to be in another shard: nothing of it was done here.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.room.is_elsewhere()
    }

    /// The room was put in another shard.
    pub(crate) fn give_up(&mut self) {
        self.is_over = true;
    }

    /// Resolves when the ownership is over.
    pub(crate) async fn lost(&mut self) {
        if !self.is_over {
            (&mut self.lost).await;
            self.is_over = true;
        }
    }

    /// Joins, answers, and from then on the socket's writer serves the subscription. Returns what the client is handed
    /// from now on, which it was from `past` on before the room moved. The ticket comes back unanswered where the ownership is over: the next owner may be asked.
    pub(crate) async fn join(
        &mut self,
        conn: &Arc<Conn>,
        join: Join,
        past: Option<Handed>,
        ticket: Ticket,
    ) -> Result<Option<Handed>, Ticket> {
        match subscribe(&self.room, conn, &join).await {
            Ok(_) if !self.is_current() => Err(ticket),
            Ok((ok, subscription)) => {
                let handed = Handed { life: ok.life, from: ok.from };
                // In this order: behind the reply come messages of the new subscription only, which may be another life's.
                conn.send(Outgoing::Unsubscribe(self.room.name.clone()));
                ticket.answer(Ok(Reply::Join(ok)));
                conn.send(Outgoing::Subscribe(Box::new(subscription.with_past(past))));
                Ok(Some(handed))
            }
            Err(error) if error.code == ErrorCode::Unavailable && self.is_over_soon().await => Err(ticket),
            Err(error) => {
                ticket.answer(Err(error));
                Ok(None)
            }
        }
    }

    /// Whether the ownership is over. The log, which refused something, may be the first to know.
    pub(crate) async fn is_over_soon(&mut self) -> bool {
        !self.is_current() || tokio::time::timeout(OWNERSHIP_ENDS, self.lost()).await.is_ok()
    }

    /// Hands a publish to the shard. Waits while its queue is full: the socket is not read meanwhile.
    pub(crate) async fn publish(
        &mut self,
        conn: &Conn,
        publish: Publish,
        life: Option<LifeId>,
        answer: Answer,
    ) {
        let count = publish.messages.len();
        let command = self.room.publish_command(life, &conn.acting(), publish);
        let room = self.room.clone();
        let done = Box::new(move |outcome: Result<_, _>| {
            let outcome = outcome.map_err(|error| failure::unsubmitted(&error));
            answer.give(room.published(outcome, count).map(Reply::Publish));
        });
        self.room.owned.submit(command, done).await;
    }

    /// Carries out a command of one question and one answer.
    ///
    /// # Errors
    /// As the command.
    pub(crate) async fn ask(&mut self, conn: &Conn, command: Command) -> Result<Reply, Error> {
        match command {
            Command::Commit(commit) => self.room.commit(commit).await.map(Reply::Commit),
            Command::Confirm(hold) => self.room.confirm(conn.user(), hold).await.map(Reply::Confirm),
            Command::Rollback(hold) => self.room.rollback(conn.user(), hold).await.map(|()| Reply::Rollback),
            Command::Presence(presence) => self.room.presence(presence.life).await.map(Reply::Presence),
            Command::Signal(signal) => self.room.signal(conn.user(), signal).map(|()| Reply::Signal),
            Command::History(history) => self.room.history(&history).await.map(Reply::History),
            Command::Create(create) => self.room.create(&create.options).await.map(Reply::Create),
            Command::Delete(room) => self.room.delete(room.life).await.map(|()| Reply::Delete),
            other => Err(failure::not_yet(other.name())),
        }
    }
}

async fn subscribe(room: &LocalRoom, conn: &Arc<Conn>, join: &Join) -> Result<(JoinOk, Subscription), Error> {
    let life = room.open(&conn.identity(), join.room.life).await?.life;
    let id = conn.next_subscription();
    let waiter = Waiter::new(id, conn.ready.clone());
    let subscriber = room.edge.hub.subscribe(&room.name, life, waiter.clone());
    // A node that follows the room for its own clients wants the messages only: what else there is goes to each
    // client by its own way, which asks for no messages, or for what is held too.
    let follows =
        conn.relayed && !conn.single && join.credit.is_none() && join.isolation == Isolation::Committed;
    let mut events = (!follows).then(|| {
        let ear = Waiter::new(id, conn.ready.clone());
        Events::new(&subscriber, ear, join.isolation)
    });
    // `open` saw everything acked before the join. What was applied before the registration is in these
    // rows, what is applied after it comes through the feed: nothing falls in between.
    let view = room.owned.view();
    let info = room.find_in(&view, Some(life))?.ok_or_else(|| failure::not_found(&room.name))?;
    subscriber.reached(info.next);
    let cursor = join.consumer.as_ref().map(|consumer| cursor_in(&view, &info, consumer)).transpose()?;
    let committed = cursor.map(|cursor| cursor.committed);
    let span = Span::of_consumer(join.from, info.first, info.next, committed)?;
    // Who does not say is counted; told of all who come and go is only who wants to be.
    let counts = info.options.presence && join.presence != Some(false);
    if counts && let Some(listening) = events.take() {
        let enter = entrance(room, &info, conn);
        events = Some(
            listening
                .with_presence(&subscriber, join.presence == Some(true), enter)
                .map_err(|full| failure::room_full(&full))?,
        );
    }
    let members = room.member_count(&info);
    let ok = JoinOk {
        room: room.name.clone(),
        owner: room.edge.host.identity().node,
        epoch: room.owned.epoch(),
        life,
        first: info.first,
        next: info.next,
        from: span.from,
        members,
        committed,
        unread: cursor.map(|cursor| cursor.unread),
    };
    let source = Source::Local(room.owned.clone());
    let credit = join.credit.map(|ahead| Credit::new(ahead, span.from, join.consumer.clone()));
    let mut subscription = Subscription::new(id, subscriber, waiter, source, span).with_credit(credit);
    if let Some(events) = events {
        let open = match join.isolation {
            Isolation::Uncommitted => open_holds(&view, &room.name, life)?,
            Isolation::Committed => Vec::new(),
        };
        subscription = subscription.with_events(events.with_open(open));
    }
    Ok((ok, subscription))
}

/// How a client becomes a member of the room.
fn entrance(
    room: &LocalRoom,
    info: &RoomInfo,
    conn: &Conn,
) -> impl Fn(&Subscriber) -> Result<Membership, Full> + Send + use<> {
    let id = MemberId { user: conn.user(), device: conn.device() };
    let max = info.options.max_members;
    let counting = room.counting(info);
    move |subscriber| subscriber.enter(id.clone(), counting, now(), max)
}
