//! Messages of one size that know when they were made.

use std::time::Duration;

use clap::Args;
use roomkeeper_client::message;
use roomkeeper_client::protocol::{Data, NewMessage};
use tokio::time::Instant;

/// The smallest and largest payload: a time stamp fits, and a message holds it.
const SIZES: std::ops::RangeInclusive<i64> = 24..=65_536;
/// Digits of the time stamp.
const STAMP: usize = 12;

/// How large messages are.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct SizeArgs {
    /// Bytes of each message's data
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(SIZES))]
    pub(crate) size: u32,
}

/// Messages of one size. The data begins with the time it was made, in microseconds since the run began.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    start: Instant,
    size: usize,
}

impl Payload {
    pub(crate) fn new(size: SizeArgs) -> Self {
        Self { start: Instant::now(), size: size.size as usize }
    }

    /// The next message: a JSON string of exactly `size` bytes with its quotes.
    pub(crate) fn message(&self) -> NewMessage {
        self.made_at(Instant::now())
    }

    /// A message that counts as made at that time.
    pub(crate) fn made_at(&self, at: Instant) -> NewMessage {
        let micros = at.saturating_duration_since(self.start).as_micros();
        let width = self.size - 2 - STAMP;
        message(Data::Json(format!("\"{micros:0STAMP$}{:x<width$}\"", "").into()))
    }

    /// How long ago a message was made, if this run made it.
    pub(crate) fn age(&self, data: &Data) -> Option<Duration> {
        let stamp = std::str::from_utf8(data.bytes().get(1..=STAMP)?).ok()?;
        let made = Duration::from_micros(stamp.parse().ok()?);
        self.start.elapsed().checked_sub(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_json_of_the_size_asked_for_and_knows_its_age() {
        for size in [24, 128, 65_536] {
            let payload = Payload::new(SizeArgs { size });
            let data = payload.message().data;
            assert_eq!(data.bytes().len(), size as usize);
            assert_eq!(Data::json(data.bytes().clone()), Ok(data.clone()));
            assert!(payload.age(&data).unwrap() < Duration::from_secs(60));
        }
        assert_eq!(Payload::new(SizeArgs { size: 24 }).age(&Data::json_string("x")), None);
    }

    #[test]
    fn payload_that_was_due_earlier_is_that_old() {
        let payload = Payload::new(SizeArgs { size: 24 });
        let due = payload.start + Duration::from_millis(40);
        let data = payload.made_at(due).data;
        while payload.start.elapsed() < Duration::from_millis(50) {}
        assert!(payload.age(&data).unwrap() >= Duration::from_millis(10));
    }
}
