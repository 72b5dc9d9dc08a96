//! The answering end of a pipe: hands requests to the groups they are for.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use openraft::raft::StreamAppendResult;
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::NodeId;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::snapshots::Incoming;
use super::{PIPE_QUEUE, PeerHandler, PeerIdentity, header};
use crate::GroupId;
use crate::registry::{Local, Registry};
use crate::wire::pb::{self, Envelope, peer_server};
use crate::wire::{self, Body};

/// Requests of one pipe, appends of streams aside, that may be worked on at once. Beyond that the pipe is not
/// read, so that its caller waits.
const ANSWERING: usize = 256;

/// Append requests of one stream that may wait for Raft. The caller has at most 64 in flight.
const APPEND_QUEUE: usize = 128;

type Out = mpsc::Sender<Result<Envelope, Status>>;

/// The peer service of a node.
#[derive(Clone)]
pub(crate) struct PeerServer {
    identity: Arc<PeerIdentity>,
    handler: Arc<dyn PeerHandler>,
    registry: Registry,
    scratch: Arc<std::path::Path>,
    /// True when the node stops: pipes end then, or the listener would wait for them for ever.
    stop: watch::Receiver<bool>,
}

impl PeerServer {
    pub(crate) fn new(
        identity: Arc<PeerIdentity>,
        handler: Arc<dyn PeerHandler>,
        registry: Registry,
        scratch: Arc<std::path::Path>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self { identity, handler, registry, scratch, stop }
    }

    /// Who calls, if it may: a member names the cluster, itself and us; whoever wants to join names nothing.
    /// The secret is asked of both.
    fn admit(&self, request: &Request<Streaming<Envelope>>) -> Result<Option<NodeId>, Status> {
        let text = |name| request.metadata().get(name).and_then(|value| value.to_str().ok());
        let number = |name| text(name).and_then(|text| text.parse().ok()).map(NodeId);
        if let Some(secret) = &self.identity.secret
            && text(header::SECRET) != Some(secret)
        {
            return Err(Status::unauthenticated("wrong or no cluster secret"));
        }
        let Some(cluster) = text(header::CLUSTER) else { return Ok(None) };
        if cluster != self.identity.cluster.to_string() {
            let ours = self.identity.cluster;
            return Err(Status::failed_precondition(format!("this is cluster {ours}, not {cluster}")));
        }
        match number(header::TO) {
            Some(to) if to == self.identity.node => {}
            to => {
                let (ours, meant) = (self.identity.node, to.unwrap_or_default());
                return Err(Status::failed_precondition(format!("this is node {ours}, not {meant}")));
            }
        }
        number(header::FROM).map(Some).ok_or_else(|| Status::invalid_argument("who is calling?"))
    }
}

#[tonic::async_trait]
impl peer_server::Peer for PeerServer {
    type PipeStream = Pin<Box<dyn Stream<Item = Result<Envelope, Status>> + Send>>;

