//! REST forms of the commands about cursors, holds and signals: `/v1/rooms/{room}/cursors`, `/confirm`, `/rollback`,
//! `/signal`. Each takes the command's body.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use roomkeeper_auth::{Action, Identity};
use roomkeeper_protocol::{
    Commit, Error, HoldRef, Reply, RoomRef, Signal, decode_commit_json, decode_hold_json, decode_signal_json,
};
use roomkeeper_types::{ConsumerId, LifeId, Offset};
use serde::Serialize;

use super::answer::{Failure, json, reply};
use super::messages::admit;
use super::request::{RoomRequest, life, param};
use super::rooms::same_room;
use super::settle::{Asking, once};
use crate::edge::Edge;
use crate::local::{Cursor, LocalRoom};

/// How far a consumer has come.
#[derive(Serialize)]
struct CursorBody {
    committed: Offset,
    unread: u64,
}

/// `GET /v1/rooms/{room}/cursors/{consumer}`.
pub(crate) async fn cursor(
    State(edge): State<Arc<Edge>>,
    mut request: RoomRequest,
) -> Result<Response, Failure> {
    request.allow(&edge, Action::Subscribe)?;
    let life = life(&request.parts.uri)?;
    let consumer = param(&mut request.parts, &edge, "consumer").await?;
    let consumer: ConsumerId =
        consumer.parse().map_err(|error| Error::bad_request(format!("consumer: {error}")))?;
    let consumer = &consumer;
    let cursor = once(&edge, request, |room, _| async move { room.cursor(life, consumer).await });
    Ok(match cursor.await {
        Ok((_, Cursor { committed, unread })) => json(StatusCode::OK, &CursorBody { committed, unread }),
        Err(response) => response,
    })
}

/// `POST /v1/rooms/{room}/cursors`.
pub(crate) async fn commit(State(edge): State<Arc<Edge>>, request: RoomRequest) -> Result<Response, Failure> {
    carry_out(edge, request, Action::Subscribe, async |room, _, asking, life| {
        let commit = decode_commit_json(&asking.body)?;
        let named = named(&room, commit.room.clone(), life)?;
        room.commit(Commit { room: named, ..commit }).await.map(Reply::Commit)
    })
    .await
}

/// `POST /v1/rooms/{room}/confirm`.
pub(crate) async fn confirm(
    State(edge): State<Arc<Edge>>,
    request: RoomRequest,
) -> Result<Response, Failure> {
    carry_out(edge, request, Action::Publish, async |room, identity, asking, life| {
        let hold = hold(&room, asking, life)?;
        room.confirm(identity.user().clone(), hold).await.map(Reply::Confirm)
    })
    .await
}

/// `POST /v1/rooms/{room}/rollback`.
pub(crate) async fn rollback(
    State(edge): State<Arc<Edge>>,
    request: RoomRequest,
) -> Result<Response, Failure> {
    carry_out(edge, request, Action::Publish, async |room, identity, asking, life| {
        let hold = hold(&room, asking, life)?;
        room.rollback(identity.user().clone(), hold).await.map(|()| Reply::Rollback)
    })
    .await
}

/// `POST /v1/rooms/{room}/signal`.
pub(crate) async fn signal(State(edge): State<Arc<Edge>>, request: RoomRequest) -> Result<Response, Failure> {
    let identity = request.allow(&edge, Action::Publish)?;
    let life = life(&request.parts.uri)?;
    let identity = &identity;
    let signalled = once(&edge, request, |room, body| async move {
        let signal = decode_signal_json(&body, &room.edge.config.limits)?;
        let named = named(&room, signal.room.clone(), life)?;
        admit(&room, identity, 1)?;
        room.signal(identity.user().clone(), Signal { room: named, ..signal })
    });
    Ok(match signalled.await {
        Ok(_) => reply(StatusCode::OK, &Reply::Signal),
        Err(response) => response,
    })
}

/// Carries out a command that comes to the same when it is carried out twice: where the room moves meanwhile, the
/// next owner is asked.
async fn carry_out(
    edge: Arc<Edge>,
    request: RoomRequest,
    action: Action,
    command: impl AsyncFn(LocalRoom, &Identity, &Asking, Option<LifeId>) -> Result<Reply, Error>,
) -> Result<Response, Failure> {
    let identity = request.allow(&edge, action)?;
    let life = life(&request.parts.uri)?;
    let mut asking = match Asking::read(&edge, request).await {
        Ok(asking) => asking,
        Err(response) => return Ok(response),
    };
    loop {
        let room = match asking.settle().await {
            Ok(room) => room,
            Err(response) => return Ok(response),
        };
        match command(room.clone(), &identity, &asking, life).await {
            Err(error) if asking.goes_on(&room, &error).await => {}
            answer => return Ok(reply(StatusCode::OK, &answer?)),
        }
    }
}

fn hold(room: &LocalRoom, asking: &Asking, life: Option<LifeId>) -> Result<HoldRef, Error> {
    let hold = decode_hold_json(&asking.body, &room.edge.config.limits)?;
    Ok(HoldRef { room: named(room, hold.room.clone(), life)?, ..hold })
}

/// What a body names, with the life of the query where it names none.
fn named(room: &LocalRoom, named: RoomRef, life: Option<LifeId>) -> Result<RoomRef, Error> {
    same_room(named.room.as_ref(), &room.name)?;
    Ok(RoomRef { life: named.life.or(life), ..named })
}
