//! A cluster of fake nodes in this process: one room, kept in memory, with real sockets and the real codecs.
//! Tests tell it when to move the room, drop connections, or lose answers.

#![allow(clippy::result_large_err, reason = "the library's own signature of handshake callbacks")]
#![allow(dead_code, reason = "each test file uses its own part")]

mod connection;
mod room;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use roomkeeper_client::protocol::{Codec, Data, Error, ErrorCode, Hello, NewMessage, OwnerHint, Push};
use roomkeeper_client::types::{ConsumerId, Epoch, MessageId, NodeId, Offset, RoomName, UserId};
use roomkeeper_client::{Client, ClientConfig, Room};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server as ws;
use tokio_tungstenite::tungstenite::http::StatusCode;

use connection::Connection;
use room::FakeRoom;

/// Longer than anything here takes, even on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
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
    room: Mutex<FakeRoom>,
    /// The log's length, for subscribers.
    length: watch::Sender<usize>,
    /// What is told to all who have joined.
    pushes: broadcast::Sender<Push>,
    orders: broadcast::Sender<Order>,
    connections: AtomicU64,
    owner: AtomicUsize,
    /// Publishes that are stored, but whose connection vanishes instead of answering.
    unanswered: AtomicUsize,
    /// Publishes that are answered `unavailable` without being stored.
    unavailable: AtomicUsize,
    /// Publishes that are answered `rate_limited`.
    rate_limited: AtomicUsize,
    /// Pushes whose first message is left out.
    skipped: AtomicUsize,
    /// Messages that were synced.
    synced: AtomicUsize,
    /// The most messages that a consumer was sent beyond its cursor.
    ahead: AtomicU64,
    /// The interval between heartbeats that clients are told.
    heartbeat_ms: AtomicU32,
    /// The only token that is good, and for how long after a hello.
    token: Mutex<Option<(String, Duration)>>,
    /// What clients of a moved room are asked to wait, milliseconds.
    retry_after_ms: AtomicU32,
    /// The node that accepts connections and answers nothing, as one that is stopped.
    frozen: AtomicUsize,
    /// Whether each node names the next one, for ever.
    circular: bool,
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
            room: Mutex::default(),
            length: watch::channel(0).0,
            pushes: broadcast::channel(1_024).0,
            orders: broadcast::channel(16).0,
            connections: AtomicU64::new(0),
            owner: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            unavailable: AtomicUsize::new(0),
            rate_limited: AtomicUsize::new(0),
            skipped: AtomicUsize::new(0),
            synced: AtomicUsize::new(0),
            ahead: AtomicU64::new(0),
            heartbeat_ms: AtomicU32::new(3_500),
            token: Mutex::default(),
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
        self.state.room.lock().items.iter().map(|item| item.id).collect()
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

    /// The next publish is answered `rate_limited`.
    pub(crate) fn limit_a_publish(&self) {
        self.state.rate_limited.fetch_add(1, Ordering::SeqCst);
    }

    /// The next push of messages lacks its first one.
    pub(crate) fn skip_a_message(&self) {
        self.state.skipped.fetch_add(1, Ordering::SeqCst);
    }

    /// How many messages were synced.
    pub(crate) fn synced(&self) -> usize {
        self.state.synced.load(Ordering::SeqCst)
    }

    /// A consumer's cursor.
    pub(crate) fn cursor(&self, consumer: &ConsumerId) -> Offset {
        self.state.room.lock().cursor(consumer)
    }

    /// The most messages that a consumer was sent beyond its cursor.
    pub(crate) fn most_ahead(&self) -> u64 {
        self.state.ahead.load(Ordering::SeqCst)
    }

    /// Who connects from now on is told to send heartbeats so often.
    pub(crate) fn ask_for_heartbeats(&self, every_ms: u32) {
        self.state.heartbeat_ms.store(every_ms, Ordering::SeqCst);
    }

    /// From now on that is the only good token, and a hello with it is good for `ttl`.
    pub(crate) fn ask_for_token(&self, token: &str, ttl: Duration) {
        *self.state.token.lock() = Some((token.to_owned(), ttl));
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

impl State {
    /// Tells all who have joined and want to know.
    fn tell(&self, push: Push) {
        // Without connections there is nobody to tell.
        let _ = self.pushes.send(push);
    }

    /// Until when a hello with that token is good.
    fn check_token(&self, token: Option<&str>) -> Result<Option<SystemTime>, Error> {
        match &*self.token.lock() {
            None => Ok(None),
            Some((good, ttl)) if token == Some(good) => Ok(Some(SystemTime::now() + *ttl)),
            Some(_) => Err(Error::new(ErrorCode::Unauthorized, "not the token of the day")),
        }
    }
}

/// A client of the cluster's, and its handle of the room.
pub(crate) fn open(cluster: &FakeCluster, change: impl FnOnce(&mut ClientConfig)) -> (Client, Room) {
    let mut config = ClientConfig::new(cluster.urls());
    change(&mut config);
    let client = Client::new(config).unwrap();
    let room = client.room(room());
    (client, room)
}

pub(crate) fn id(n: u32) -> MessageId {
    let mut id = [0; 16];
    id[12..].copy_from_slice(&n.to_be_bytes());
    MessageId(id)
}

pub(crate) fn messages(n: u32) -> Vec<NewMessage> {
    vec![NewMessage { id: id(n), data: Data::json_string(&format!("message {n}")), sent: None }]
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
    stream.set_nodelay(true).unwrap();
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
    let number = state.connections.fetch_add(1, Ordering::SeqCst);
    let (hello, expires) = (Hello::default(), None);
    let mut connection =
        Connection { number, node, socket, codec, state, hello, subscriber: None, refusing: false, expires };
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

fn user() -> UserId {
    "ann".parse().unwrap()
}

/// Takes one off a counter; `false` if nothing was left.
fn take(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}
