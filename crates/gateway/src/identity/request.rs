//! Who a request or a handshake is by.

use axum::extract::Query;
use http::header::AUTHORIZATION;
use http::{HeaderMap, request};
use roomkeeper_auth::{Behalf, Identity, UnknownVoucher};
use roomkeeper_protocol::Error;
use roomkeeper_types::{NodeId, UserId};
use serde::Deserialize;

use super::{Access, Who, invalid, missing};
use crate::route::RELAY_HEADER;
use crate::serve::Peer;

/// Header of plain HTTP requests that names the user, where nobody is asked for a token.
pub(crate) const USER_HEADER: &str = "roomkeeper-user";
const SCHEME: &str = "bearer ";

/// Whether another node relays a request, and in whose name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A client asks.
    Client,
    /// So it says, but no node of this cluster vouches for it: a client's, which is not relayed any further.
    Unproven,
    /// Another node relays it.
    Relay(Behalf),
}

impl Caller {
    /// Finds out.
    pub(crate) fn of(access: &Access, here: NodeId, parts: &request::Parts) -> Self {
        let Some(mark) = parts.headers.get(RELAY_HEADER) else { return Self::Client };
        let path = parts.uri.path_and_query().map_or_else(|| parts.uri.path(), |path| path.as_str());
        let from = parts.extensions.get::<Peer>().map(|peer| peer.address().ip());
        match access.behalf(here, (&parts.method, path), mark, from) {
            Ok(behalf) => Self::Relay(behalf),
            Err(error) => {
                match error {
                    // Anybody can send that.
                    UnknownVoucher::Unsigned(_) | UnknownVoucher::NoSecret => {
                        tracing::debug!(%error, "a request is not taken as relayed")
                    }
                    _ => tracing::warn!(%error, "a request is not taken as relayed"),
                }
                Self::Unproven
            }
        }
    }
}

/// What a client brings to prove who it is.
#[derive(Clone, Copy)]
pub(crate) struct Credentials<'r> {
    pub(crate) parts: &'r request::Parts,
    pub(crate) caller: &'r Caller,
    /// The token that a handshake offers as a subprotocol.
    pub(crate) offered: Option<&'r str>,
}

impl Access {
    /// Who a plain request is by.
    ///
    /// # Errors
    /// `unauthorized`: a token is needed, or the one there is not valid; `bad_request`: no user has such a name.
    pub(crate) fn of_request(&self, parts: &request::Parts, caller: &Caller) -> Result<Identity, Error> {
        match self.find(Credentials { parts, caller, offered: None })? {
            Found::Vouched(identity) | Found::Proved(identity) => Ok(identity),
            Found::Said(_) if self.is_token_needed() => Err(missing()),
            Found::Said(user) => Ok(Identity::at_its_word(user)),
        }
    }

    /// Who a socket's client is, as far as its handshake says.
    ///
    /// # Errors
    /// `unauthorized`: the token is not valid; `bad_request`: no user has such a name.
    pub(crate) fn of_handshake(&self, credentials: Credentials<'_>) -> Result<Who, Error> {
        Ok(match self.find(credentials)? {
            Found::Vouched(identity) => Who::vouched(identity),
            Found::Proved(identity) => Who::proved(identity),
            Found::Said(_) if self.is_token_needed() => Who::unknown(),
            Found::Said(user) => Who::at_its_word(user),
        })
    }

    fn find(&self, Credentials { parts, caller, offered }: Credentials<'_>) -> Result<Found, Error> {
        if let Caller::Relay(Behalf::Of(identity)) = caller {
            return Ok(Found::Vouched(identity.clone()));
        }
        // Where tokens are not looked at, whatever stands in the header is for somebody else.
        let token = if self.looks_at_tokens() { bearer(&parts.headers)?.or(offered) } else { None };
        match token {
            Some(token) => self.by_token(token).map(Found::Proved),
            None => said(parts).map(Found::Said),
        }
    }
}

enum Found {
    /// A node of the cluster vouches for it.
    Vouched(Identity),
    /// It has a token.
    Proved(Identity),
    /// It says so.
    Said(UserId),
}

/// The token of an `Authorization`, if there is one.
///
/// # Errors
/// It is given twice, or is something else than a bearer token.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let mut values = headers.get_all(AUTHORIZATION).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    let parts = value.to_str().ok().and_then(|text| text.split_at_checked(SCHEME.len()));
    match parts {
        Some((scheme, token)) if values.next().is_none() && scheme.eq_ignore_ascii_case(SCHEME) => {
            Ok(Some(token.trim()))
        }
        _ => Err(invalid()),
    }
}

/// The user that a request names: by the header, else the query's `user`, else `anonymous`.
fn said(parts: &request::Parts) -> Result<UserId, Error> {
    #[derive(Deserialize)]
    struct Said {
        user: Option<String>,
    }
    let query = Query::<Said>::try_from_uri(&parts.uri);
    let Query(Said { user }) =
        query.map_err(|error| Error::bad_request(format!("query: {}", error.body_text())))?;
    let header = parts.headers.get(USER_HEADER).map(|value| {
        std::str::from_utf8(value.as_bytes())
            .map_err(|_| Error::bad_request(format!("header {USER_HEADER}: expected UTF-8")))
    });
    match header.transpose()?.or(user.as_deref()) {
        Some(name) => name.parse().map_err(|error| Error::bad_request(format!("user: {error}"))),
        None => Ok(UserId::anonymous()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(&str, &[u8])]) -> request::Parts {
        let mut request = http::Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn request_names_its_user_by_header_before_query() {
        let user = |uri: &str, headers: &[(&str, &[u8])]| {
            let found = Access::open().of_request(&request(uri, headers), &Caller::Client);
            found.map(|identity| identity.user().to_string()).map_err(|error| error.code.name())
        };
        assert_eq!(user("/", &[]), Ok("anonymous".to_owned()));
        assert_eq!(user("/?user=ann", &[]), Ok("ann".to_owned()));
        assert_eq!(user("/?user=ann", &[(USER_HEADER, b"bob")]), Ok("bob".to_owned()));
        assert_eq!(user("/", &[("authorization", b"Basic YTpi")]), Ok("anonymous".to_owned()));
        assert_eq!(user("/", &[(USER_HEADER, b"\xff")]), Err("bad_request"));
        assert_eq!(user("/?user=", &[]), Err("bad_request"));
    }

    #[test]
    fn authorization_is_one_bearer_token_or_wrong() {
        let token = |headers: &[(&str, &[u8])]| {
            bearer(&request("/", headers).headers)
                .map(|token| token.map(str::to_owned))
                .map_err(|error| error.code.name())
        };
        assert_eq!(token(&[]), Ok(None));
        for text in ["Bearer a.b.c", "bearer a.b.c", "BEARER  a.b.c "] {
            assert_eq!(token(&[("authorization", text.as_bytes())]), Ok(Some("a.b.c".to_owned())), "{text}");
        }
        for text in [&b"Basic YTpi"[..], b"a.b.c", b"Bearer", b"", b"\xff"] {
            assert_eq!(token(&[("authorization", text)]), Err("unauthorized"), "{text:?}");
        }
        let twice = [("authorization", &b"Bearer a.b.c"[..]), ("authorization", b"Bearer a.b.c")];
        assert_eq!(token(&twice), Err("unauthorized"));
    }
}
