//! Who a client is.
//!
//! There are no tokens yet: a client is taken at its word, which is the protocol's development mode. Everything
//! that asks who somebody is asks here, so that tokens come in at one place.

use http::HeaderMap;
use roomkeeper_protocol::{Error, Hello};
use roomkeeper_types::UserId;

/// Header of plain HTTP requests that names the user.
pub(crate) const USER_HEADER: &str = "roomkeeper-user";
const ANONYMOUS: &str = "anonymous";

/// The user of a request or handshake: the header, else the query's `user`, else `anonymous`.
///
/// # Errors
/// `bad_request`: it is no user's name.
pub(crate) fn of_request(headers: &HeaderMap, query: Option<&str>) -> Result<UserId, Error> {
    let header = headers.get(USER_HEADER).map(|value| {
        std::str::from_utf8(value.as_bytes())
            .map_err(|_| Error::bad_request(format!("header {USER_HEADER}: expected UTF-8")))
    });
    let name = header.transpose()?.or(query).unwrap_or(ANONYMOUS);
    name.parse().map_err(|error| Error::bad_request(format!("user: {error}")))
}

/// The identity of a socket's client.
#[derive(Debug)]
pub(crate) struct Who {
    user: UserId,
    /// Whether a command was carried out in its name.
    settled: bool,
}

impl Who {
    pub(crate) fn new(user: UserId) -> Self {
        Self { user, settled: false }
    }

    /// Takes a `hello`.
    ///
    /// # Errors
    /// `bad_request`: another user than the one in whose name commands were carried out already.
    pub(crate) fn hello(&mut self, hello: &Hello) -> Result<UserId, Error> {
        match &hello.user {
            Some(user) if *user != self.user && self.settled => {
                Err(Error::bad_request("user: hello comes first, commands were carried out for another user"))
            }
            Some(user) => {
                self.user = user.clone();
                Ok(user.clone())
            }
            None => Ok(self.user.clone()),
        }
    }

    /// The user in whose name a command is carried out. From then on it does not change.
    pub(crate) fn settle(&mut self) -> UserId {
        self.settled = true;
        self.user.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(user: &str) -> Hello {
        Hello { user: Some(user.parse().unwrap()), ..Hello::default() }
    }

    #[test]
    fn hello_after_a_command_cannot_change_the_user() {
        let mut who = Who::new("anonymous".parse().unwrap());
        assert_eq!(who.hello(&hello("ann")).unwrap().as_str(), "ann");
        assert_eq!(who.hello(&hello("bob")).unwrap().as_str(), "bob");
        assert_eq!(who.settle().as_str(), "bob");
        assert!(who.hello(&hello("ann")).is_err());
        assert_eq!(who.hello(&hello("bob")).unwrap().as_str(), "bob");
        assert_eq!(who.hello(&Hello::default()).unwrap().as_str(), "bob");
    }

    #[test]
    fn request_names_its_user_by_header_before_query() {
        let mut headers = HeaderMap::new();
        assert_eq!(of_request(&headers, None).unwrap().as_str(), "anonymous");
        assert_eq!(of_request(&headers, Some("ann")).unwrap().as_str(), "ann");
        headers.insert(USER_HEADER, "bob".parse().unwrap());
        assert_eq!(of_request(&headers, Some("ann")).unwrap().as_str(), "bob");
        headers.insert(USER_HEADER, http::HeaderValue::from_bytes(b"\xff").unwrap());
        assert!(of_request(&headers, None).is_err());
    }
}
