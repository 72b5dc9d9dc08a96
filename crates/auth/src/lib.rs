//! Who a client is and what it may do.
//!
//! In reading order:
//!
//! - [`Action`], [`RoomPattern`], [`Scope`]: what a token grants.
//! - [`Identity`]: who a client is, and [`Identity::allows`].
//! - [`Claims`]: what a token says.
//! - [`KeyId`], [`VerifyingKey`], [`SigningKey`]: keys, each for one algorithm.
//! - [`Verifier`]: from a token to an identity.
//! - [`Peek`]: what a token says, for people.
//! - [`Vouching`]: from node to node, in the name of a client.
//!
//! Pure: no clock, no files, no randomness. The time is given with each call, and so is the seed of a new key.
//!
//! Not here: revocation of tokens before they expire, keys fetched over the network (JWKS).

mod action;
mod claims;
mod identity;
mod key;
mod key_id;
mod pattern;
mod peek;
mod scope;
mod verifier;
mod vouch;

pub use action::{Action, Actions};
pub use claims::Claims;
pub use identity::Identity;
pub use key::{Algorithm, KeyError, KeyPair, SigningKey, VerifyingKey};
pub use key_id::{KeyId, KeyIdError};
pub use pattern::{PatternError, RoomPattern};
pub use peek::Peek;
pub use scope::Scope;
pub use verifier::{Invalid, Unverified, Verifier, VerifierError};
pub use vouch::{Behalf, UnknownVoucher, Vouching};
