//! How a node vouches to another one for what it relays.
//!
//! A short-lived token of the nodes' own: HS256 with a key made of the cluster's secret, over who relays to whom,
//! when, which request, and in whose name. It is no client's token, nor is a client's one of these: the kind
//! (`typ`) differs, and so does the key.

use std::fmt;

use roomkeeper_types::{NodeId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::verifier::{header, open};
use crate::{Identity, KeyError, SigningKey, Unverified, VerifyingKey};

/// What kind of token it is.
const KIND: &str = "roomkeeper-relay+jwt";
/// Sets the key apart from everything else that the cluster's secret is used for.
const KEY_CONTEXT: &str = "roomkeeper 2026-11-29 relay marks";
/// How long before and after its time it is taken: on its way, and by clocks that differ.
const AGE_MS_MAX: u64 = 60_000;
/// Longest one: an identity may have all that a token had.
const BYTES_MAX: usize = 16 << 10;

/// In whose name a node relays a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behalf {
    /// A client, who proves itself to the owner: its own token goes with the request, or follows.
    Client,
    /// This one, who has proved itself to the relay. Its token's end is the relay's to watch.
    Of(Identity),
}

/// A mark that is not by a node of the cluster, or not for this node, request and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnknownVoucher {
    /// It is no mark, or not by a node of the cluster.
    #[error("the relay's mark is not by a node of this cluster: {0}")]
    Unsigned(#[from] Unverified),
    /// The nodes share no secret that they could vouch with.
    #[error("nodes vouch for nothing here, as they share no secret")]
    NoSecret,
    /// It is for another node.
    #[error("the relay's mark is for another node")]
    OtherNode,
    /// It is for another request.
    #[error("the relay's mark is for another request")]
    OtherRequest,
    /// It is too old, or of the future.
    #[error("the relay's mark is more than a minute off: do the nodes' clocks differ?")]
    OtherTime,
}

#[derive(Serialize, Deserialize)]
struct Voucher {
    /// Who relays.
    iss: u32,
    /// To whom.
    aud: u32,
    /// When, milliseconds since the Unix epoch.
    at: u64,
    /// Which request.
    req: String,
    who: Behalf,
}

/// Makes and checks a node's word for what it relays.
#[derive(Clone)]
pub struct Vouching {
    signing: SigningKey,
    verifying: VerifyingKey,
}

impl fmt::Debug for Vouching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vouching").finish_non_exhaustive()
    }
}

impl Vouching {
    /// Between the nodes that know this secret.
    ///
    /// # Errors
    /// The key made of it is refused, which does not happen.
    pub fn new(secret: &str) -> Result<Self, KeyError> {
        let key = blake3::derive_key(KEY_CONTEXT, secret.as_bytes());
        Ok(Self { signing: SigningKey::of_secret(&key)?, verifying: VerifyingKey::of_secret(&key)? })
    }

    /// The word of node `from` to node `to` that it relays `request` in that name: for plain HTTP and handshakes
    /// method, path and query.
    ///
    /// # Errors
    /// It cannot be signed, which does not happen.
    pub fn vouch(
        &self,
        from: NodeId,
        to: NodeId,
        request: &str,
        behalf: &Behalf,
        now: Timestamp,
    ) -> Result<String, KeyError> {
        let (req, who) = (request.to_owned(), behalf.clone());
        let voucher = Voucher { iss: from.0, aud: to.0, at: now.millis(), req, who };
        self.signing.seal(None, KIND, &voucher)
    }

    /// Who relays `request` to node `to`, and in whose name.
    ///
    /// # Errors
    /// It is no node's word, or not for this.
    pub fn check(
        &self,
        to: NodeId,
        request: &str,
        mark: &str,
        now: Timestamp,
    ) -> Result<(NodeId, Behalf), UnknownVoucher> {
        let header = header(mark, BYTES_MAX, &[KIND])?;
        if header.typ.is_none() {
            return Err(Unverified::Kind.into());
        }
        let voucher: Voucher = open(mark, &header, &self.verifying)?;
        if voucher.aud != to.0 {
            return Err(UnknownVoucher::OtherNode);
        }
        if voucher.req != request {
            return Err(UnknownVoucher::OtherRequest);
        }
        if voucher.at.abs_diff(now.millis()) > AGE_MS_MAX {
            return Err(UnknownVoucher::OtherTime);
        }
        Ok((NodeId(voucher.iss), voucher.who))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "GET /v1/ws";

    fn nodes() -> Vouching {
        Vouching::new("the secret").unwrap()
    }

    fn ann() -> Behalf {
        Behalf::Of(Identity::new("ann".parse().unwrap(), Vec::new(), None))
    }

    fn mark(vouching: &Vouching, behalf: &Behalf) -> String {
        vouching.vouch(NodeId(1), NodeId(2), REQUEST, behalf, Timestamp(1_000_000)).unwrap()
    }

    #[test]
    fn mark_of_a_node_tells_who_relays_in_whose_name() {
        for behalf in [Behalf::Client, ann()] {
            let mark = mark(&nodes(), &behalf);
            let checked = nodes().check(NodeId(2), REQUEST, &mark, Timestamp(1_000_500));
            assert_eq!(checked, Ok((NodeId(1), behalf)));
        }
    }

    #[test]
    fn mark_is_for_one_node_and_request_and_a_short_time() {
        let mark = mark(&nodes(), &ann());
        let check = |to, request, at| nodes().check(NodeId(to), request, &mark, Timestamp(at)).unwrap_err();
        assert_eq!(check(3, REQUEST, 1_000_000), UnknownVoucher::OtherNode);
        assert_eq!(check(2, "GET /v1/rooms", 1_000_000), UnknownVoucher::OtherRequest);
        assert_eq!(check(2, REQUEST, 1_060_001), UnknownVoucher::OtherTime);
        assert_eq!(check(2, REQUEST, 939_999), UnknownVoucher::OtherTime);
        assert!(nodes().check(NodeId(2), REQUEST, &mark, Timestamp(1_060_000)).is_ok());
    }

    #[test]
    fn mark_without_the_secret_is_no_mark() {
        let now = Timestamp(1_000_000);
        let unsigned = |mark: &str| match nodes().check(NodeId(2), REQUEST, mark, now).unwrap_err() {
            UnknownVoucher::Unsigned(why) => why,
            other => panic!("{other}"),
        };
        let others = Vouching::new("another secret").unwrap();
        assert_eq!(unsigned(&mark(&others, &ann())), Unverified::Signature);
        for text in ["", "1", "7", "a.b.c"] {
            assert_eq!(unsigned(text), Unverified::NoJwt, "{text}");
        }
        // Nor is a token that is signed with the secret itself.
        let voucher = Voucher { iss: 1, aud: 2, at: now.millis(), req: REQUEST.into(), who: Behalf::Client };
        let secret = SigningKey::of_secret(b"the secret").unwrap();
        assert_eq!(unsigned(&secret.seal(None, KIND, &voucher).unwrap()), Unverified::Signature);
        assert_eq!(unsigned(&nodes().signing.seal(None, "JWT", &voucher).unwrap()), Unverified::Kind);
    }
}
