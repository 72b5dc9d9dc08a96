//! `/v1/rooms` and `/v1/rooms/{room}`.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use roomkeeper_auth::Action;
use roomkeeper_protocol::{Command, Error, ErrorCode, Placement, Reply, Rooms, decode_create_json, validate};
use roomkeeper_room::{RoomOptions, read};
use roomkeeper_types::{Epoch, NodeId, Offset, ReplicaId, RoomName, ShardId};
use serde::{Deserialize, Serialize};

use super::answer::{Failure, json, misdirected, reply};
use super::request::{RoomRequest, ask, life, query};
use super::settle::{Asking, once};
use crate::edge::Edge;
use crate::failure;
use crate::host::Route;
use crate::local::{LocalRoom, merge, own_rooms};
use crate::relay::list_rooms;

/// What `?replica=local` answers.
#[derive(Serialize)]
struct LocalCopyBody {
    node: NodeId,
    replica: ReplicaId,
    /// Index of the last entry applied to the copy.
    applied: u64,
    next: Offset,
    hash: String,
    source: &'static str,
}

/// One room, as its owner sees it.
#[derive(Serialize)]
struct RoomBody {
    room: RoomName,
    life: String,
    owner: NodeId,
    epoch: Epoch,
    /// The shard that holds it.
    shard: ShardId,
    /// Whether it was put there, and its name hashes to another one.
    placed: bool,
    first: Offset,
    next: Offset,
    messages: u64,
    /// Of the payloads of the messages.
    bytes: u64,
    options: OptionsBody,
    /// Absent where the room has no presence, or they are not known yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<u64>,
    replicas: Vec<ReplicaBody>,
}

/// What a room was told at its creation, its cluster's defaults included.
#[derive(Serialize)]
struct OptionsBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    retain_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retain_messages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retain_bytes: Option<u64>,
    presence: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_members: Option<u32>,
}

impl From<RoomOptions> for OptionsBody {
    fn from(options: RoomOptions) -> Self {
        let RoomOptions { retain_ms, retain_messages, retain_bytes, presence, max_members } = options;
        Self { retain_ms, retain_messages, retain_bytes, presence, max_members }
    }
}

#[derive(Serialize)]
struct ReplicaBody {
    node: NodeId,
    /// Log entries behind the owner; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<u64>,
}

#[derive(Deserialize)]
struct Source {
    replica: Option<String>,
}

/// `GET /v1/rooms/{room}`.
pub(crate) async fn show(State(edge): State<Arc<Edge>>, request: RoomRequest) -> Result<Response, Failure> {
    request.allow_to_see(&edge)?;
    let life = life(&request.parts.uri)?;
    let Source { replica } = query(&request.parts.uri)?;
    match replica.as_deref() {
        None => {}
        Some("local") => return local_copy(&edge, &request.room).await,
        Some(_) => return Err(Error::bad_request("replica: expected local").into()),
    }
    let found = once(&edge, request, |room, _| async move { room.info(life).await });
    let (room, info) = match found.await {
        Ok(found) => found,
        Err(response) => return Ok(response),
    };
    let members = room.member_count(&info);
    let body = RoomBody {
        room: info.room,
        life: info.life.to_string(),
        owner: edge.host.identity().node,
        epoch: room.owned.epoch(),
        shard: room.owned.shard(),
        placed: room.is_placed(),
        first: info.first,
        next: info.next,
        messages: info.messages,
        bytes: info.bytes,
        options: info.options.into(),
        members,
        replicas: replicas(&edge, &room),
    };
    Ok(json(StatusCode::OK, &body))
}

fn replicas(edge: &Edge, room: &LocalRoom) -> Vec<ReplicaBody> {
    let shard = room.owned.shard();
    let entry = edge.host.map().shards.into_iter().find(|entry| entry.shard == shard);
    let replicas = entry.map(|entry| entry.replicas).unwrap_or_default();
    replicas.into_iter().map(|replica| ReplicaBody { node: replica.node, lag: replica.lag }).collect()
}

/// This node's own copy, whoever owns the room.
async fn local_copy(edge: &Edge, room: &RoomName) -> Result<Response, Failure> {
    let missing =
        |what| Error::new(ErrorCode::NotFound, format!("node {} {what}", edge.host.identity().node.0));
    let shard = edge.whereabouts.locate(room, Instant::now() + edge.config.hold).await;
    let copy = edge.host.local(shard).ok_or_else(|| missing("has no replica of the room"))?;
    let info = read::room(&copy.view, room).map_err(|error| failure::unreadable(&error))?;
    let info = info.ok_or_else(|| missing("does not have the room in its replica"))?;
    let body = LocalCopyBody {
        node: edge.host.identity().node,
        replica: copy.replica,
        applied: copy.applied.map_or(0, |applied| applied.index.get()),
        next: info.next,
        hash: info.hash.to_string(),
        source: "local copy",
    };
    Ok(json(StatusCode::OK, &body))
}

