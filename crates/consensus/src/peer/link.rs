//! The calling end of a pipe: requests out, answers back to whoever waits for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use roomkeeper_types::NodeId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use super::{MAX_MESSAGE, PIPE_QUEUE, PeerError, PeerHandler, PeerIdentity, header};
use crate::GroupId;
use crate::wire::pb::{Envelope, peer_client::PeerClient};
use crate::wire::{Body, group_number};

/// Shortest time between two attempts to connect.
const RECONNECT_MIN: Duration = Duration::from_millis(20);
/// Longest time between two attempts to connect.
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// What a pipe is for. Lanes have connections of their own, so that bulk does not delay heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Appends and votes.
    Raft,
    /// Heartbeats and the messages of the layer above.
    Ping,
    /// Snapshots.
    Bulk,
}

/// A place in an append stream's queue of answers, reserved before its request goes out: that bounds what is
/// in flight, and an answer is never dropped for want of room.
pub(crate) type Place = mpsc::OwnedPermit<Result<Body, PeerError>>;

enum Waiter {
    Once(oneshot::Sender<Result<Body, PeerError>>),
    Stream(Place),
}

impl Waiter {
    fn tell(self, answer: Result<Body, PeerError>) {
        match self {
            // A caller that gave up is no error.
            Self::Once(waiter) => drop(waiter.send(answer)),
            Self::Stream(place) => drop(place.send(answer)),
        }
    }
}

#[derive(Default)]
struct Pipe {
    /// Counts the connections; a waiter of an older one is not answered by a newer one.
    generation: u64,
    out: Option<mpsc::Sender<Envelope>>,
    waiting: HashMap<u64, Waiter>,
    connecting: bool,
    retry_at: Option<Instant>,
    /// Why the last attempt to connect failed.
    why: String,
    backoff: Duration,
}

/// A pipe to one node. It connects when it is used, and after a failure not before a pause.
pub(crate) struct Link {
    node: NodeId,
    identity: Arc<PeerIdentity>,
    handler: Arc<dyn PeerHandler>,
    next_call: AtomicU64,
    pipe: Mutex<Pipe>,
    connected: tokio::sync::Notify,
}

impl Link {
    fn new(node: NodeId, identity: Arc<PeerIdentity>, handler: Arc<dyn PeerHandler>) -> Self {
        Self {
            node,
            identity,
            handler,
            next_call: AtomicU64::new(1),
            pipe: Mutex::default(),
            connected: tokio::sync::Notify::new(),
        }
    }

    fn unreachable(&self, why: impl ToString) -> PeerError {
        PeerError::Unreachable(self.node.to_string(), why.to_string())
    }

    /// The way out, connected if need be, and which connection it is.
    async fn out(self: &Arc<Self>) -> Result<(mpsc::Sender<Envelope>, u64), PeerError> {
        loop {
            let connected = self.connected.notified();
            {
                let mut pipe = self.pipe.lock();
                if let Some(out) = pipe.out.as_ref().filter(|out| !out.is_closed()) {
                    return Ok((out.clone(), pipe.generation));
                }
                if !pipe.connecting {
                    if pipe.retry_at.is_some_and(|at| at > Instant::now()) {
                        return Err(self.unreachable(&pipe.why));
                    }
                    pipe.connecting = true;
                    tokio::spawn(self.clone().connect());
                }
            }
            connected.await;
            let pipe = self.pipe.lock();
            if pipe.out.is_none() {
                return Err(self.unreachable(&pipe.why));
            }
        }
    }

    /// One connection's life.
    async fn connect(self: Arc<Self>) {
        match self.open().await {
            Ok((out, mut answers)) => {
                let generation = {
                    let mut pipe = self.pipe.lock();
                    pipe.generation += 1;
                    pipe.out = Some(out);
                    pipe.connecting = false;
                    pipe.backoff = RECONNECT_MIN;
                    pipe.generation
                };
                self.connected.notify_waiters();
                tracing::debug!(peer = %self.node, "connected to peer");
                let why = loop {
                    match answers.message().await {
                        Ok(Some(envelope)) => self.deliver(envelope),
                        Ok(None) => break "the peer closed the stream".to_owned(),
                        Err(status) => break status.message().to_owned(),
                    }
                };
                tracing::debug!(peer = %self.node, reason = why, "lost connection to peer");
                self.broken(generation, &why);
            }
            Err(why) => {
                tracing::debug!(peer = %self.node, reason = why, "cannot connect to peer");
                let mut pipe = self.pipe.lock();
                pipe.connecting = false;
                pipe.out = None;
                pipe.backoff = (pipe.backoff * 2).clamp(RECONNECT_MIN, RECONNECT_MAX);
                pipe.retry_at = Some(Instant::now() + pipe.backoff);
                pipe.why = why;
                drop(pipe);
                self.connected.notify_waiters();
            }
        }
    }

