//! openraft's network on the peer links.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, alias::SnapshotOf};
use tokio::sync::mpsc;

use crate::GroupId;
use crate::peer::{Lane, Link, Links, PeerError, snapshots};
use crate::raft_types::{Home, Types, Vote};
use crate::snapshot::{SnapshotData, export};
use crate::wire::{self, Body, pb};

/// Longest wait for the answer to an append. openraft's own figure is one heartbeat, which a slow fsync
/// passes; a peer that is gone is found by the link.
const APPEND_TIMEOUT: Duration = Duration::from_secs(2);

/// Append requests of one stream that may be unanswered.
const APPENDS_IN_FLIGHT: usize = 64;

/// Makes a group's clients to the nodes of its other replicas.
pub(crate) struct Network {
    pub(crate) group: GroupId,
    pub(crate) links: Arc<Links>,
    pub(crate) scratch: Arc<std::path::Path>,
}

impl Network {
    fn client(&self, target: u64, home: &Home, lane: Lane) -> Client {
        let (group, scratch) = (self.group, self.scratch.clone());
        Client { group, target, link: self.links.to(home.0, lane), single: lane == Lane::Ping, scratch }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: u64, node: &Home) -> Client {
        self.client(target, node, Lane::Raft)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &Home) -> Client {
        self.client(target, node, Lane::Ping)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &Home) -> Client {
        self.client(target, node, Lane::Bulk)
    }
}

/// A group's way to one other replica.
pub(crate) struct Client {
    group: GroupId,
    target: u64,
    link: Arc<Link>,
    /// Heartbeats come as streams of one request: asking once is cheaper than a stream.
    single: bool,
    scratch: Arc<std::path::Path>,
}

/// Every failure is `Unreachable`: openraft then waits before it tries again, and a vote is not granted.
fn unreachable(error: &PeerError) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(error))
}

fn unreadable(error: &io::Error) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(error))
}

fn unexpected() -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::from_string("the peer's answer does not fit the request"))
}

impl Client {
    async fn ask(&self, body: Body, timeout: Duration) -> Result<Body, RPCError<Types>> {
        self.link.ask(self.group, self.target, body, timeout).await.map_err(|error| unreachable(&error))
    }

    async fn append_once(
        &self,
        request: AppendEntriesRequest<Types>,
    ) -> Result<StreamAppendResult<Types>, RPCError<Types>> {
        let body = Body::Append(wire::append_out(&request, 0).map_err(|error| unreadable(&error))?);
        match self.ask(body, APPEND_TIMEOUT).await? {
            Body::Appended(answer) => wire::appended_in(answer).map_err(|error| unreadable(&error)),
            _ => Err(unexpected()),
        }
    }

    async fn ask_vote(
        &self,
        request: VoteRequest<Types>,
        pre_vote: bool,
        option: &RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let body = Body::Vote(wire::request_vote_out(&request, pre_vote));
        match self.ask(body, option.hard_ttl()).await? {
            Body::Voted(answer) => wire::voted_in(answer).map_err(|error| unreadable(&error)),
            _ => Err(unexpected()),
        }
    }

    /// Sends the requests of a stream as they come; ends when they do, or with the first failure.
    async fn pump(
        link: Arc<Link>,
        group: GroupId,
        to: u64,
        mut input: impl Stream<Item = AppendEntriesRequest<Types>> + Unpin,
        answers: mpsc::Sender<Result<Body, PeerError>>,
        sent: Arc<AtomicU64>,
    ) {
        let stream = link.next_call();
        let group_number = wire::group_number(group);
        let envelope = |call, body| pb::Envelope { call, group: group_number, to, body: Some(body) };
        let mut connection = None;
        loop {
            let Ok(place) = answers.clone().reserve_owned().await else { break };
            let Some(request) = (tokio::select! {
                request = input.next() => request,
                () = answers.closed() => None,
            }) else {
                break;
            };
            let result = match wire::append_out(&request, stream) {
                Ok(append) => {
                    let envelope = envelope(link.next_call(), Body::Append(append));
                    sent.fetch_add(1, Ordering::Relaxed);
                    link.send(connection, envelope, Some(place)).await
                }
                Err(error) => Err(PeerError::Refused("the local log".to_owned(), error.to_string())),
            };
            match result {
                Ok(generation) => connection = Some(generation),
                Err(error) => {
                    // If nobody listens any more, nobody needs the error.
                    drop(answers.send(Err(error)).await);
                    break;
                }
            }
        }
        if connection.is_some() {
            let end = envelope(0, Body::AppendEnd(pb::AppendEnd { stream }));
            if let Err(error) = link.send(connection, end, None).await {
                tracing::trace!(%error, "append stream ended with its connection");
            }
        }
    }
}

