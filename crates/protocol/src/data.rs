//! Message content: what makes bytes JSON.

use bytes::Bytes;
use serde::de::IgnoredAny;

use crate::{Data, Error};

impl Data {
    /// JSON content, checked: the UTF-8 text of exactly one JSON value. White space around it is refused,
    /// since JSON frames would not carry it and what is read would differ from what was sent.
    ///
    /// # Errors
    /// `bad_request` that says what is wrong with the text.
    pub fn json(text: impl Into<Bytes>) -> Result<Self, Error> {
        let bytes = text.into();
        let wrong = |why: &dyn std::fmt::Display| {
            Error::bad_request(format!("data: expected the text of exactly one JSON value: {why}"))
        };
        let text = std::str::from_utf8(&bytes).map_err(|e| wrong(&e))?;
        serde_json::from_str::<IgnoredAny>(text).map_err(|e| wrong(&e))?;
        if text.starts_with(is_json_space) || text.ends_with(is_json_space) {
            return Err(wrong(&"white space around it would not be carried"));
        }
        Ok(Self::Json(bytes))
    }

    /// JSON content: a text as a JSON string.
    #[must_use]
    pub fn json_string(text: &str) -> Self {
        let mut out = Vec::with_capacity(text.len() + 2);
        crate::codec::write_json_text(&mut out, text);
        Self::Json(out.into())
    }
}

fn is_json_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}
