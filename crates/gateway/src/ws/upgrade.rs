//! The WebSocket handshake, by hand: the same port serves plain HTTP.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, request};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use roomkeeper_protocol::{Codec, Error, Limits};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::socket::{Socket, config};

/// What the subprotocol begins with by which a client offers a token. It is never the one agreed on.
const TOKEN: &str = "roomkeeper.token.";

/// A handshake that may be accepted.
pub(crate) struct Handshake {
    /// The subprotocol agreed on.
    pub(crate) codec: Codec,
    /// The token that the client offers beside it, for browsers, which cannot set other headers.
    pub(crate) token: Option<String>,
    /// Whether the client offered it, so that it is to be named.
    offered: bool,
    accept: String,
    upgrade: OnUpgrade,
}

/// A request that is no acceptable handshake.
#[derive(Debug, PartialEq)]
pub(crate) enum HandshakeError {
    /// It asks for no WebSocket, or another version of it: answered `426`.
    NotWebSocket,
    /// It asks wrongly.
    Bad(Error),
}

impl Handshake {
    /// Reads a handshake.
    ///
    /// # Errors
    /// It is none, or not one for this server.
    pub(crate) fn read(parts: &mut request::Parts) -> Result<Self, HandshakeError> {
        let asked = read_headers(&parts.headers)?;
        let upgrade = parts.extensions.remove::<OnUpgrade>().ok_or(HandshakeError::NotWebSocket)?;
        let token =
            tokens(&parts.headers, &SEC_WEBSOCKET_PROTOCOL).find_map(|offer| offer.strip_prefix(TOKEN));
        let token = token.map(str::to_owned);
        Ok(Self { codec: asked.codec, token, offered: asked.offered, accept: asked.accept, upgrade })
    }

    /// The answer that accepts it; the socket is there once it is sent.
    pub(crate) fn response<B: Default>(&self) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        // Base64: always a header's value.
        if let Ok(accept) = HeaderValue::from_str(&self.accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        if self.offered {
            let name = HeaderValue::from_static(self.codec.subprotocol());
            headers.insert(SEC_WEBSOCKET_PROTOCOL, name);
        }
        response
    }

    /// The socket, once the answer is sent. `None`: the client was gone before.
    pub(crate) async fn socket(self, limits: &Limits) -> Option<Socket> {
        let upgraded = match self.upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => {
                tracing::debug!(%error, "a handshake was not completed");
                return None;
            }
        };
        match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => {
                let (tcp, read) = (parts.io.into_inner(), parts.read_buf.to_vec());
                let config = Some(config(limits));
                Some(WebSocketStream::from_partially_read(tcp, read, Role::Server, config).await)
            }
            Err(_) => {
                tracing::error!("a connection is not the one that was accepted");
                None
            }
        }
    }
}

struct Asked {
    codec: Codec,
    offered: bool,
    accept: String,
}

fn read_headers(headers: &HeaderMap) -> Result<Asked, HandshakeError> {
    let websocket = has_token(headers, &CONNECTION, "upgrade") && has_token(headers, &UPGRADE, "websocket");
    if !websocket || headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(HandshakeError::NotWebSocket);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if !STANDARD.decode(key).is_ok_and(|key| key.len() == 16) {
        let text = "Sec-WebSocket-Key: expected 16 bytes in base64";
        return Err(HandshakeError::Bad(Error::bad_request(text)));
    }
    let mut offers = tokens(headers, &SEC_WEBSOCKET_PROTOCOL).peekable();
    let offered = offers.peek().is_some();
    let codec = match offers.find_map(Codec::from_subprotocol) {
        Some(codec) => codec,
        None if !offered => Codec::Json,
        None => {
            let known = Codec::ALL.map(Codec::subprotocol).join(" or ");
            let text = format!("Sec-WebSocket-Protocol: expected {known}, or none");
            return Err(HandshakeError::Bad(Error::bad_request(text)));
        }
    };
    Ok(Asked { codec, offered, accept: derive_accept_key(key) })
}

/// The comma-separated values of a header, over all its lines.
fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

fn has_token(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(changes: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let usual = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for (name, value) in usual.iter().chain(changes) {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        headers
    }

    fn asked(changes: &[(&'static str, &str)]) -> Result<(Codec, bool), HandshakeError> {
        read_headers(&headers(changes)).map(|asked| (asked.codec, asked.offered))
    }

    #[test]
    fn handshake_of_the_rfc_is_accepted_with_its_key() {
        let asked = read_headers(&headers(&[])).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(asked.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!((asked.codec, asked.offered), (Codec::Json, false));
    }

    #[test]
    fn handshake_takes_the_first_subprotocol_it_knows() {
        let offer = |offer| asked(&[("sec-websocket-protocol", offer)]);
        assert_eq!(offer("roomkeeper.v1.proto"), Ok((Codec::Proto, true)));
        assert_eq!(offer("bearer.x, roomkeeper.v1.json,roomkeeper.v1.proto"), Ok((Codec::Json, true)));
        assert!(matches!(offer("graphql-ws"), Err(HandshakeError::Bad(_))));
    }

    #[test]
    fn request_that_is_no_handshake_is_told_so() {
        for change in [("connection", "close"), ("upgrade", "h2c"), ("sec-websocket-version", "8")] {
            assert_eq!(asked(&[change]), Err(HandshakeError::NotWebSocket), "{change:?}");
        }
        for key in ["", "abc", "dGhlIHNhbXBsZSBub25jZQ"] {
            assert!(matches!(asked(&[("sec-websocket-key", key)]), Err(HandshakeError::Bad(_))), "{key}");
        }
    }
}
