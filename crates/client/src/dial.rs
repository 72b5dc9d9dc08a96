//! Opening a room's socket: the handshake, and the redirects on the way to the owner.

use std::time::Duration;

use reqwest::Url;
use roomkeeper_protocol::decode_error_json;
use roomkeeper_types::RoomName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{
    HeaderValue, LOCATION, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL,
};
use tokio_tungstenite::tungstenite::http::{HeaderMap, Response, StatusCode};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::link::{Link, socket_config};
use crate::targets::{as_socket, origin};
use crate::{ClientConfig, Error, Metrics};

/// Longest wait that a server can ask for with `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

/// A node's answer to a handshake.
enum Answer {
    Open(Box<WebSocketStream<TcpStream>>),
    Elsewhere(Url),
}

/// Opens a room's socket, starting at the node `base` and following at most `hops_max` redirects.
pub(crate) async fn dial(
    config: &ClientConfig,
    metrics: &Metrics,
    base: &Url,
    room: &RoomName,
) -> Result<Link, Error> {
    let mut url = socket_url(base, room, config);
    for _ in 0..=config.hops_max {
        match handshake(config, &url).await? {
            Answer::Open(ws) => return Ok(Link::new(*ws, config.codec, origin(&url))),
            Answer::Elsewhere(next) => {
                tracing::debug!(room = %room, from = %origin(&url), to = %origin(&next), "redirected");
                metrics.redirected();
                url = next;
            }
        }
    }
    Err(Error::TooManyRedirects { hops: config.hops_max, url: origin(&url) })
}

fn socket_url(base: &Url, room: &RoomName, config: &ClientConfig) -> Url {
    let mut url = as_socket(base.clone());
    url.set_path(&format!("/v1/rooms/{room}/ws"));
    url.set_query(Some(&format!("route={}", config.route.name())));
    url
}

async fn handshake(config: &ClientConfig, url: &Url) -> Result<Answer, Error> {
    let mut request = url
        .as_str()
        .into_client_request()
        .map_err(|error| Error::BadUrl { url: url.to_string(), reason: error.to_string() })?;
    let subprotocol = HeaderValue::from_static(config.codec.subprotocol());
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);

    let stream = connect(config, url).await?;
    let upgrade = client_async_with_config(request, stream, Some(socket_config()));
    match timeout(config.handshake_timeout, upgrade).await {
        Ok(Ok((ws, _))) => Ok(Answer::Open(Box::new(ws))),
        Ok(Err(WsError::Http(response))) => refusal(url, &response),
        Ok(Err(WsError::Io(error))) => Err(Error::unreachable(origin(url), error)),
        Ok(Err(error)) => Err(Error::disconnected(origin(url), error)),
        Err(_) => Err(late(url, "the handshake was not answered", config.handshake_timeout)),
    }
}

async fn connect(config: &ClientConfig, url: &Url) -> Result<TcpStream, Error> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let stream = match timeout(config.connect_timeout, TcpStream::connect((host, port))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(Error::unreachable(origin(url), error)),
        Err(_) => return Err(late(url, "no connection", config.connect_timeout)),
    };
    // Batches are flushed as wholes: waiting for more would only delay them.
    stream.set_nodelay(true).map_err(|error| Error::unreachable(origin(url), error))?;
    Ok(stream)
}

/// An answer other than 101: a redirect, or why not.
fn refusal(url: &Url, response: &Response<Option<Vec<u8>>>) -> Result<Answer, Error> {
    let status = response.status();
    if matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
        return location(url, response.headers()).map(Answer::Elsewhere);
    }
    let body = response.body().as_deref().unwrap_or_default();
    if let Ok(error) = decode_error_json(&bytes::Bytes::copy_from_slice(body)) {
        return Err(error.into());
    }
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    let message = String::from_utf8_lossy(body).into_owned();
    Err(Error::Refused { url: origin(url), status: status.as_u16(), message, retry_after })
}

fn location(url: &Url, headers: &HeaderMap) -> Result<Url, Error> {
    let unreadable = |reason: String| Error::Unreadable { url: origin(url), reason };
    let text = headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| unreadable("a redirect without a location".into()))?;
    let next = url.join(text).map_err(|error| unreadable(format!("location '{text}': {error}")))?;
    match next.scheme() {
        "ws" | "http" if next.host_str().is_some() => Ok(as_socket(next)),
        _ => Err(unreadable(format!("location '{text}' is no WebSocket address"))),
    }
}

fn late(url: &Url, what: &str, after: Duration) -> Error {
    let text = format!("{what} within {after:?}");
    Error::unreachable(origin(url), std::io::Error::new(std::io::ErrorKind::TimedOut, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Result<Answer, Error> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let url = Url::parse("ws://127.0.0.1:7700/v1/rooms/a/ws?route=redirect").unwrap();
        refusal(&url, &response.body(Some(body.into())).unwrap())
    }

    #[test]
    fn redirect_absolute_or_relative_is_followed() {
        for (location, expected) in [
            ("ws://10.0.0.2:7700/v1/rooms/a/ws?hops=1", "ws://10.0.0.2:7700/v1/rooms/a/ws?hops=1"),
            ("http://10.0.0.2:7700/v1/rooms/a/ws", "ws://10.0.0.2:7700/v1/rooms/a/ws"),
            ("/v1/rooms/a/ws?hops=2", "ws://127.0.0.1:7700/v1/rooms/a/ws?hops=2"),
        ] {
            match answer(307, &[("location", location)], "") {
                Ok(Answer::Elsewhere(url)) => assert_eq!(url.as_str(), expected),
                _ => panic!("{location} was not followed"),
            }
        }
    }

    #[test]
    fn redirect_without_a_usable_location_is_unreadable() {
        for headers in [&[][..], &[("location", "https://a/")], &[("location", "ftp://a/")]] {
            assert!(matches!(answer(307, headers, ""), Err(Error::Unreadable { .. })));
        }
    }

    #[test]
    fn refusal_with_an_error_body_is_the_servers_error() {
        let body = r#"{"error":{"code":"forbidden","message":"no","retry":false}}"#;
        let Err(error) = answer(403, &[], body) else { panic!("refused") };
        assert_eq!(error.code(), Some(roomkeeper_protocol::ErrorCode::Forbidden));
        assert!(!error.is_retryable());
    }

    #[test]
    fn refusal_without_owner_says_when_to_come_back() {
        let Err(error) = answer(503, &[("retry-after", "3600")], "electing") else { panic!("refused") };
        assert!(error.is_retryable());
        match error {
            Error::Refused { retry_after, message, .. } => {
                assert_eq!(retry_after, Some(RETRY_AFTER_MAX));
                assert_eq!(message, "electing");
            }
            other => panic!("{other}"),
        }
    }
}
