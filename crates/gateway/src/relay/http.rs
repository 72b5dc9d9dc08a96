//! Plain HTTP to the owner of a room.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use roomkeeper_auth::Behalf;
use roomkeeper_types::NodeId;

use crate::host::Owner;
use crate::identity::{Access, USER_HEADER, Way};
use crate::route::RELAY_HEADER;

/// A node of the cluster answers a connect at once or is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Idle connections kept to each node.
const IDLE_MAX: usize = 32;
/// Longest body of a `421`.
const MISDIRECTED_BYTES: usize = 16 << 10;
/// Headers of a client that its room's owner is to see.
const REQUEST_HEADERS: [HeaderName; 4] =
    [ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName::from_static(USER_HEADER)];
/// Headers of an owner's answer that the client is to see.
const ANSWER_HEADERS: [HeaderName; 4] = [CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE];

/// A pool of connections to the other nodes.
pub(crate) struct HttpRelay {
    client: Client<HttpConnector, Full<Bytes>>,
    node: NodeId,
    access: Arc<Access>,
}

/// A request as it is relayed: its body is kept, so that it can be sent again to another owner.
#[derive(Debug, Clone)]
pub(crate) struct Forwarded {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// In whose name.
    pub(crate) behalf: Behalf,
}

/// The other node gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    /// It never got the request.
    #[error("cannot connect: {0}")]
    Unsent(String),
    /// Perhaps it carried it out.
    #[error("no answer: {0}")]
    Unanswered(String),
}

/// What the other node answered.
pub(crate) enum Answer {
    /// For the client, whatever it is.
    Final(Response<Body>),
    /// It does not own the room; the body of the `421`.
    Misdirected(Bytes),
}

impl HttpRelay {
    pub(crate) fn new(node: NodeId, access: Arc<Access>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector);
        Self { client, node, access }
    }

    /// Marks a request, otherwise as it is to be sent, as relayed by this node to another one.
    pub(crate) fn mark<B>(&self, to: NodeId, request: &mut Request<B>, behalf: &Behalf) {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let way = Way { from: self.node, to };
        let mark = self.access.mark(way, (request.method(), path), behalf);
        request.headers_mut().insert(RELAY_HEADER, mark);
    }

    /// Sends a request to another node. The answer's body is not read: it streams.
    ///
    /// # Errors
    /// It did not answer within `timeout`, or could not be reached.
    pub(crate) async fn send(
        &self,
        to: &Owner,
        forwarded: &Forwarded,
        timeout: Duration,
    ) -> Result<Answer, RelayError> {
        let unsent = |error: &dyn std::fmt::Display| RelayError::Unsent(error.to_string());
        let uri: Uri = format!("{}{}", to.url, forwarded.path).parse().map_err(|error| unsent(&error))?;
        let mut request = Request::new(Full::new(forwarded.body.clone()));
        *request.method_mut() = forwarded.method.clone();
        *request.uri_mut() = uri;
        copy(&REQUEST_HEADERS, &forwarded.headers, request.headers_mut());
        self.mark(to.node, &mut request, &forwarded.behalf);
        match tokio::time::timeout(timeout, self.client.request(request)).await {
            Err(_) => Err(RelayError::Unanswered("it took too long".to_owned())),
            Ok(Err(error)) if error.is_connect() => Err(unsent(&error)),
            Ok(Err(error)) => Err(RelayError::Unanswered(error.to_string())),
            Ok(Ok(response)) if response.status() == StatusCode::MISDIRECTED_REQUEST => {
                let body = read(response.into_body(), MISDIRECTED_BYTES).await?;
                Ok(Answer::Misdirected(body))
            }
            Ok(Ok(response)) => Ok(Answer::Final(answer(response))),
        }
    }
}

/// Reads a whole body of at most `limit` bytes.
///
/// # Errors
/// It is longer, or breaks off.
pub(crate) async fn read(body: Incoming, limit: usize) -> Result<Bytes, RelayError> {
    let read = Limited::new(body, limit).collect().await;
    read.map(http_body_util::Collected::to_bytes).map_err(|error| RelayError::Unanswered(error.to_string()))
}

fn answer(response: Response<Incoming>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let mut answer = Response::new(Body::new(body));
    *answer.status_mut() = parts.status;
    copy(&ANSWER_HEADERS, &parts.headers, answer.headers_mut());
    answer
}

fn copy(names: &[HeaderName], from: &HeaderMap, to: &mut HeaderMap) {
    for name in names {
        if let Some(value) = from.get(name) {
            to.insert(name, value.clone());
        }
    }
}