/// The answers of an append stream, in order.
struct Answers {
    received: mpsc::Receiver<Result<Body, PeerError>>,
    /// Requests sent so far.
    sent: Arc<AtomicU64>,
    /// Answers received so far.
    got: u64,
}

impl Answers {
    /// The next answer; an error when a request has waited for [`APPEND_TIMEOUT`]; `None` at the end.
    async fn next(&mut self) -> Option<Result<StreamAppendResult<Types>, RPCError<Types>>> {
        loop {
            let waiting = self.sent.load(Ordering::Relaxed) > self.got;
            match tokio::time::timeout(APPEND_TIMEOUT, self.received.recv()).await {
                Ok(None) => return None,
                Ok(Some(Ok(Body::Appended(answer)))) => {
                    self.got += 1;
                    return Some(wire::appended_in(answer).map_err(|error| unreadable(&error)));
                }
                Ok(Some(Ok(_))) => return Some(Err(unexpected())),
                Ok(Some(Err(error))) => return Some(Err(unreachable(&error))),
                Err(_) if waiting => {
                    let why = format!("no answer to an append within {APPEND_TIMEOUT:?}");
                    return Some(Err(RPCError::Unreachable(Unreachable::from_string(why))));
                }
                // An idle stream has nothing to answer.
                Err(_) => {}
            }
        }
    }
}

impl RaftNetworkV2<Types> for Client {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        self.append_once(request).await.map(Into::into)
    }

    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        _option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        if self.single {
            let once = async move {
                let request = input.next().await?;
                Some(self.append_once(request).await)
            };
            return async move { Ok(once.into_stream().filter_map(std::future::ready).boxed()) }.boxed();
        }
        let (answers, received) = mpsc::channel(APPENDS_IN_FLIGHT);
        let sent = Arc::new(AtomicU64::new(0));
        tokio::spawn(Self::pump(self.link.clone(), self.group, self.target, input, answers, sent.clone()));
        let results =
            futures::stream::unfold(Some(Answers { received, sent, got: 0 }), |answers| async move {
                let mut answers = answers?;
                let result = answers.next().await?;
                let next = matches!(result, Ok(Ok(_))).then_some(answers);
                Some((result, next))
            });
        async move { Ok(results.boxed()) }.boxed()
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(request, false, &option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(request, true, &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<Types, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let failed = |why: String| StreamingError::Unreachable(Unreachable::from_string(why));
        let SnapshotData::Local(store) = snapshot.snapshot else {
            return Err(failed("only a replica's own rows can be sent".to_owned()));
        };
        let scratch = self.scratch.clone();
        let exported = tokio::task::spawn_blocking(move || export(&store, &scratch)).await;
        let (meta, files) = exported
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))?;
        tracing::info!(group = %self.group, replica = self.target, upto = ?meta.last_log_id, "sending a snapshot");
        let sending = snapshots::send(&self.link, self.group, self.target, &vote, &meta, files.files());
        tokio::select! {
            sent = sending => match sent {
                Ok(vote) => Ok(SnapshotResponse::new(vote)),
                Err(error) => Err(failed(error.to_string())),
            },
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        match self.ask(Body::Transfer(wire::transfer_out(&request)), option.hard_ttl()).await? {
            Body::Transferred(answer) if answer.refused.is_empty() => Ok(Ok(())),
            Body::Transferred(answer) => Err(RPCError::Unreachable(Unreachable::from_string(answer.refused))),
            _ => Err(unexpected()),
        }
    }
}
