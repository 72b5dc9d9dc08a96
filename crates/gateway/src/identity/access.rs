//! What clients are asked for, and how nodes vouch for them to each other.

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
    /// Nobody is asked for a token: users are taken at their word, and so are nodes that relay for them. For
    /// development, on loopback.
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

    /// In whose name another node relays a request to this one. Without a secret its word is taken.
    ///
    /// # Errors
    /// Nobody of this cluster vouches for it.
    pub(super) fn behalf(
        &self,
        here: NodeId,
        request: (&Method, &str),
        mark: &HeaderValue,
    ) -> Result<Behalf, UnknownVoucher> {
        let (method, path) = request;
        match &self.vouching {
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
