//! Stored values and peer messages: one version byte, then postcard.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes could not be read. Never "nothing there".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// Another version.
    #[error("it has version {found}, this node reads version {known} only")]
    Version {
        /// What the bytes say.
        found: u8,
        /// What this node reads.
        known: u8,
    },
    /// Bytes that make no sense.
    #[error("it makes no sense: {0}")]
    Unreadable(String),
}

/// The version byte and the value.
pub(crate) fn encode<T: Serialize>(version: u8, value: &T) -> Bytes {
    // Into growing memory, of types that all have a length: nothing here can fail.
    #[expect(clippy::expect_used, reason = "see above")]
    let bytes = postcard::to_extend(value, vec![version]).expect("values of ours have a postcard form");
    bytes.into()
}

/// Reads [`encode`] back. Bytes behind the value are refused.
pub(crate) fn decode<T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Result<T, DecodeError> {
    let (&found, rest) = bytes.split_first().ok_or(DecodeError::Empty)?;
    if found != version {
        return Err(DecodeError::Version { found, known: version });
    }
    match postcard::take_from_bytes(rest) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(DecodeError::Unreadable(format!("{} bytes behind its end", rest.len()))),
        Err(error) => Err(DecodeError::Unreadable(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_of_other_bytes_is_refused() {
        let bytes = encode(1, &(7u32, "seven"));
        assert_eq!(decode::<(u32, String)>(1, &bytes), Ok((7, "seven".to_owned())));
        assert_eq!(decode::<u32>(1, b""), Err(DecodeError::Empty));
        assert_eq!(decode::<u32>(2, &bytes), Err(DecodeError::Version { found: 1, known: 2 }));
        assert!(matches!(decode::<u32>(1, &bytes), Err(DecodeError::Unreadable(_))));
        assert!(matches!(decode::<(u32, String)>(1, &bytes[..3]), Err(DecodeError::Unreadable(_))));
    }
}