    async fn pipe(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Self::PipeStream>, Status> {
        let from = self.admit(&request)?;
        let (out, answers) = mpsc::channel(PIPE_QUEUE);
        let serving = Serving {
            from,
            server: self.clone(),
            out,
            appends: HashMap::new(),
            answering: Arc::new(Semaphore::new(ANSWERING)),
            incoming: Arc::new(Incoming::new(self.scratch.clone())),
        };
        tokio::spawn(serving.run(request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}

/// One open pipe.
struct Serving {
    from: Option<NodeId>,
    server: PeerServer,
    out: Out,
    /// Append streams by group and number.
    appends: HashMap<(u32, u64), mpsc::Sender<(u64, pb::Append)>>,
    answering: Arc<Semaphore>,
    incoming: Arc<Incoming>,
}

impl Serving {
    async fn run(mut self, mut requests: Streaming<Envelope>) {
        let mut stop = self.server.stop.clone();
        loop {
            let request = tokio::select! {
                request = requests.message() => request,
                // A closed channel means that the node is gone: stop too.
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match request {
                Ok(Some(envelope)) => self.take(envelope).await,
                Ok(None) => break,
                Err(status) => {
                    tracing::debug!(peer = ?self.from, reason = status.message(), "peer's stream broke");
                    break;
                }
            }
        }
    }

    async fn take(&mut self, envelope: Envelope) {
        let Envelope { call, group, to, body } = envelope;
        match body {
            Some(Body::Append(append)) if append.stream != 0 => self.append(call, group, to, append).await,
            Some(Body::AppendEnd(end)) => drop(self.appends.remove(&(group, end.stream))),
            Some(body) => {
                // Everything else is answered by a task of its own: a slow answer holds nobody up.
                let Ok(place) = self.answering.clone().acquire_owned().await else { return };
                let (server, from) = (self.server.clone(), self.from);
                let (out, incoming) = (self.out.clone(), self.incoming.clone());
                tokio::spawn(async move {
                    let answer = server.answer(from, &incoming, group, to, body).await;
                    send(&out, call, answer).await;
                    drop(place);
                });
            }
            None => send(&self.out, call, Err("a request without content".to_owned())).await,
        }
    }

    /// Hands a request to its append stream, which begins with its first request.
    async fn append(&mut self, call: u64, group: u32, to: u64, append: pb::Append) {
        let key = (group, append.stream);
        if let Err(why) = self.server.room_for(&append) {
            // The stream ends here: what would follow does not fit behind what is refused.
            self.appends.remove(&key);
            return send(&self.out, call, Err(why)).await;
        }
        if self.appends.get(&key).is_none_or(mpsc::Sender::is_closed) {
            self.appends.retain(|_, stream| !stream.is_closed());
            match self.server.member(self.from, group, to) {
                Ok(local) => {
                    let (requests, waiting) = mpsc::channel(APPEND_QUEUE);
                    self.appends.insert(key, requests);
                    tokio::spawn(append_stream(local, waiting, self.out.clone()));
                }
                Err(why) => return send(&self.out, call, Err(why)).await,
            }
        }
        if let Some(stream) = self.appends.get(&key)
            && stream.send((call, append)).await.is_err()
        {
            // The stream ended with a conflict, a higher vote or an error that its caller was told of.
            send(&self.out, call, Err("the append stream has ended".to_owned())).await;
        }
    }
}

impl PeerServer {
    /// The replica that a request is for.
    fn member(&self, from: Option<NodeId>, group: u32, to: u64) -> Result<Local, String> {
        if from.is_none() {
            return Err("only members may take part in a group".to_owned());
        }
        let group = wire::group_id(group);
        let local = self.registry.get(group).ok_or_else(|| format!("no replica of {group} here"))?;
        if local.replica.0 != to {
            return Err(format!("the replica of {group} here is {}, not r{to}", local.replica));
        }
        Ok(local)
    }

    /// An append that fails on a full disk would stop the replica for good: it is refused before.
    fn room_for(&self, append: &pb::Append) -> Result<(), String> {
        match append.entries.is_empty() || self.handler.has_room() {
            true => Ok(()),
            false => Err("the disk is full".to_owned()),
        }
    }

    async fn answer(
        &self,
        from: Option<NodeId>,
        incoming: &Incoming,
        group: u32,
        to: u64,
        body: Body,
    ) -> Result<Body, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        match body {
            Body::Ask(body) => self.handler.handle(from, body).await.map(Body::Answered),
            Body::Append(append) => {
                self.room_for(&append)?;
                let local = self.member(from, group, to)?;
                let request = wire::append_in(append).map_err(|e| text(&e))?;
                let (prev, last) = (request.prev_log_id, request.entries.last().map(|e| e.log_id));
                let answer = local.raft.append_entries(request).await.map_err(|e| text(&e))?;
                let result: StreamAppendResult<_> = answer.into_stream_result(prev, last.or(prev));
                Ok(Body::Appended(wire::appended_out(result)))
            }
            Body::Vote(vote) => {
                let local = self.member(from, group, to)?;
                self.may_vote(wire::group_id(group), &local).await?;
                let pre_vote = vote.pre_vote;
                let request = wire::request_vote_in(vote).map_err(|e| text(&e))?;
                let answer = match pre_vote {
                    true => local.raft.pre_vote(request).await,
                    false => local.raft.vote(request).await,
                };
                Ok(Body::Voted(wire::voted_out(&answer.map_err(|e| text(&e))?)))
            }
            Body::Transfer(transfer) => {
                let local = self.member(from, group, to)?;
                let request = wire::transfer_in(transfer).map_err(|e| text(&e))?;
                let answer = local.raft.handle_transfer_leader(request).await.map_err(|e| text(&e))?;
                let refused = answer.err().map(|error| error.to_string()).unwrap_or_default();
                Ok(Body::Transferred(pb::Transferred { refused }))
            }
            Body::Snapshot(piece) => {
                let local = self.member(from, group, to)?;
                let vote = incoming.take(&local, piece).await.map_err(|e| text(&e))?;
                Ok(Body::Snapshotted(pb::Snapshotted { vote: vote.as_ref().map(wire::vote_out) }))
            }
            _ => Err("an answer where a request was expected".to_owned()),
        }
    }

    /// Rule 3: a replica with an empty log in a born shard never votes. Its former self may have voted, or the
    /// log it should have may hold what was acked.
    async fn may_vote(&self, group: GroupId, local: &Local) -> Result<(), String> {
        if sabotage::is(Bug::ReplicaIdReused) {
            return Ok(());
        }
        let initialized = local.raft.is_initialized().await.map_err(|error| error.to_string())?;
        match initialized || !self.handler.is_born(group) {
            true => Ok(()),
            false => Err(format!("the log of {} is empty, it does not vote", local.replica)),
        }
    }
}

/// Feeds Raft's pipelined append and returns its answers in order.
async fn append_stream(local: Local, waiting: mpsc::Receiver<(u64, pb::Append)>, out: Out) {
    let (calls, mut asked) = mpsc::channel(APPEND_QUEUE);
    let requests = ReceiverStream::new(waiting).filter_map(move |(call, append)| {
        let calls = calls.clone();
        async move {
            let request = wire::append_in(append);
            // Kept in step with the answers: one call number for each request that Raft gets.
            let sent = calls.send((call, request.as_ref().err().map(io::Error::to_string))).await;
            request.ok().filter(|_| sent.is_ok())
        }
    });
    let mut answers = Box::pin(local.raft.stream_append(requests));
    while let Some((call, unreadable)) = asked.recv().await {
        let answer = match unreadable {
            Some(why) => Err(why),
            None => match answers.next().await {
                Some(Ok(result)) => Ok(Body::Appended(wire::appended_out(result))),
                Some(Err(fatal)) => Err(fatal.to_string()),
                None => Err("the append stream has ended".to_owned()),
            },
        };
        send(&out, call, answer).await;
    }
}

async fn send(out: &Out, call: u64, answer: Result<Body, String>) {
    let body = Some(answer.unwrap_or_else(Body::Failed));
    if out.send(Ok(Envelope { call, group: 0, to: 0, body })).await.is_err() {
        tracing::trace!("the peer is gone before its answer");
    }
}
