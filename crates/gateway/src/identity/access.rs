//! What clients are asked for, and how nodes vouch for them to each other.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderValue, Method};
use roomkeeper_auth::{Behalf, Identity, Invalid, UnknownVoucher, Verifier, Vouching};
use roomkeeper_protocol::Error;
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::{NodeId, Timestamp, Token};

use super::clock::Clock;
use super::{invalid, node_identity};

/// A socket has so long to say who its client is, unless it is said otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);
/// What a hello over a relay's socket is vouched for as, in the place of method and path.
const HELLO: &str = "hello";

/// The mark of a node that follows rooms for its clients, where nodes have no secret to vouch with.
const OF_NODE: &str = "node";

/// What clients of a node are asked for, and how its cluster's nodes vouch for them to each other.
#[derive(Debug, Clone)]
pub struct Access {
    tokens: Option<Verifier>,
    is_token_needed: bool,
    timeout: Duration,
    vouching: Option<Vouching>,
    clock: Clock,
}

impl Access {
    /// Nobody is asked for a token: users are taken at their word, and so is who says on loopback that it is a node
    /// that relays for them; it is held to the limits of a client. For development.
    #[must_use]
    pub fn open() -> Self {
        Self { tokens: None, is_token_needed: false, timeout: TIMEOUT, vouching: None, clock: Clock::start() }
    }

    /// Users are who their tokens say. Where a token is needed, who has none may do nothing, and a socket whose
    /// client has not said who it is is closed after `timeout`; else who has none is taken at its word.
    #[must_use]
    pub fn with_tokens(self, tokens: Verifier, needed: bool, timeout: Duration) -> Self {
        Self { tokens: Some(tokens), is_token_needed: needed, timeout, ..self }
    }

    /// Nodes are believed to relay only what they vouch for.
    #[must_use]
    pub fn with_vouching(self, vouching: Vouching) -> Self {
        Self { vouching: Some(vouching), ..self }
    }

    /// Whether nodes vouch for what they relay: who else says that it relays is a client.
    pub(crate) fn vouches(&self) -> bool {
        self.vouching.is_some()
    }

    /// The time that tokens are looked at.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether who has no token may do nothing.
    pub(crate) fn is_token_needed(&self) -> bool {
        self.is_token_needed
    }

    /// How long a socket may take to say who its client is.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether it matters that a client has a token.
    pub(super) fn looks_at_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Who a client with this token is.
    ///
    /// # Errors
    /// `unauthorized`: the token is not valid. Why, only the node's log says.
    pub(super) fn by_token(&self, token: &str) -> Result<Identity, Error> {
        let tokens = self.tokens.as_ref().ok_or_else(invalid)?;
        let identity = tokens.verify(token, self.now()).map_err(|Invalid(why)| {
            tracing::debug!(%why, "a token is refused");
            invalid()
        })?;
        Ok(if sabotage::is(Bug::TokenLivesOn) { identity.without_end() } else { identity })
    }

    /// The mark of a request that this node relays to another one; `request` as it is sent.
    pub(crate) fn mark(&self, way: Way, request: (&Method, &str), behalf: &Behalf) -> HeaderValue {
        let of_node = *behalf == Behalf::Of(node_identity(way.from));
        let plain =
            || if of_node { HeaderValue::from_static(OF_NODE) } else { HeaderValue::from(way.from.0) };
        let (method, path) = request;
        match self.vouch(way, &format!("{method} {path}"), behalf) {
            // Base64url and dots are always a header's value.
            Some(mark) => HeaderValue::from_str(&mark).unwrap_or_else(|_| plain()),
            None => plain(),
        }
    }

    /// What a hello over a socket of this node to another one brings, instead of a token.
    pub(crate) fn vouch_hello(&self, way: Way, identity: Identity) -> Option<Token> {
        self.vouch(way, HELLO, &Behalf::Of(identity.without_end())).map(Token::from)
    }

