//! A second try beside a first one that says nothing: a node that is stopped or cut off accepts connections
//! and answers nothing, and its refusal never comes.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use tokio::time::timeout;

/// How long a node may take before another one is asked too. One that holds a handshake for an owner that is
/// being elected takes longer, and is not given up for that.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// Runs `first`, and after [`PATIENCE`] without a result `second` beside it. The first success counts; an
/// error counts where nothing else is under way.
pub(crate) async fn hedge<T, E>(
    first: impl Future<Output = Result<T, E>>,
    second: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let mut first = pin!(first);
    if let Ok(result) = timeout(PATIENCE, &mut first).await {
        return result;
    }
    match select(first, pin!(second)).await {
        Either::Left((Ok(value), _)) | Either::Right((Ok(value), _)) => Ok(value),
        Either::Left((Err(_), second)) => second.await,
        Either::Right((Err(_), first)) => first.await,
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::{Instant, sleep};

    use super::*;

    async fn after(ms: u64, result: Result<u8, u8>) -> Result<u8, u8> {
        sleep(Duration::from_millis(ms)).await;
        result
    }

    #[tokio::test(start_paused = true)]
    async fn first_that_answers_in_time_is_alone() {
        assert_eq!(hedge(after(499, Ok(1)), async { panic!("not asked") }).await, Ok(1));
        assert_eq!(hedge(after(499, Err(1)), async { panic!("not asked") }).await, Err(1));
    }

    #[tokio::test(start_paused = true)]
    async fn first_that_is_silent_is_overtaken() {
        let begun = Instant::now();
        assert_eq!(hedge(pending(), after(10, Ok(2))).await, Ok::<_, u8>(2));
        assert_eq!(begun.elapsed(), PATIENCE + Duration::from_millis(10));
    }

    #[tokio::test(start_paused = true)]
    async fn failure_of_one_leaves_it_to_the_other() {
        assert_eq!(hedge(after(900, Ok(1)), after(10, Err(2))).await, Ok(1));
        assert_eq!(hedge(after(600, Err(1)), after(400, Ok(2))).await, Ok(2));
        assert_eq!(hedge(after(600, Err(1)), after(400, Err(2))).await, Err(2));
    }
}
