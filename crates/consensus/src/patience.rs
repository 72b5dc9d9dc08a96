//! Writes of rows that the disk does not take yet are tried again.
//!
//! A disk that is slower than the load is waited for as long as it takes. One that is full is for some time: a node
//! gives up its ballast when its disk is full all at once, and operators make room: what failed then succeeds
//! some seconds later, see [`Error::NoSpace`]. A replica whose rows cannot be written applies nothing meanwhile, so
//! its node counts as one whose disk hangs: others own what it owned.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use roomkeeper_storage::Error;
use tokio::time::{Instant, sleep};

/// A disk that is full for longer takes the replica down.
const FULL_MAX: Duration = Duration::from_secs(30);
/// Between two attempts: first so long, then twice as long each time.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Everybody on this node whose rows wait for the disk. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patience {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Who waits, by when that began: whoever waits longest is first.
    waiting: BTreeSet<(Instant, u64)>,
    /// Of the next who waits: two may begin at once.
    ticket: u64,
    over: bool,
    /// Operators know that the disk is full.
    told: bool,
}

impl Patience {
    /// How long whoever waits longest has waited; zero while there is nobody. Waits that only overlap do not add
    /// up: a disk that takes everybody's rows after a moment is busy, not hung.
    pub(crate) fn strained_for(&self) -> Duration {
        self.state.lock().waiting.first().map_or(Duration::ZERO, |(since, _)| since.elapsed())
    }

    /// From now on nobody waits: the node stops.
    pub(crate) fn end(&self) {
        self.state.lock().over = true;
    }

    /// Attempts until the disk takes it, or there is an error that does not pass.
    ///
    /// # Errors
    /// The last attempt's.
    pub(crate) async fn until_taken<T, Attempt>(
        &self,
        mut attempt: impl FnMut() -> Attempt,
    ) -> Result<T, Error>
    where
        Attempt: Future<Output = Result<T, Error>>,
    {
        let (mut waiting, mut pause) = (None, PAUSE_MIN);
        let mut full: Option<Instant> = None;
        loop {
            let error = match attempt().await {
                Err(error) if error.may_pass() => error,
                other => {
                    if full.is_some() && other.is_ok() && std::mem::take(&mut self.state.lock().told) {
                        tracing::warn!("the database takes rows again");
                    }
                    return other;
                }
            };
            waiting.get_or_insert_with(|| self.wait());
            if self.state.lock().over {
                return Err(error);
            }
            if error.is_no_space() {
                let begun = full.get_or_insert_with(|| {
                    self.tell_full(&error);
                    Instant::now()
                });
                if begun.elapsed() >= FULL_MAX {
                    return Err(error);
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The same for work that blocks.
    pub(crate) async fn until_taken_blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl Fn() -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        self.until_taken(|| {
            let working = tokio::task::spawn_blocking(work.clone());
            async move {
                // It panicked, or the runtime ends.
                working.await.unwrap_or_else(|error| Err(Error::Io { action, reason: error.to_string() }))
            }
        })
        .await
    }

    /// Once for all who wait.
    fn tell_full(&self, error: &Error) {
        if !std::mem::replace(&mut self.state.lock().told, true) {
            tracing::error!(%error, "rows wait for room on the disk");
        }
    }

    fn wait(&self) -> Waiting {
        let mut state = self.state.lock();
        let place = (Instant::now(), state.ticket);
        state.ticket += 1;
        state.waiting.insert(place);
        Waiting { state: self.state.clone(), place }
    }
}

/// Somebody waits as long as this exists.
struct Waiting {
    state: Arc<Mutex<State>>,
    place: (Instant, u64),
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.state.lock().waiting.remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    fn full() -> Error {
        Error::NoSpace { action: "writing", reason: "no block is free".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn attempt_without_room_is_repeated_and_shows_until_it_succeeds() {
        let (patience, begun) = (Patience::default(), Instant::now());
        let attempt = || {
            let there_is = begun.elapsed() >= Duration::from_secs(6);
            ready(if there_is { Ok(7) } else { Err(full()) })
        };
        let watching = async {
            sleep(Duration::from_secs(3)).await;
            patience.strained_for()
        };
        let (result, strained) = tokio::join!(patience.until_taken(attempt), watching);
        assert_eq!(result.unwrap(), 7);
        assert_eq!(strained.as_secs(), 3);
        assert_eq!(patience.strained_for(), Duration::ZERO);
        assert_eq!(begun.elapsed().as_secs(), 6);
    }

    /// Five wait for a second each, every one from half a second after the one before.
    #[tokio::test(start_paused = true)]
    async fn waits_that_overlap_do_not_add_up() {
        let (patience, begun) = (Patience::default(), Instant::now());
        let wait = |nth: u32| {
            let (patience, from) = (patience.clone(), Duration::from_millis(500) * nth);
            async move {
                sleep(from).await;
                let slow = || match begun.elapsed() >= from + Duration::from_secs(1) {
                    true => ready(Ok(())),
                    false => ready(Err(Error::Stalled { action: "writing" })),
                };
                patience.until_taken(slow).await
            }
        };
        let watching = async {
            sleep(Duration::from_millis(1900)).await;
            patience.strained_for()
        };
        let (.., strained) = tokio::join!(wait(0), wait(1), wait(2), wait(3), wait(4), watching);
        assert_eq!(strained.as_millis(), 900, "of the third; the first began 1.9 s before");
        assert_eq!(patience.strained_for(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn disk_that_stays_full_is_an_error_after_a_while() {
        let (patience, begun) = (Patience::default(), Instant::now());
        let result: Result<(), Error> = patience.until_taken(|| ready(Err(full()))).await;
        assert!(result.unwrap_err().is_no_space());
        assert!((FULL_MAX..=FULL_MAX + PAUSE_MAX).contains(&begun.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn disk_that_is_only_slow_is_waited_for_without_limit() {
        let (patience, begun) = (Patience::default(), Instant::now());
        let slow = || match begun.elapsed() > FULL_MAX * 3 {
            true => ready(Ok(())),
            false => ready(Err(Error::Stalled { action: "writing" })),
        };
        patience.until_taken(slow).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn other_errors_are_not_waited_for() {
        let (patience, mut attempts) = (Patience::default(), 0);
        let result: Result<(), Error> = patience
            .until_taken(|| {
                attempts += 1;
                ready(Err(Error::Io { action: "writing", reason: "gone".to_owned() }))
            })
            .await;
        assert!(matches!(result, Err(Error::Io { .. })));
        assert_eq!(attempts, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn node_that_stops_does_not_wait() {
        let (patience, begun) = (Patience::default(), Instant::now());
        patience.end();
        let result: Result<(), Error> = patience.until_taken(|| ready(Err(full()))).await;
        assert!(result.unwrap_err().is_no_space());
        let stalled = || ready(Err::<(), _>(Error::Stalled { action: "writing" }));
        assert!(matches!(patience.until_taken(stalled).await, Err(Error::Stalled { .. })));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