    fn vouch(&self, way: Way, request: &str, behalf: &Behalf) -> Option<String> {
        let vouching = self.vouching.as_ref()?;
        match vouching.vouch(way.from, way.to, request, behalf, self.now()) {
            Ok(mark) => Some(mark),
            Err(error) => {
                tracing::error!(%error, "a relay cannot be vouched for");
                None
            }
        }
    }

    /// In whose name another node relays a request to this one, which came from that address. Without a secret its
    /// word is taken in development only: on loopback, where nobody's tokens are looked at.
    ///
    /// # Errors
    /// Nobody of this cluster vouches for it.
    pub(super) fn behalf(
        &self,
        here: NodeId,
        (method, path): (&Method, &str),
        mark: &HeaderValue,
        from: Option<IpAddr>,
    ) -> Result<Behalf, UnknownVoucher> {
        let is_near = from.is_some_and(|address| address.to_canonical().is_loopback());
        match &self.vouching {
            None if self.looks_at_tokens() || !is_near => Err(UnknownVoucher::NoSecret),
            None if *mark == OF_NODE => Ok(Behalf::Of(node_identity(here))),
            None => Ok(Behalf::Client),
            Some(_) => {
                let mark = std::str::from_utf8(mark.as_bytes()).unwrap_or_default();
                self.check(here, &format!("{method} {path}"), mark)
            }
        }
    }

    /// Who another node vouches for in a hello.
    ///
    /// # Errors
    /// `unauthorized`: nobody of this cluster vouches for it.
    pub(super) fn by_voucher(&self, here: NodeId, voucher: &str) -> Result<Identity, Error> {
        match self.check(here, HELLO, voucher) {
            Ok(Behalf::Of(identity)) => Ok(identity),
            Ok(Behalf::Client) => Err(invalid()),
            Err(why) => {
                tracing::warn!(%why, "a relay's word for its client is refused");
                Err(invalid())
            }
        }
    }

    fn check(&self, here: NodeId, request: &str, mark: &str) -> Result<Behalf, UnknownVoucher> {
        let Some(vouching) = &self.vouching else { return Ok(Behalf::Client) };
        let (_, behalf) = vouching.check(here, request, mark, self.now())?;
        Ok(behalf)
    }
}

/// Between which nodes something is relayed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
}

#[cfg(test)]
mod tests {
    use roomkeeper_auth::{Algorithm, VerifyingKey};

    use super::*;

    const HERE: NodeId = NodeId(1);

    fn behalf(access: &Access, mark: &'static str, from: Option<&str>) -> Result<Behalf, UnknownVoucher> {
        let from = from.map(|address| address.parse().unwrap());
        access.behalf(HERE, (&Method::GET, "/v1/ws"), &HeaderValue::from_static(mark), from)
    }

    #[test]
    fn mark_without_a_secret_is_believed_on_loopback_and_without_tokens_only() {
        let open = Access::open();
        for near in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(behalf(&open, "9", Some(near)), Ok(Behalf::Client), "{near}");
            assert_eq!(behalf(&open, OF_NODE, Some(near)), Ok(Behalf::Of(node_identity(HERE))), "{near}");
        }
        for far in [Some("10.0.0.7"), Some("::ffff:10.0.0.7"), None] {
            assert_eq!(behalf(&open, OF_NODE, far), Err(UnknownVoucher::NoSecret), "{far:?}");
        }
        let key = VerifyingKey::read(Algorithm::Hs256, "0123456789abcdef0123456789abcdef").unwrap();
        let tokens = Verifier::new([("k".parse().unwrap(), key)], None, None).unwrap();
        let asking = open.with_tokens(tokens, false, TIMEOUT);
        assert_eq!(behalf(&asking, OF_NODE, Some("127.0.0.1")), Err(UnknownVoucher::NoSecret));
        assert!(!asking.vouches());
    }
}
