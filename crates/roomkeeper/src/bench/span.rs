//! The measured span of a benchmark, and what keeps to a rate in it.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::setup::CommonArgs;

/// When the measured span begins and ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    begin: Instant,
    end: Instant,
}

impl Span {
    pub(crate) fn starting_now(args: &CommonArgs) -> Self {
        let begin = Instant::now() + args.warmup;
        Self { begin, end: begin + args.duration }
    }

    /// Whether something that happened then counts.
    pub(crate) fn contains(&self, at: Instant) -> bool {
        self.begin <= at && at < self.end
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self, at: Instant) -> bool {
        at >= self.end
    }

    /// How long it is.
    pub(crate) fn length(&self) -> Duration {
        self.end - self.begin
    }

    /// Waits for its begin.
    pub(crate) async fn begun(&self) {
        sleep_until(self.begin).await;
    }

    /// Waits for its end.
    pub(crate) async fn over(&self) {
        sleep_until(self.end).await;
    }
}

/// Tells when a publish is due, at `rate` per second until the span is over; `window` of them may wait to be
/// made. A thread of its own: the runtime's timers are only good to a millisecond, which is what is measured.
pub(crate) fn metronome(rate: u32, span: Span, window: usize) -> mpsc::Receiver<Instant> {
    let (sender, due) = mpsc::channel(window);
    std::thread::spawn(move || {
        let start = Instant::now();
        for beat in 0u64.. {
            let at = start + Duration::from_nanos(beat * 1_000_000_000 / u64::from(rate));
            if span.is_over(at) {
                return;
            }
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if sender.blocking_send(at).is_err() {
                return;
            }
        }
    });
    due
}