    async fn open(&self) -> Result<(mpsc::Sender<Envelope>, tonic::Streaming<Envelope>), String> {
        let address = self.handler.address(self.node).ok_or("its address is not known yet")?;
        let mut client = connect_to(&address).await?;
        let (out, requests) = mpsc::channel(PIPE_QUEUE);
        let mut request = tonic::Request::new(ReceiverStream::new(requests));
        let metadata = request.metadata_mut();
        let text = |value: String| value.parse().map_err(|_| "the secret is not plain ASCII".to_owned());
        metadata.insert(header::CLUSTER, text(self.identity.cluster.to_string())?);
        metadata.insert(header::FROM, text(self.identity.node.0.to_string())?);
        metadata.insert(header::TO, text(self.node.0.to_string())?);
        if let Some(secret) = &self.identity.secret {
            metadata.insert(header::SECRET, text(secret.clone())?);
        }
        let answers = client.pipe(request).await.map_err(|status| status.message().to_owned())?;
        Ok((out, answers.into_inner()))
    }

    fn deliver(&self, envelope: Envelope) {
        let mut pipe = self.pipe.lock();
        let answer = match envelope.body {
            Some(Body::Failed(why)) => Err(PeerError::Refused(self.node.to_string(), why)),
            Some(body) => Ok(body),
            None => Err(PeerError::Refused(self.node.to_string(), "an answer without content".into())),
        };
        if let Some(waiter) = pipe.waiting.remove(&envelope.call) {
            waiter.tell(answer);
        }
    }

    fn broken(&self, generation: u64, why: &str) {
        let mut pipe = self.pipe.lock();
        if pipe.generation != generation {
            return;
        }
        pipe.out = None;
        pipe.retry_at = None;
        for (_, waiter) in pipe.waiting.drain() {
            waiter.tell(Err(self.unreachable(why)));
        }
    }

    /// Asks, and waits for the answer until `timeout`. Fails at once if the queue to the peer is full.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        group: GroupId,
        to: u64,
        body: Body,
        timeout: Duration,
    ) -> Result<Body, PeerError> {
        let call = self.next_call.fetch_add(1, Ordering::Relaxed);
        let asking = async {
            let (out, generation) = self.out().await?;
            let (waiter, answer) = oneshot::channel();
            self.wait_for(call, generation, Waiter::Once(waiter))?;
            let envelope = Envelope { call, group: group_number(group), to, body: Some(body) };
            out.try_send(envelope).map_err(|_| self.unreachable("too much waits to be sent to it"))?;
            answer.await.unwrap_or_else(|_| Err(self.unreachable("the connection broke")))
        };
        let result = tokio::time::timeout(timeout, asking).await;
        if !matches!(result, Ok(Ok(_))) {
            self.pipe.lock().waiting.remove(&call);
        }
        result.unwrap_or_else(|_| Err(PeerError::Timeout(self.node.to_string(), timeout)))
    }

    /// Sends a request of an append stream, whose answer goes to `place`. Waits while the queue to the peer is
    /// full. `connection` binds a stream to one connection: `None` takes the present one and returns it.
    pub(crate) async fn send(
        self: &Arc<Self>,
        connection: Option<u64>,
        envelope: Envelope,
        place: Option<Place>,
    ) -> Result<u64, PeerError> {
        let (out, generation) = self.out().await?;
        if connection.is_some_and(|bound| bound != generation) {
            return Err(self.unreachable("the connection broke"));
        }
        let call = envelope.call;
        if let Some(place) = place {
            self.wait_for(call, generation, Waiter::Stream(place))?;
        }
        if out.send(envelope).await.is_err() {
            self.pipe.lock().waiting.remove(&call);
            return Err(self.unreachable("the connection broke"));
        }
        Ok(generation)
    }

    /// A number for the next request.
    pub(crate) fn next_call(&self) -> u64 {
        self.next_call.fetch_add(1, Ordering::Relaxed)
    }

    fn wait_for(&self, call: u64, generation: u64, waiter: Waiter) -> Result<(), PeerError> {
        let mut pipe = self.pipe.lock();
        if pipe.generation != generation || pipe.out.is_none() {
            return Err(self.unreachable("the connection broke"));
        }
        pipe.waiting.insert(call, waiter);
        Ok(())
    }
}

/// Connects to a peer address. The keep-alives find a silent peer within two seconds.
pub(super) async fn connect_to(address: &str) -> Result<PeerClient<tonic::transport::Channel>, String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| format!("'{address}' is not host:port: {error}"))?
        .connect_timeout(Duration::from_secs(1))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(1))
        .keep_alive_timeout(Duration::from_secs(1))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(Some(4 << 20))
        .initial_connection_window_size(Some(8 << 20));
    let channel = endpoint.connect().await.map_err(|error| {
        // tonic's own text is "transport error"; the reason is behind it.
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("cannot connect to {address}: {}", source.unwrap_or_else(|| error.to_string()))
    })?;
    Ok(PeerClient::new(channel).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE))
}

/// The pipes of a node, made when first used.
pub(crate) struct Links {
    identity: Arc<PeerIdentity>,
    handler: Arc<dyn PeerHandler>,
    links: Mutex<HashMap<(NodeId, Lane), Arc<Link>>>,
}

impl Links {
    pub(crate) fn new(identity: Arc<PeerIdentity>, handler: Arc<dyn PeerHandler>) -> Self {
        Self { identity, handler, links: Mutex::default() }
    }

    pub(crate) fn to(&self, node: NodeId, lane: Lane) -> Arc<Link> {
        let make = || Arc::new(Link::new(node, self.identity.clone(), self.handler.clone()));
        self.links.lock().entry((node, lane)).or_insert_with(make).clone()
    }
}
