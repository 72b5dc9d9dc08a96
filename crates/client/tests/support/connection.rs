//! One open socket of a fake node: its commands, and what its subscriber is sent.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{FutureExt, SinkExt, StreamExt};
use roomkeeper_client::protocol::{
    Codec, Command, Error, ErrorCode, Frame, From, Heartbeat, Hello, HelloOk, HistoryOk, Isolation, Item,
    Join, JoinOk, Limits, Member, PresenceOk, Push, Reply, Request, ServerFrame,
};
use roomkeeper_client::types::{ClusterId, ConsumerId, Epoch, LifeId, NodeId, Offset, ShardId, Timestamp};
use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

use super::{Order, State, room, take, user};

pub(super) struct Connection {
    pub(super) number: u64,
    pub(super) node: usize,
    pub(super) socket: WebSocketStream<TcpStream>,
    pub(super) codec: Codec,
    pub(super) state: Arc<State>,
    pub(super) hello: Hello,
    pub(super) subscriber: Option<Subscriber>,
    /// A publish of this connection ended unknown: those behind it do too.
    pub(super) refusing: bool,
    /// Its token is good until then.
    pub(super) expires: Option<SystemTime>,
}

/// What a joined client is sent.
pub(super) struct Subscriber {
    /// Index of the item that is pushed next.
    next: usize,
    /// The last offset that it may be sent, and what a commit adds to its own.
    credit: Option<(u64, u64)>,
    consumer: Option<ConsumerId>,
    isolation: Isolation,
    presence: bool,
    /// What was handed out before the last heartbeat.
    handed: Offset,
}

impl Connection {
    pub(super) async fn run(mut self, mut orders: broadcast::Receiver<Order>) {
        let mut length = self.state.length.subscribe();
        let mut pushes = self.state.pushes.subscribe();
        loop {
            let expired = Duration::from_millis(self.expires.map_or(u64::MAX >> 20, millis_until));
            tokio::select! {
                biased;
                order = orders.recv() => match order.unwrap() {
                    Order::Vanish => break,
                    Order::Moved => {
                        let hint = self.state.hint();
                        self.push(Push::Moved(hint)).await;
                        return self.close(4300).await;
                    }
                    Order::Close(code) => return self.close(code).await,
                    Order::Freeze(node) if node == self.node => return std::future::pending().await,
                    Order::Freeze(_) => {}
                },
                push = pushes.recv() => {
                    let push = push.unwrap();
                    if self.wants(&push) {
                        self.push(push).await;
                    }
                }
                message = self.socket.next() => {
                    if !self.answer_all(message).await {
                        break;
                    }
                }
                () = tokio::time::sleep(expired) => return self.close(4500).await,
                _ = length.changed(), if self.subscriber.is_some() => {}
            }
            self.catch_up().await;
        }
        self.exit();
    }

    fn exit(&mut self) {
        let left = self.state.room.lock().exit(self.number);
        left.into_iter().for_each(|push| self.state.tell(push));
    }

    fn wants(&self, push: &Push) -> bool {
        let Some(subscriber) = &self.subscriber else { return false };
        match push {
            Push::Presence(_) => subscriber.presence,
            Push::Held { .. } | Push::RolledBack { .. } => subscriber.isolation == Isolation::Uncommitted,
            _ => true,
        }
    }

    /// Answers a message and those that have arrived behind it, all in one write; `false` if the connection
    /// is over.
    async fn answer_all(&mut self, first: Option<Result<Message, WsError>>) -> bool {
        let mut next = Some(first);
        while let Some(message) = next {
            let frame = match message {
                Some(Ok(Message::Text(text))) => Some(Frame::Text(text.into())),
                Some(Ok(Message::Binary(bytes))) => Some(Frame::Binary(bytes)),
                Some(Ok(_)) => None,
                _ => return false,
            };
            if let Some(frame) = frame {
                let request = self.codec.decode_request(&frame, &Limits::default()).unwrap();
                let Some(reply) = self.handle(&request) else { return false };
                self.feed(ServerFrame::Reply(request.id, reply)).await;
                if let Command::Join(Join { isolation: Isolation::Uncommitted, .. }) = request.command {
                    let holds = self.state.room.lock().open_holds();
                    for push in holds {
                        self.feed(ServerFrame::Push(push)).await;
                    }
                }
                if let Command::Heartbeat(heartbeat) = &request.command {
                    self.sync(heartbeat).await;
                }
            }
            next = self.socket.next().now_or_never();
        }
        self.socket.flush().await.is_ok()
    }

