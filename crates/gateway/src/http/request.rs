//! Reading requests.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Query as AxumQuery, RawPathParams};
use bytes::Bytes;
use http::header::{AUTHORIZATION, ORIGIN};
use http::{Request, Uri, request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use roomkeeper_auth::{Action, Identity};
use roomkeeper_protocol::{Error, ErrorCode};
use roomkeeper_types::{LifeId, RoomName};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answer::Failure;
use crate::edge::Edge;
use crate::identity::{Caller, forbidden};
use crate::route::{Ask, Query};

/// A request that names a room.
pub(crate) struct RoomRequest {
    pub(crate) room: RoomName,
    pub(crate) ask: Ask,
    pub(crate) caller: Caller,
    pub(crate) parts: request::Parts,
    pub(crate) body: Body,
}

impl RoomRequest {
    /// Who asks, if that one may do this with the room, whether it is there or not.
    ///
    /// # Errors
    /// `unauthorized`, `forbidden`.
    pub(crate) fn allow(&self, edge: &Edge, action: Action) -> Result<Identity, Error> {
        self.allow_if(edge, |identity| identity.allows(action, &self.room))
    }

    /// Who asks, if that one may see the room.
    ///
    /// # Errors
    /// `unauthorized`, `forbidden`.
    pub(crate) fn allow_to_see(&self, edge: &Edge) -> Result<Identity, Error> {
        self.allow_if(edge, |identity| identity.sees(&self.room))
    }

    fn allow_if(&self, edge: &Edge, may: impl FnOnce(&Identity) -> bool) -> Result<Identity, Error> {
        let identity = edge.access.of_request(&self.parts, &self.caller)?;
        if may(&identity) { Ok(identity) } else { Err(forbidden(&self.room)) }
    }
}

impl FromRequest<Arc<Edge>> for RoomRequest {
    type Rejection = Failure;

    async fn from_request(request: Request<Body>, edge: &Arc<Edge>) -> Result<Self, Failure> {
        let (mut parts, body) = request.into_parts();
        let room = room(&mut parts, edge).await?;
        let caller = edge.caller(&parts);
        let ask = ask(edge, &parts, &caller)?;
        Ok(Self { room, ask, caller, parts, body })
    }
}

async fn room(parts: &mut request::Parts, edge: &Arc<Edge>) -> Result<RoomName, Error> {
    let name = param(parts, edge, "room").await?;
    name.parse().map_err(|error| Error::bad_request(format!("room: {error}")))
}

/// A parameter of the path.
///
/// # Errors
/// `bad_request`: it is no text.
pub(crate) async fn param(
    parts: &mut request::Parts,
    edge: &Arc<Edge>,
    name: &'static str,
) -> Result<String, Error> {
    let params = RawPathParams::from_request_parts(parts, edge).await;
    let params = params.map_err(|error| Error::bad_request(format!("{name}: {error}")))?;
    let value = params.iter().find(|(key, _)| *key == name).map(|(_, value)| value).unwrap_or_default();
    Ok(value.to_owned())
}

/// What of a request matters for its way.
///
/// # Errors
/// `bad_request`: a query parameter is not what it should be.
pub(crate) fn ask(edge: &Edge, parts: &request::Parts, caller: &Caller) -> Result<Ask, Error> {
    let query = Query::of(&parts.uri)?;
    Ok(Ask {
        socket: false,
        mode: query.mode,
        hops: query.hops,
        origin: parts.headers.contains_key(ORIGIN),
        authorization: parts.headers.contains_key(AUTHORIZATION),
        relayed: matches!(caller, Caller::Relay(_)),
        vouched: edge.is_vouched(caller),
        unproven: *caller == Caller::Unproven,
    })
}

/// The query as a struct. Unknown parameters are ignored.
///
/// # Errors
/// `bad_request`: one of them is not what it should be.
pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Error> {
    let read = AxumQuery::<T>::try_from_uri(uri);
    read.map(|AxumQuery(query)| query)
        .map_err(|error| Error::bad_request(format!("query: {}", error.body_text())))
}

/// The life that a request names.
///
/// # Errors
/// `bad_request`: it is none.
pub(crate) fn life(uri: &Uri) -> Result<Option<LifeId>, Error> {
    #[derive(Deserialize)]
    struct Life {
        life: Option<String>,
    }
    let Life { life } = query(uri)?;
    let parsed = life.map(|life| life.parse()).transpose();
    parsed.map_err(|error| Error::bad_request(format!("life: {error}")))
}

/// Reads a whole body.
///
/// # Errors
/// `too_large` beyond `max_frame`; `bad_request` where it breaks off.
pub(crate) async fn body(edge: &Edge, body: Body) -> Result<Bytes, Error> {
    let limit = edge.config.limits.max_frame;
    let read = tokio::time::timeout(edge.config.head_timeout, Limited::new(body, limit as usize).collect());
    match read.await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Error::new(ErrorCode::TooLarge, format!("body: expected at most {limit} bytes")))
        }
        Ok(Err(error)) => Err(Error::bad_request(format!("body: {error}"))),
        Err(_) => Err(Error::bad_request("body: it took too long")),
    }
}
