//! A cluster of fake nodes in this process: one room, kept in memory, with real sockets and the real codecs.
//! Tests tell it when to move the room, drop connections, or lose answers.

#![allow(clippy::result_large_err, reason = "the library's own signature of handshake callbacks")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use futures::{FutureExt, SinkExt, StreamExt};
use parking_lot::Mutex;
use roomkeeper_client::protocol::{
    Codec, Command, Error, ErrorCode, Frame, From, HelloOk, HistoryOk, Item, JoinOk, Limits, OwnerHint,
    PublishOk, Push, Reply, Request, ServerFrame,
};
use roomkeeper_client::types::{
    ClusterId, Epoch, LifeId, MessageId, NodeId, Offset, RoomName, ShardId, Timestamp, UserId,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::handshake::server as ws;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// Nobody owns the room: handshakes are answered 503.
const NOBODY: usize = usize::MAX;

/// What open connections are told to do.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// Vanish, as if the process was killed.
    Vanish,
    /// Say that the room has moved, and close.
    Moved,
    /// Close with this code.
    Close(u16),
    /// Stay open and do nothing, those of this node.
    Freeze(usize),
}

/// The cluster. Its nodes serve until the test ends.
pub(crate) struct FakeCluster {
    nodes: Vec<SocketAddr>,
    state: Arc<State>,
}

struct State {
    nodes: Mutex<Vec<String>>,
    log: Mutex<Log>,
    /// The log's length, for subscribers.
    length: watch::Sender<usize>,
    orders: broadcast::Sender<Order>,
    owner: AtomicUsize,
    /// Publishes that are stored, but whose connection vanishes instead of answering.
    unanswered: AtomicUsize,
    /// Publishes that are answered `unavailable` without being stored.
    unavailable: AtomicUsize,
    /// What clients of a moved room are asked to wait, milliseconds.
    retry_after_ms: AtomicU32,
    /// The node that accepts connections and answers nothing, as one that is stopped.
    frozen: AtomicUsize,
    /// Whether each node names the next one, for ever.
    circular: bool,
}

#[derive(Default)]
struct Log {
    items: Vec<Item>,
    known: HashMap<MessageId, Offset>,
}

impl FakeCluster {
    /// Starts that many nodes; the first one owns the room.
    pub(crate) async fn start(nodes: usize) -> Self {
        Self::start_with(nodes, false).await
    }

    /// Starts nodes that redirect in a circle.
    pub(crate) async fn start_circular(nodes: usize) -> Self {
        Self::start_with(nodes, true).await
    }

    async fn start_with(count: usize, circular: bool) -> Self {
        let state = Arc::new(State {
            nodes: Mutex::default(),
            log: Mutex::default(),
            length: watch::channel(0).0,
            orders: broadcast::channel(16).0,
            owner: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            unavailable: AtomicUsize::new(0),
            retry_after_ms: AtomicU32::new(1),
            frozen: AtomicUsize::new(NOBODY),
            circular,
        });
        let mut nodes = Vec::new();
        for node in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            nodes.push(listener.local_addr().unwrap());
            tokio::spawn(listen(listener, node, state.clone()));
        }
        *state.nodes.lock() = nodes.iter().map(|address| format!("http://{address}")).collect();
        Self { nodes, state }
    }

    /// The nodes' URLs.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|address| format!("http://{address}")).collect()
    }

    /// The ids stored, in order.
    pub(crate) fn stored(&self) -> Vec<MessageId> {
        self.state.log.lock().items.iter().map(|item| item.id).collect()
    }

    /// Another node owns the room from now on; those connected are told.
    pub(crate) fn move_to(&self, node: usize) {
        self.state.owner.store(node, Ordering::SeqCst);
        self.order(Order::Moved);
    }

    /// Another node owns the room from now on; the former owner just vanishes.
    pub(crate) fn kill_and_move_to(&self, node: usize) {
        self.state.owner.store(node, Ordering::SeqCst);
        self.order(Order::Vanish);
    }

    /// Another node owns the room from now on; the former owner is stopped, with its connections open.
    pub(crate) fn freeze_and_move_to(&self, node: usize) {
        let former = self.state.owner.swap(node, Ordering::SeqCst);
        self.state.frozen.store(former, Ordering::SeqCst);
        self.order(Order::Freeze(former));
    }

    /// What clients are asked to wait when the room moves, milliseconds.
    pub(crate) fn ask_to_wait(&self, ms: u32) {
        self.state.retry_after_ms.store(ms, Ordering::SeqCst);
    }

    /// Nobody owns the room for a while.
    pub(crate) fn orphan(&self) {
        self.kill_and_move_to(NOBODY);
    }

    /// All connections vanish.
    pub(crate) fn drop_connections(&self) {
        self.order(Order::Vanish);
    }

    /// All connections are closed with this code.
    pub(crate) fn close_connections(&self, code: u16) {
        self.order(Order::Close(code));
    }

    /// The next publish is stored, but its connection vanishes before the answer.
    pub(crate) fn lose_an_answer(&self) {
        self.state.unanswered.fetch_add(1, Ordering::SeqCst);
    }

    /// The next publish is answered `unavailable`, and so are those behind it on its connection.
    pub(crate) fn refuse_a_publish(&self) {
        self.state.unavailable.fetch_add(1, Ordering::SeqCst);
    }

    fn order(&self, order: Order) {
        // Without connections there is nobody to tell.
        let _ = self.state.orders.send(order);
    }
}

