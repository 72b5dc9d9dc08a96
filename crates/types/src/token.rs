//! What a client proves itself with.

use std::fmt;
use std::sync::Arc;

/// A token, as it came: any text. It is not shown by `Debug`, has no `Display`, and stands in no error.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

impl Token {
    /// The text itself, for whoever checks or sends it.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_not_shown_by_debug() {
        let token = Token::from("canary");
        assert_eq!(format!("{token:?} {:?}", Some(token.clone())), "Token(…) Some(Token(…))");
        assert_eq!(token.secret(), "canary");
    }
}