    /// The reply, or `None` to vanish instead.
    fn handle(&mut self, request: &Request) -> Option<Result<Reply, Error>> {
        let state = self.state.clone();
        let mut log = state.room.lock();
        let answer = match &request.command {
            Command::Hello(hello) => self.hello(hello),
            Command::Join(join) => {
                let reply = self.join(join, log.next(), join.consumer.as_ref().map(|name| log.cursor(name)));
                if join.presence == Some(true) {
                    let (user, device) = (self.hello.user.clone(), self.hello.device.clone());
                    let user = user.unwrap_or_else(self::user);
                    state.tell(log.enter(self.number, Member { user, device, since: Timestamp(1) }));
                }
                Ok(reply)
            }
            Command::Publish(publish) => {
                if self.refusing || take(&state.unavailable) {
                    self.refusing = true;
                    return Some(Err(Error::new(ErrorCode::Unavailable, "not proposed")));
                }
                if take(&state.rate_limited) {
                    return Some(Err(Error::new(ErrorCode::RateLimited, "too fast")));
                }
                let ok = if publish.hold_ms.is_some() {
                    let (ok, push) = log.hold(publish);
                    state.tell(push);
                    ok
                } else {
                    log.publish(&publish.messages)
                };
                state.length.send_replace(log.items.len());
                if take(&state.unanswered) {
                    return None;
                }
                Ok(Reply::Publish(ok))
            }
            Command::Confirm(hold) => {
                let confirmed = log.confirm(&hold.ids);
                state.length.send_replace(log.items.len());
                if take(&state.unanswered) {
                    return None;
                }
                confirmed.map(Reply::Confirm)
            }
            Command::Rollback(hold) => log.rollback(&hold.ids).map(|push| {
                state.tell(push);
                Reply::Rollback
            }),
            Command::Signal(signal) => {
                state.tell(Push::Signal { room: room(), from: user(), data: signal.data.clone() });
                if take(&state.unanswered) {
                    return None;
                }
                Ok(Reply::Signal)
            }
            Command::Commit(commit) => {
                let committed = log.commit(&commit.consumer, commit.offset);
                if let (Ok(ok), Some(subscriber)) = (&committed, &mut self.subscriber)
                    && let Some((limit, credit)) = &mut subscriber.credit
                    && subscriber.consumer.as_ref() == Some(&commit.consumer)
                {
                    *limit = (*limit).max(ok.committed.get() + *credit);
                }
                if take(&state.unanswered) {
                    return None;
                }
                committed.map(Reply::Commit)
            }
            Command::Credit(credit) => {
                let limit = self.subscriber.as_mut().and_then(|subscriber| subscriber.credit.as_mut());
                let (limit, _) = limit.expect("credit is for those who joined with some");
                *limit += credit.more;
                Ok(Reply::Credit)
            }
            Command::Heartbeat(_) => Ok(Reply::Heartbeat),
            Command::Presence(_) => Ok(Reply::Presence(PresenceOk { members: log.members() })),
            Command::History(_) => {
                Ok(Reply::History(HistoryOk { items: log.items.clone(), next: log.next() }))
            }
            Command::Leave(_) => {
                self.subscriber = None;
                log.exit(self.number).into_iter().for_each(|push| state.tell(push));
                Ok(Reply::Leave)
            }
            other => Err(Error::bad_request(format!("the fake has no {}", other.name()))),
        };
        Some(answer)
    }

    fn hello(&mut self, hello: &Hello) -> Result<Reply, Error> {
        self.hello = hello.clone();
        let expires = self.state.check_token(hello.token.as_ref().map(|token| token.secret()))?;
        self.expires = expires;
        let since_epoch = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap().as_millis();
        Ok(Reply::Hello(HelloOk {
            node: NodeId(1),
            cluster: ClusterId([0; 16]),
            user: user(),
            session: "s".into(),
            heartbeat_ms: [self.state.heartbeat_ms.load(Ordering::SeqCst); 2],
            limits: Limits::default(),
            features: Vec::new(),
            expires: expires.map(|at| Timestamp(u64::try_from(since_epoch(at)).unwrap())),
        }))
    }

