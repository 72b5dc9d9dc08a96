//! Opening a socket to another node.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use roomkeeper_auth::Behalf;
use roomkeeper_protocol::Codec;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, handshake::client::Response};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::edge::Edge;
use crate::host::Owner;
use crate::route::socket_url;

/// A node of the cluster answers a handshake at once or is not there.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Frames of other nodes are trusted to be as long as our own replies get.
const FRAME_MAX: usize = 16 << 20;

/// A socket to another node.
pub(crate) type Dialled = WebSocketStream<TcpStream>;

/// There is no socket to the other node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// It cannot be reached, or did not answer.
    #[error("cannot reach the node: {0}")]
    Unreachable(String),
    /// It answered the handshake with something else than an upgrade.
    #[error("the node refused the socket with {}", .0.status())]
    Refused(Box<Response>),
}

/// What a socket to another node is for.
pub(crate) struct Errand<'e> {
    pub(crate) path: &'e str,
    pub(crate) codec: Codec,
    /// In whose name.
    pub(crate) behalf: Behalf,
    /// What that one proves itself with, if it has to.
    pub(crate) authorization: Option<HeaderValue>,
}

/// Opens a socket to the node; the handshake is marked as relayed.
///
/// # Errors
/// No socket; a refusal is the node's own answer.
pub(crate) async fn dial(edge: &Edge, to: &Owner, errand: Errand<'_>) -> Result<Dialled, DialError> {
    match tokio::time::timeout(DIAL_TIMEOUT, open(edge, to, errand)).await {
        Ok(opened) => opened,
        Err(_) => Err(DialError::Unreachable("it took too long".to_owned())),
    }
}

async fn open(edge: &Edge, to: &Owner, errand: Errand<'_>) -> Result<Dialled, DialError> {
    let unreachable = |error: &dyn std::fmt::Display| DialError::Unreachable(error.to_string());
    let url = format!("{}{}", socket_url(&to.url), errand.path);
    let mut request = url.into_client_request().map_err(|error| unreachable(&error))?;
    let Some(authority) = request.uri().authority().cloned() else {
        return Err(unreachable(&"its client URL names no host"));
    };
    if request.uri().scheme_str() != Some("ws") {
        return Err(unreachable(&"its client URL is not http://"));
    }
    let headers = request.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(errand.codec.subprotocol()));
    if let Some(authorization) = errand.authorization {
        headers.insert(AUTHORIZATION, authorization);
    }
    edge.relay.mark(to.node, &mut request, &errand.behalf);
    let port = authority.port_u16().unwrap_or(80);
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, port)).await.map_err(|error| unreachable(&error))?;
    stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
    match client_async_with_config(request, stream, Some(config())).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => Err(DialError::Refused(response)),
        Err(error) => Err(unreachable(&error)),
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(16 << 10)
        .max_write_buffer_size(FRAME_MAX)
        .max_message_size(Some(FRAME_MAX))
        .max_frame_size(Some(FRAME_MAX))
}

/// The body that came with a refusal.
pub(crate) fn refusal_body(response: &Response) -> Bytes {
    response.body().clone().map(Bytes::from).unwrap_or_default()
}
