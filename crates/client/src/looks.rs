//! When a room's task looks at what is late or due.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Between two looks while somebody waits for something.
const BUSY: Duration = Duration::from_millis(100);
/// While nobody does. An idle room is one of many, perhaps, and costs next to nothing.
const CALM: Duration = Duration::from_secs(1);
/// No look is sooner behind the one before.
const SOON: Duration = Duration::from_millis(10);

/// Looks at what is late or due, one after the other.
#[derive(Debug)]
pub(crate) struct Looks {
    last: Instant,
    timer: Pin<Box<Sleep>>,
    /// Whether somebody waits for something.
    busy: bool,
}

impl Looks {
    /// Outside a runtime this panics.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { last: now, timer: Box::pin(sleep_until(now + BUSY)), busy: false }
    }

    /// Whether somebody waits for something from now on. Returns the time if nobody did so far: what was before says
    /// nothing about how long that takes.
    pub(crate) fn set_busy(&mut self, busy: bool) -> Option<Instant> {
        let was_busy = std::mem::replace(&mut self.busy, busy);
        (busy && !was_busy).then(|| {
            self.last = Instant::now();
            self.last
        })
    }

    /// Waits for the time of the next look: `due`, if nobody waits for anything and that is soon. Nothing is lost when
    /// the future is dropped.
    pub(crate) async fn next(&mut self, due: Option<Instant>) -> Instant {
        let at = if self.busy {
            self.last + BUSY
        } else {
            due.map_or(self.last + CALM, |due| due.clamp(self.last + SOON, self.last + CALM))
        };
        if self.timer.deadline() != at {
            self.timer.as_mut().reset(at);
        }
        self.timer.as_mut().await;
        self.last = Instant::now();
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When the next looks are, milliseconds from the beginning.
    async fn next(looks: &mut Looks, begun: Instant, due: Option<u64>) -> u128 {
        let at = looks.next(due.map(|ms| begun + Duration::from_millis(ms))).await;
        (at - begun).as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn looks_are_rare_while_nobody_waits_and_at_what_is_due() {
        let begun = Instant::now();
        let mut looks = Looks::new();
        assert_eq!(next(&mut looks, begun, None).await, 1_000);
        assert_eq!(next(&mut looks, begun, Some(9_000)).await, 2_000);
        assert_eq!(next(&mut looks, begun, Some(2_300)).await, 2_300);
        assert_eq!(next(&mut looks, begun, None).await, 3_300);
    }

    #[tokio::test(start_paused = true)]
    async fn looks_are_frequent_from_when_somebody_waits() {
        let begun = Instant::now();
        let mut looks = Looks::new();
        tokio::time::advance(Duration::from_millis(950)).await;
        assert_eq!(looks.set_busy(true), Some(Instant::now()));
        assert_eq!(looks.set_busy(true), None);
        assert_eq!(next(&mut looks, begun, Some(5_000)).await, 1_050);
        assert_eq!(next(&mut looks, begun, None).await, 1_150);
        assert_eq!(looks.set_busy(false), None);
        assert_eq!(next(&mut looks, begun, None).await, 2_150);
        assert!(looks.set_busy(true).is_some());
    }
}