    fn join(&mut self, join: &Join, next: Offset, cursor: Option<Offset>) -> Reply {
        let from = match join.from {
            From::Beginning => Offset::FIRST,
            From::Offset(offset) | From::Range(offset, _) => offset,
            From::Committed => cursor.unwrap().next(),
            From::Latest => next,
        };
        let before = from.get() - 1;
        self.subscriber = Some(Subscriber {
            next: before as usize,
            credit: join.credit.map(|credit| (before + credit, credit)),
            consumer: join.consumer.clone(),
            isolation: join.isolation,
            presence: join.presence == Some(true),
            handed: Offset(before),
        });
        Reply::Join(JoinOk {
            room: room(),
            owner: NodeId(1),
            epoch: Epoch(1),
            life: LifeId { shard: ShardId(0), index: 1, ordinal: 0 },
            first: Offset::FIRST,
            next,
            from,
            members: Some(1),
            committed: cursor,
            unread: cursor.map(|cursor| next.get() - 1 - cursor.get()),
        })
    }

    /// What was handed out before the heartbeat before this one, and is not there.
    async fn sync(&mut self, heartbeat: &Heartbeat) {
        let Some(subscriber) = &mut self.subscriber else { return };
        let (_, seen) = &heartbeat.rooms[0];
        let handed = std::mem::replace(&mut subscriber.handed, Offset(subscriber.next as u64));
        let upto = seen.upto.unwrap_or_default();
        let is_missing =
            |item: &&Item| item.offset > upto && item.offset <= handed && !seen.seen.contains(&item.id);
        let items: Vec<Item> = self.state.room.lock().items.iter().filter(is_missing).cloned().collect();
        if !items.is_empty() {
            self.state.synced.fetch_add(items.len(), Ordering::SeqCst);
            self.feed(ServerFrame::Push(Push::Sync { room: room(), items })).await;
        }
    }

    async fn catch_up(&mut self) {
        let Some(subscriber) = &mut self.subscriber else { return };
        let start = subscriber.next;
        let items = {
            let room = self.state.room.lock();
            let end = subscriber.credit.map_or(usize::MAX, |(limit, _)| limit as usize).min(room.items.len());
            if let Some(consumer) = &subscriber.consumer {
                let ahead = (end as u64).saturating_sub(room.cursor(consumer).get());
                self.state.ahead.fetch_max(ahead, Ordering::SeqCst);
            }
            room.items[start.min(end)..end].to_vec()
        };
        subscriber.next = start + items.len();
        for chunk in items.chunks(100) {
            let mut items = chunk.to_vec();
            if take(&self.state.skipped) {
                items.remove(0);
            }
            if !items.is_empty() {
                self.push(Push::Messages { room: room(), items }).await;
            }
        }
    }

    pub(super) async fn push(&mut self, push: Push) {
        self.feed(ServerFrame::Push(push)).await;
        // A client that has gone shows at the next read.
        let _ = self.socket.flush().await;
    }

    async fn feed(&mut self, frame: ServerFrame) {
        let frame = match frame {
            ServerFrame::Reply(id, reply) => self.codec.encode_reply(id, &reply),
            ServerFrame::Push(push) => self.codec.encode_push(&push),
        };
        let message = match frame {
            Frame::Text(text) => Message::Text(text.try_into().unwrap()),
            Frame::Binary(bytes) => Message::Binary(bytes),
        };
        let _ = self.socket.feed(message).await;
    }

    pub(super) async fn close(mut self, code: u16) {
        self.exit();
        let frame = CloseFrame { code: CloseCode::from(code), reason: "as told".into() };
        let _ = self.socket.close(Some(frame)).await;
        // Reads until the client has answered, so that the close is not overtaken by a reset.
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

fn millis_until(at: SystemTime) -> u64 {
    let left = at.duration_since(SystemTime::now()).unwrap_or_default();
    u64::try_from(left.as_millis()).unwrap()
}
