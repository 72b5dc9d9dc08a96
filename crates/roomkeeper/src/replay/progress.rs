//! The progress bar: acks, rooms, reconnects.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use roomkeeper_client::{Client, Counts};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::cli::print;

/// Between two looks at the counters.
const REFRESH: Duration = Duration::from_millis(250);

/// Counts acks, and shows them where standard error is a terminal.
pub(crate) struct Progress {
    acked: AtomicU64,
    rooms_done: AtomicU64,
    rooms: u64,
    started: Instant,
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new(lines: u64, rooms: u64, visible: bool) -> Self {
        let bar = if visible { ProgressBar::new(lines) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len} lines  {msg}") {
            bar.set_style(style);
        }
        let zero = AtomicU64::default;
        Self { acked: zero(), rooms_done: zero(), rooms, started: Instant::now(), bar }
    }

    /// A line was acked.
    pub(crate) fn acked(&self) {
        self.acked.fetch_add(1, Ordering::Relaxed);
    }

    /// A room was played and read back.
    pub(crate) fn room_done(&self) {
        self.rooms_done.fetch_add(1, Ordering::Relaxed);
    }

    /// Lines acked so far.
    pub(crate) fn total(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    /// Redraws the bar until it is dropped.
    pub(crate) async fn draw(&self, client: &Client) -> std::convert::Infallible {
        let mut tick = interval(REFRESH);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last, mut last_at) = (0, self.started);
        loop {
            tick.tick().await;
            let (now, acked) = (Instant::now(), self.total());
            let speed = print::rate(acked - last, now - last_at);
            (last, last_at) = (acked, now);
            self.bar.set_position(acked);
            self.bar.set_message(self.words(speed, client.metrics().counts()));
        }
    }

    /// Takes the bar off the screen.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn words(&self, speed: u64, counts: Counts) -> String {
        format!(
            "{} acks/s, {}/{} rooms, {}",
            print::number(speed),
            self.rooms_done.load(Ordering::Relaxed),
            self.rooms,
            print::count(counts.reconnects, "reconnect")
        )
    }
}
