//! Who a socket's client is, from its handshake to its end.

use std::time::{Duration, Instant};

use roomkeeper_auth::Identity;
use roomkeeper_protocol::{Error, Hello};
use roomkeeper_types::{NodeId, RoomName, Timestamp, UserId};

use super::{Access, invalid, missing};

/// Who a socket's client is.
#[derive(Debug)]
pub(crate) struct Who {
    identity: Identity,
    proof: Proof,
    /// Whether a command was carried out in its name.
    settled: bool,
    /// Counts how often what it may do has changed.
    changes: u64,
}

/// Why that is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// It is not: a token is awaited.
    None,
    /// Nobody is asked for more than its word.
    Word,
    /// By a token.
    Token,
    /// By the word of a node that relays for it.
    Relay,
}

/// A hello that is refused.
#[derive(Debug, PartialEq)]
pub(crate) enum HelloError {
    /// The client may try again.
    Refused(Error),
    /// Its token is not valid: the socket is closed.
    Invalid(Error),
}

impl Who {
    /// Somebody whose token is awaited.
    pub(crate) fn unknown() -> Self {
        Self::new(Identity::new(UserId::anonymous(), Vec::new(), None), Proof::None)
    }

    pub(crate) fn at_its_word(user: UserId) -> Self {
        Self::new(Identity::at_its_word(user), Proof::Word)
    }

    pub(crate) fn proved(identity: Identity) -> Self {
        Self::new(identity, Proof::Token)
    }

    pub(crate) fn vouched(identity: Identity) -> Self {
        Self::new(identity, Proof::Relay)
    }

    fn new(identity: Identity, proof: Proof) -> Self {
        Self { identity, proof, settled: false, changes: 0 }
    }

    /// Takes a `hello`: the first one, or one with a fresh token.
    ///
    /// # Errors
    /// The token is not valid, or there is none; `bad_request`: another user than the one in whose name commands were
    /// carried out already.
    pub(crate) fn hello(&mut self, hello: &Hello, access: &Access, here: NodeId) -> Result<(), HelloError> {
        let (identity, proof) = match (self.proof, &hello.token) {
            (Proof::Relay, Some(voucher)) => {
                (access.by_voucher(here, voucher.secret()).map_err(HelloError::Invalid)?, Proof::Relay)
            }
            (_, Some(token)) if access.looks_at_tokens() => {
                (access.by_token(token.secret()).map_err(HelloError::Invalid)?, Proof::Token)
            }
            (Proof::None, _) => return Err(HelloError::Refused(missing())),
            (Proof::Token | Proof::Relay, _) => return Ok(()),
            (Proof::Word, _) => match &hello.user {
                Some(user) => (Identity::at_its_word(user.clone()), Proof::Word),
                None => return Ok(()),
            },
        };
        if self.settled && identity.user() != self.identity.user() {
            let text = "user: hello comes first, commands were carried out for another user";
            return Err(HelloError::Refused(Error::bad_request(text)));
        }
        if identity.clone().without_end() != self.identity.clone().without_end() {
            self.changes += 1;
        }
        (self.identity, self.proof) = (identity, proof);
        Ok(())
    }

    /// Who commands are carried out for, if the client has said so and its time is not up.
    ///
    /// # Errors
    /// `unauthorized`.
    pub(crate) fn current(&self, now: Timestamp) -> Result<&Identity, Error> {
        match self.proof {
            Proof::None => Err(missing()),
            _ if self.identity.is_expired(now) => Err(invalid()),
            _ => Ok(&self.identity),
        }
    }

    /// Whether its token is still awaited.
    pub(crate) fn is_nobody(&self) -> bool {
        self.proof == Proof::None
    }

    /// Whether a socket that is bound to the room can be of any use, as far as that is known before the first hello.
    pub(crate) fn may_do_something_in(&self, room: &RoomName) -> bool {
        matches!(self.proof, Proof::None | Proof::Word) || !self.identity.actions(room).is_empty()
    }

    /// The user in whose name a command is carried out. From then on it does not change.
    pub(crate) fn settle(&mut self) -> UserId {
        self.settled = true;
        self.identity.user().clone()
    }

    /// Who it is, as far as is known.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// How often what it may do has changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// How long the client may stay as things are, on a socket opened then; `None`: for ever.
    pub(crate) fn time_left(&self, access: &Access, opened: Instant) -> Option<Duration> {
        if self.proof == Proof::None {
            return Some(access.timeout().saturating_sub(opened.elapsed()));
        }
        let left = self.identity.expires()?.millis().saturating_sub(access.now().millis());
        Some(Duration::from_millis(left))
    }
}

#[cfg(test)]
mod tests {
    use roomkeeper_auth::{Algorithm, Claims, SigningKey, Verifier, VerifyingKey, Vouching};
    use roomkeeper_protocol::ErrorCode;
    use roomkeeper_types::Token;

    use super::super::access::Way;
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const HERE: NodeId = NodeId(2);