impl State {
    fn url_of(&self, node: usize) -> Option<String> {
        self.nodes.lock().get(node).cloned()
    }

    fn hint(&self) -> OwnerHint {
        let owner = self.owner.load(Ordering::SeqCst);
        OwnerHint {
            room: room(),
            node: u32::try_from(owner).ok().map(NodeId),
            url: self.url_of(owner),
            epoch: Epoch(1),
            shard: None,
            retry_after_ms: self.retry_after_ms.load(Ordering::SeqCst),
        }
    }
}

pub(crate) fn room() -> RoomName {
    "general".parse().unwrap()
}

async fn listen(listener: TcpListener, node: usize, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, node, state.clone()));
    }
}

async fn serve(stream: TcpStream, node: usize, state: Arc<State>) {
    if state.frozen.load(Ordering::SeqCst) == node {
        return std::future::pending().await;
    }
    let orders = state.orders.subscribe();
    let mut codec = Codec::Json;
    let mut framed = false;
    let accepted = {
        let (codec, framed, state) = (&mut codec, &mut framed, state.clone());
        accept_hdr_async(stream, move |request: &ws::Request, response| {
            *codec = subprotocol(request).unwrap_or(Codec::Json);
            *framed = request.uri().query() == Some("route=frame");
            answer(&state, node, request, response, *codec, *framed)
        })
        .await
    };
    let Ok(socket) = accepted else { return };
    let mut connection = Connection { node, socket, codec, state, subscriber: None, refusing: false };
    if framed && connection.state.owner.load(Ordering::SeqCst) != node {
        let hint = connection.state.hint();
        connection.push(Push::Redirect(hint)).await;
        connection.close(4300).await;
    } else {
        connection.run(orders).await;
    }
}

fn subprotocol(request: &ws::Request) -> Option<Codec> {
    Codec::from_subprotocol(request.headers().get("sec-websocket-protocol")?.to_str().ok()?)
}

fn answer(
    state: &State,
    node: usize,
    request: &ws::Request,
    mut response: ws::Response,
    codec: Codec,
    framed: bool,
) -> Result<ws::Response, ws::ErrorResponse> {
    let refuse = |status: StatusCode, name: &str, value: String| {
        let mut refusal = ws::ErrorResponse::new(None);
        *refusal.status_mut() = status;
        refusal.headers_mut().insert(
            tokio_tungstenite::tungstenite::http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            value.parse().unwrap(),
        );
        Err(refusal)
    };
    let owner = if state.circular {
        (node + 1) % state.nodes.lock().len()
    } else {
        state.owner.load(Ordering::SeqCst)
    };
    if owner == NOBODY {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "retry-after", "0".into());
    }
    if owner != node && !framed {
        let url = state.url_of(owner).unwrap().replace("http:", "ws:");
        let path = request.uri().path_and_query().unwrap();
        return refuse(StatusCode::TEMPORARY_REDIRECT, "location", format!("{url}{path}&hops=1"));
    }
    response.headers_mut().insert("sec-websocket-protocol", codec.subprotocol().parse().unwrap());
    Ok(response)
}

struct Connection {
    node: usize,
    socket: WebSocketStream<TcpStream>,
    codec: Codec,
    state: Arc<State>,
    /// Index of the item that is pushed next.
    subscriber: Option<usize>,
    /// A publish of this connection ended unknown: those behind it do too.
    refusing: bool,
}

