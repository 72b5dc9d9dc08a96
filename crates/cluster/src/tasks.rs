//! The tasks of a node, how they are stopped, and how one of them takes the node down.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of a node.
#[derive(Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Runs a task that can be dropped at any await, and is when the node stops.
    pub(crate) fn spawn_loop(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Runs a task that ends by itself, in order, when the node stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }

    /// Returns when the node stops.
    pub(crate) async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Asks all tasks to end and waits until they have.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Why the node cannot go on. The first reason stays.
#[derive(Default)]
pub(crate) struct Failure {
    reason: watch::Sender<Option<String>>,
}

impl Failure {
    /// The node cannot go on.
    pub(crate) fn report(&self, reason: String) {
        tracing::error!(reason, "the node cannot go on");
        self.reason.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(reason);
            first
        });
    }

    /// The reason, if there is one.
    pub(crate) fn known(&self) -> Option<String> {
        self.reason.borrow().clone()
    }

    /// Returns when there is a reason.
    pub(crate) async fn wait(&self) -> String {
        let mut reasons = self.reason.subscribe();
        match reasons.wait_for(Option::is_some).await.map(|reason| reason.clone()) {
            Ok(Some(reason)) => reason,
            // The sender is `self`, and it was waited for a reason.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn first_failure_stays_the_reason() {
        let failure = Failure::default();
        failure.report("disk".into());
        failure.report("network".into());
        assert_eq!(failure.wait().await, "disk");
    }

    #[tokio::test]
    async fn stop_returns_when_tasks_have_ended() {
        let tasks = std::sync::Arc::new(Tasks::default());
        let (ended, sees) = watch::channel(false);
        let own = tasks.clone();
        tasks.spawn(async move {
            own.stopping().await;
            ended.send_replace(true);
        });
        tasks.spawn_loop(std::future::pending());
        tasks.stop().await;
        assert!(*sees.borrow());
    }
}
