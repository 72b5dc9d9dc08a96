//! `/v1/rooms/{room}/messages`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use roomkeeper_auth::{Action, Identity};
use roomkeeper_protocol::{
    Command, Error, From, History, Isolation, Publish, Reply, RoomRef, decode_publish_json, validate,
};
use roomkeeper_types::Offset;
use serde::Deserialize;

use super::answer::{Failure, reply};
use super::request::{RoomRequest, life, query};
use super::rooms::same_room;
use super::settle::Asking;
use crate::edge::Edge;
use crate::limits::Publisher;
use crate::local::LocalRoom;

#[derive(Deserialize)]
struct HistoryQuery {
    from: Option<String>,
    to: Option<u64>,
    limit: Option<u32>,
}

/// `GET /v1/rooms/{room}/messages`.
pub(crate) async fn history(
    State(edge): State<Arc<Edge>>,
    request: RoomRequest,
) -> Result<Response, Failure> {
    request.allow(&edge, Action::History)?;
    let history = read_history(&request.parts.uri)?;
    let command = Command::History(history.clone());
    validate(&command, &edge.config.limits)?;
    let mut asking = match Asking::read(&edge, request).await {
        Ok(asking) => asking,
        Err(response) => return Ok(response),
    };
    loop {
        let room = match asking.settle().await {
            Ok(room) => room,
            Err(response) => return Ok(response),
        };
        match room.history(&history).await {
            Err(error) if asking.goes_on(&room, &error).await => {}
            Ok(_) if asking.is_outdated(&room) => {}
            items => return Ok(reply(StatusCode::OK, &Reply::History(items?))),
        }
    }
}

fn read_history(uri: &Uri) -> Result<History, Error> {
    let HistoryQuery { from, to, limit } = query(uri)?;
    let from = match from.as_deref() {
        None | Some("beginning") => None,
        Some(text) => {
            let expected = || Error::bad_request("from: expected an offset, or beginning");
            Some(Offset(text.parse().map_err(|_| expected())?))
        }
    };
    let from = match (from, to) {
        (None, None) => From::Beginning,
        (Some(from), None) => From::Offset(from),
        (Some(from), Some(to)) => From::Range(from, Offset(to)),
        (None, Some(_)) => return Err(Error::bad_request("from: expected an offset, as there is a to")),
    };
    let room = RoomRef { room: None, life: life(uri)? };
    Ok(History { room, from, limit, isolation: Isolation::Committed })
}

/// `POST /v1/rooms/{room}/messages`.
pub(crate) async fn publish(
    State(edge): State<Arc<Edge>>,
    request: RoomRequest,
) -> Result<Response, Failure> {
    let identity = request.allow(&edge, Action::Publish)?;
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
        let publish = decode_publish_json(&asking.body, &edge.config.limits)?;
        same_room(publish.room.room.as_ref(), &room.name)?;
        let named = RoomRef { life: publish.room.life.or(life), ..publish.room };
        // Where it may be stored already, no limit is to say that it is not.
        if !asking.is_open {
            admit(&room, &identity, publish.messages.len())?;
        }
        // The ids of its messages tell that they are known, wherever it is sent again.
        match room.publish(&identity, Publish { room: named, ..publish }).await {
            Err(error) if asking.goes_on(&room, &error).await => {}
            published => return Ok(reply(StatusCode::OK, &Reply::Publish(published?))),
        }
    }
}

/// Takes so many messages from what may be published to a room by a user.
///
/// # Errors
/// `rate_limited`.
pub(super) fn admit(room: &LocalRoom, identity: &Identity, messages: usize) -> Result<(), Error> {
    let by = Publisher { meter: None, user: Some(identity.user()), room: Some(&room.name) };
    Ok(room.edge.limiter.publish(by, messages, Instant::now())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(query: &str) -> Result<From, Error> {
        let uri = format!("/v1/rooms/a/messages?{query}").parse().unwrap();
        read_history(&uri).map(|history| history.from)
    }

    #[test]
    fn history_query_of_every_form_is_read() {
        assert_eq!(from(""), Ok(From::Beginning));
        assert_eq!(from("from=beginning&limit=3"), Ok(From::Beginning));
        assert_eq!(from("from=7"), Ok(From::Offset(Offset(7))));
        assert_eq!(from("from=7&to=9"), Ok(From::Range(Offset(7), Offset(9))));
        for wrong in ["from=-1", "from=x", "to=9", "to=x", "limit=x", "life=nonsense"] {
            assert!(from(wrong).is_err(), "{wrong}");
        }
    }
}