impl Connection {
    async fn run(mut self, mut orders: broadcast::Receiver<Order>) {
        let mut length = self.state.length.subscribe();
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order.unwrap() {
                    Order::Vanish => return,
                    Order::Moved => {
                        let hint = self.state.hint();
                        self.push(Push::Moved(hint)).await;
                        return self.close(4300).await;
                    }
                    Order::Close(code) => return self.close(code).await,
                    Order::Freeze(node) if node == self.node => return std::future::pending().await,
                    Order::Freeze(_) => {}
                },
                message = self.socket.next() => {
                    if !self.answer_all(message).await {
                        return;
                    }
                }
                _ = length.changed(), if self.subscriber.is_some() => {}
            }
            self.catch_up().await;
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
            }
            next = self.socket.next().now_or_never();
        }
        self.socket.flush().await.is_ok()
    }

    /// The reply, or `None` to vanish instead.
    fn handle(&mut self, request: &Request) -> Option<Result<Reply, Error>> {
        let mut log = self.state.log.lock();
        let next = Offset(log.items.len() as u64 + 1);
        Some(Ok(match &request.command {
            Command::Hello(_) => Reply::Hello(HelloOk {
                node: NodeId(1),
                cluster: ClusterId([0; 16]),
                user: user(),
                session: "s".into(),
                heartbeat_ms: [3500, 7000],
                limits: Limits::default(),
                features: Vec::new(),
                expires: None,
            }),
            Command::Join(join) => {
                let from = match join.from {
                    From::Beginning => Offset::FIRST,
                    From::Offset(offset) => offset,
                    _ => next,
                };
                self.subscriber = Some(from.0 as usize - 1);
                let life = LifeId { shard: ShardId(0), index: 1, ordinal: 0 };
                let (room, first) = (room(), Offset::FIRST);
                Reply::Join(JoinOk {
                    room,
                    owner: NodeId(1),
                    epoch: Epoch(1),
                    life,
                    first,
                    next,
                    from,
                    members: None,
                    committed: None,
                    unread: None,
                })
            }
            Command::Publish(publish) => {
                if self.refusing || take(&self.state.unavailable) {
                    self.refusing = true;
                    return Some(Err(Error::new(ErrorCode::Unavailable, "not proposed")));
                }
                let known = |message: &_| -> bool {
                    let message: &roomkeeper_client::protocol::NewMessage = message;
                    log.known.contains_key(&message.id)
                };
                let duplicates: Vec<bool> = publish.messages.iter().map(known).collect();
                let offsets = publish.messages.iter().map(|message| {
                    if let Some(offset) = log.known.get(&message.id) {
                        return *offset;
                    }
                    let offset = Offset(log.items.len() as u64 + 1);
                    log.known.insert(message.id, offset);
                    log.items.push(Item {
                        offset,
                        epoch: Epoch(1),
                        id: message.id,
                        from: user(),
                        time: Timestamp(1),
                        sent: message.sent,
                        data: message.data.clone(),
                    });
                    offset
                });
                let offsets = offsets.collect();
                self.state.length.send_replace(log.items.len());
                if take(&self.state.unanswered) {
                    return None;
                }
                Reply::Publish(PublishOk { epoch: Epoch(1), offsets, duplicates, held: false, expires: None })
            }
            Command::History(_) => Reply::History(HistoryOk { items: log.items.clone(), next }),
            Command::Leave(_) => {
                self.subscriber = None;
                Reply::Leave
            }
            other => return Some(Err(Error::bad_request(format!("the fake has no {}", other.name())))),
        }))
    }

    async fn catch_up(&mut self) {
        let Some(start) = self.subscriber else { return };
        let items = self.state.log.lock().items[start..].to_vec();
        if !items.is_empty() {
            self.subscriber = Some(start + items.len());
            for chunk in items.chunks(100) {
                self.push(Push::Messages { room: room(), items: chunk.to_vec() }).await;
            }
        }
    }

    async fn push(&mut self, push: Push) {
        self.send(ServerFrame::Push(push)).await;
    }

    async fn send(&mut self, frame: ServerFrame) {
        self.feed(frame).await;
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

    async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: "as told".into() };
        let _ = self.socket.close(Some(frame)).await;
        // Reads until the client has answered, so that the close is not overtaken by a reset.
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

fn user() -> UserId {
    "ann".parse().unwrap()
}

/// Takes one off a counter; `false` if nothing was left.
fn take(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}