    fn asking() -> Access {
        let key = VerifyingKey::read(Algorithm::Hs256, SECRET).unwrap();
        let tokens = Verifier::new([("k".parse().unwrap(), key)], None, None).unwrap();
        let access = Access::open().with_tokens(tokens, true, Duration::from_secs(5));
        access.with_vouching(Vouching::new("nodes").unwrap())
    }

    fn token(user: &str, seconds: u64) -> String {
        let exp = Access::open().now().millis() / 1_000 + seconds;
        let claims = serde_json::json!({ "sub": user, "exp": exp });
        let claims: Claims = serde_json::from_value(claims).unwrap();
        SigningKey::read(SECRET).unwrap().sign(&"k".parse().unwrap(), &claims).unwrap()
    }

    fn hello(user: Option<&str>, token: Option<String>) -> Hello {
        Hello {
            user: user.map(|user| user.parse().unwrap()),
            token: token.map(Token::from),
            ..Hello::default()
        }
    }

    fn user_of(who: &Who) -> &str {
        who.identity().user().as_str()
    }

    #[test]
    fn hello_at_its_word_cannot_change_the_user_after_a_command() {
        let (open, mut who) = (Access::open(), Who::at_its_word("anonymous".parse().unwrap()));
        who.hello(&hello(Some("ann"), None), &open, HERE).unwrap();
        who.hello(&hello(Some("bob"), Some("whatever".into())), &open, HERE).unwrap();
        assert_eq!(who.settle().as_str(), "bob");
        assert!(matches!(who.hello(&hello(Some("ann"), None), &open, HERE), Err(HelloError::Refused(_))));
        who.hello(&hello(Some("bob"), None), &open, HERE).unwrap();
        who.hello(&Hello::default(), &open, HERE).unwrap();
        assert_eq!(user_of(&who), "bob");
    }

    #[test]
    fn client_without_a_token_is_nobody_until_it_brings_one() {
        let (access, mut who) = (asking(), Who::unknown());
        assert_eq!(who.current(access.now()).unwrap_err().code, ErrorCode::Unauthorized);
        let refused = who.hello(&hello(Some("ann"), None), &access, HERE).unwrap_err();
        assert_eq!(refused, HelloError::Refused(missing()));
        assert!(who.time_left(&access, Instant::now()).unwrap() > Duration::from_secs(4));
        // What it says beside its token does not matter.
        who.hello(&hello(Some("bob"), Some(token("ann", 60))), &access, HERE).unwrap();
        assert_eq!(who.current(access.now()).unwrap().user().as_str(), "ann");
        who.hello(&hello(Some("bob"), None), &access, HERE).unwrap();
        assert_eq!(user_of(&who), "ann");
        let invalid = who.hello(&hello(None, Some("a.b.c".into())), &access, HERE);
        assert!(matches!(invalid, Err(HelloError::Invalid(_))));
    }

    #[test]
    fn fresh_token_of_the_same_user_renews_and_another_users_is_refused() {
        let (access, mut who) = (asking(), Who::unknown());
        who.hello(&hello(None, Some(token("ann", 60))), &access, HERE).unwrap();
        who.settle();
        assert!(who.time_left(&access, Instant::now()).unwrap() <= Duration::from_secs(60));
        who.hello(&hello(None, Some(token("ann", 600))), &access, HERE).unwrap();
        assert!(who.time_left(&access, Instant::now()).unwrap() > Duration::from_secs(500));
        let other = who.hello(&hello(None, Some(token("bob", 600))), &access, HERE).unwrap_err();
        assert!(matches!(other, HelloError::Refused(error) if error.code == ErrorCode::BadRequest));
        assert_eq!(user_of(&who), "ann");
    }

    #[test]
    fn client_is_nobody_again_when_its_token_has_run_out() {
        let (access, mut who) = (asking(), Who::unknown());
        who.hello(&hello(None, Some(token("ann", 60))), &access, HERE).unwrap();
        let later = Timestamp(access.now().millis() + 61_000);
        assert_eq!(who.current(later).unwrap_err().code, ErrorCode::Unauthorized);
    }

    #[test]
    fn relays_client_changes_only_by_the_relays_word() {
        let access = asking();
        let identity = |user: &str| Identity::new(user.parse().unwrap(), Vec::new(), None);
        let mut who = Who::vouched(identity("ann"));
        assert_eq!(who.time_left(&access, Instant::now()), None);
        who.hello(&hello(Some("bob"), None), &access, HERE).unwrap();
        assert_eq!(user_of(&who), "ann");
        let client = who.hello(&hello(None, Some(token("ann", 60))), &access, HERE);
        assert!(matches!(client, Err(HelloError::Invalid(_))));
        let way = Way { from: NodeId(1), to: HERE };
        let ann = Identity::at_its_word("ann".parse().unwrap());
        let voucher = access.vouch_hello(way, ann).unwrap().secret().to_owned();
        who.hello(&hello(None, Some(voucher)), &access, HERE).unwrap();
        assert_eq!(who.changes(), 1);
    }
}
