//! The wall clock, for what clients are shown and what they say in its terms.

use std::time::{SystemTime, UNIX_EPOCH};

use roomkeeper_types::Timestamp;

/// Milliseconds since the Unix epoch. May jump; nothing that has to be right hangs on it.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