/// `PUT /v1/rooms/{room}`.
pub(crate) async fn create(State(edge): State<Arc<Edge>>, request: RoomRequest) -> Result<Response, Failure> {
    request.allow(&edge, Action::Create)?;
    let mut asking = match Asking::read(&edge, request).await {
        Ok(asking) => asking,
        Err(response) => return Ok(response),
    };
    let create = decode_create_json(&asking.body)?;
    same_room(create.room.as_ref(), asking.room())?;
    if create.placement == Some(Placement::LeastLoaded) {
        asking.place_room().await?;
    }
    let options = create.options;
    Ok(match asking.once(|room| async move { room.create(&options).await }).await {
        Ok((_, created)) => reply(StatusCode::CREATED, &Reply::Create(created)),
        Err(response) => response,
    })
}

/// `DELETE /v1/rooms/{room}`.
pub(crate) async fn delete(State(edge): State<Arc<Edge>>, request: RoomRequest) -> Result<Response, Failure> {
    request.allow(&edge, Action::Delete)?;
    let life = life(&request.parts.uri)?;
    let deleted = once(&edge, request, |room, _| async move { room.delete(life).await });
    Ok(match deleted.await {
        Ok(_) => reply(StatusCode::OK, &Reply::Delete),
        Err(response) => response,
    })
}

/// A body that names a room names the one of the path.
///
/// # Errors
/// `bad_request`: another one.
pub(crate) fn same_room(named: Option<&RoomName>, room: &RoomName) -> Result<(), Error> {
    match named {
        Some(named) if named != room => Err(Error::bad_request(format!("room: the path names room {room}"))),
        _ => Ok(()),
    }
}

/// `GET /v1/rooms/{room}/presence`.
pub(crate) async fn presence(
    State(edge): State<Arc<Edge>>,
    request: RoomRequest,
) -> Result<Response, Failure> {
    request.allow(&edge, Action::Presence)?;
    let life = life(&request.parts.uri)?;
    let presence = once(&edge, request, |room, _| async move { room.presence(life).await });
    Ok(match presence.await {
        Ok((_, presence)) => reply(StatusCode::OK, &Reply::Presence(presence)),
        Err(response) => response,
    })
}

#[derive(Deserialize)]
struct ListQuery {
    prefix: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
    page: Option<u32>,
    /// From another node: only these, which this node must own.
    shards: Option<String>,
}

/// `GET /v1/rooms`.
pub(crate) async fn list(State(edge): State<Arc<Edge>>, request: Request<Body>) -> Result<Response, Failure> {
    let (parts, _) = request.into_parts();
    let caller = edge.caller(&parts);
    let ask = ask(&edge, &parts, &caller)?;
    let identity = edge.access.of_request(&parts, &caller)?;
    let query: ListQuery = query(&parts.uri)?;
    let rooms = Rooms { prefix: query.prefix, after: query.after, limit: query.limit, page: query.page };
    let command = Command::Rooms(rooms.clone());
    validate(&command, &edge.config.limits)?;
    if !ask.relayed {
        let listed = list_rooms(&edge, &identity, &rooms).await?;
        return Ok(reply(StatusCode::OK, &Reply::Rooms(listed)));
    }
    let mut owned = Vec::new();
    for shard in shards(&edge, query.shards.as_deref().unwrap_or_default())? {
        match edge.host.route(shard) {
            Route::Owned(ownership) => owned.push(ownership),
            route => return Ok(misdirected(edge.host.as_ref(), &route)),
        }
    }
    let page = own_rooms(&edge, &identity, &owned, &rooms).await?;
    Ok(reply(StatusCode::OK, &Reply::Rooms(merge(vec![page], rooms.limit))))
}

fn shards(edge: &Edge, numbers: &str) -> Result<Vec<ShardId>, Error> {
    let expected = || Error::bad_request("shards: expected numbers of shards, separated by commas");
    let count = edge.host.shards().get();
    let numbers = numbers.split(',').map(|number| number.parse().ok().filter(|number| *number < count));
    numbers.map(|number| number.map(ShardId).ok_or_else(expected)).collect()
}

/// Any other path.
pub(crate) async fn unknown_path() -> Response {
    Failure(Error::new(ErrorCode::NotFound, "there is nothing under this path")).into_response()
}
