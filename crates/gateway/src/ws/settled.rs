//! A future that wakes itself goes on at once.
//!
//! A socket's reader and writer are one task and hand each other work. By tokio's means, who is woken while it runs
//! goes to the end of its worker's queue, and another worker is woken to share that queue: a context switch for every
//! command, mostly a move to another core, and a large part of what an idle client's heartbeat costs.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

/// Times that a future is polled in a row, before others have their turn.
const POLLS_MAX: usize = 4;

/// The future waits: whoever wakes it wakes its task.
const IDLE: u8 = 0;
/// It is being polled.
const POLLED: u8 = 1;
/// It was woken since it was polled, and will be again.
const WOKEN: u8 = 2;

/// Wakes a task, unless that is running anyway.
#[derive(Default)]
struct Inner {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Always written, so that the poll that this leads to sees what was done before the wake.
        if self.state.swap(WOKEN, Ordering::AcqRel) == IDLE {
            self.task.wake();
        }
    }
}

/// The same future, which is polled again where it was woken while it was polled. Given pinned, as the task would have
/// room for it twice otherwise.
pub(crate) async fn settled<F: Future + Unpin>(mut future: F) -> F::Output {
    let inner = Arc::<Inner>::default();
    let waker = Waker::from(inner.clone());
    poll_fn(move |cx| {
        inner.task.register(cx.waker());
        for _ in 0..POLLS_MAX {
            inner.state.swap(POLLED, Ordering::AcqRel);
            if let Poll::Ready(output) = Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(output);
            }
            let settled = inner.state.compare_exchange(POLLED, IDLE, Ordering::AcqRel, Ordering::Acquire);
            if settled.is_ok() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;

    use futures::FutureExt;
    use tokio::sync::mpsc;

    use super::*;

    /// Counts the wakes of a task.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn future_that_hands_itself_work_needs_no_wake() {
        let (sender, mut queue) = mpsc::unbounded_channel();
        let (done, mut found) = mpsc::unbounded_channel();
        let (start, mut started) = mpsc::unbounded_channel::<()>();
        let writer = async move {
            while let Some(work) = queue.recv().await {
                done.send(work).unwrap();
            }
        };
        let reader = async move {
            while started.recv().await.is_some() {
                sender.send(1).unwrap();
            }
        };
        // The writer is polled first, and waits by the time that the reader has something for it.
        let both = pin!(async {
            tokio::join!(biased; writer, reader);
        });
        let mut task = pin!(settled(both));
        let wakes = Arc::<Wakes>::default();
        let waker = Waker::from(wakes.clone());
        let mut poll = || task.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(poll().is_pending());
        start.send(()).unwrap();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "from outside the task is woken");
        assert!(poll().is_pending());
        assert_eq!(found.recv().now_or_never(), Some(Some(1)));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        drop(start);
        assert!(poll().is_ready());
    }

    #[test]
    fn future_that_always_wakes_itself_lets_others_have_their_turn() {
        let mut polls = 0;
        let restless = poll_fn(|cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        let wakes = Arc::<Wakes>::default();
        let waker = Waker::from(wakes.clone());
        {
            let mut task = pin!(settled(restless));
            assert!(task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!((polls, wakes.0.load(Ordering::Relaxed)), (POLLS_MAX, 1));
    }

    #[test]
    fn future_that_is_woken_by_another_thread_at_any_time_is_polled_again() {
        let (sender, mut queue) = mpsc::unbounded_channel();
        let sending = std::thread::spawn(move || (0..20_000).for_each(|n| sender.send(n).unwrap()));
        let received = async {
            let mut count = 0;
            while queue.recv().await.is_some() {
                count += 1;
            }
            count
        };
        assert_eq!(futures::executor::block_on(settled(pin!(received))), 20_000);
        sending.join().unwrap();
    }
}
