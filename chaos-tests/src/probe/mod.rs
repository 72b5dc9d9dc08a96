//! HTTP and WebSocket frame by frame, without the client's retries and redirects: for tests of the contract.

mod http;
mod socket;

pub use http::{Answer, Http};
pub use socket::{End, Offer, Refused, Socket, socket_url};

use std::time::Duration;

/// How long an answer may take before a test fails.
pub const LIMIT: Duration = Duration::from_secs(15);
