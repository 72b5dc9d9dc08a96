//! A subscriber that watches one room being played, and compares what it sees with the log.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use roomkeeper_client::protocol::From;
use roomkeeper_client::types::Offset;
use roomkeeper_client::{Client, Error, Event, Subscription};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::compare::{Comparer, Differences};
use super::log_file::LogFile;

/// A running subscriber.
pub(crate) struct Watcher {
    /// The offset that it waits for.
    next: watch::Receiver<Offset>,
    /// Set once nothing more is published: the offset that it has to reach.
    end: watch::Sender<Option<Offset>>,
    task: JoinHandle<Result<Differences, Error>>,
}

impl Watcher {
    /// Joins the room, from its beginning on, with a socket of its own that starts at a random node.
    ///
    /// # Errors
    /// The room cannot be joined.
    pub(crate) async fn start(log: Arc<LogFile>, client: &Client) -> Result<Self, Error> {
        let room = client.room(log.room.clone());
        let subscription = room.subscribe(From::Beginning).await?;
        let (tell_next, next) = watch::channel(Offset::FIRST);
        let (end, told_end) = watch::channel(None);
        let task = tokio::spawn(run(log, subscription, tell_next, told_end));
        Ok(Self { next, end, task })
    }

    /// What it saw that differs from the log, once it has seen everything below `end`, or has seen nothing
    /// new for `patience`.
    ///
    /// # Errors
    /// Its subscription ended with an error.
    pub(crate) async fn finish(mut self, end: Offset, patience: Duration) -> Result<Differences, Error> {
        while *self.next.borrow_and_update() < end {
            match timeout(patience, self.next.changed()).await {
                Ok(Ok(())) => {}
                // Its task has ended, or it is stuck: what it saw so far tells.
                Ok(Err(_)) | Err(_) => break,
            }
        }
        self.end.send_replace(Some(end));
        self.task.await.map_err(|_| Error::Stopped)?
    }
}

async fn run(
    log: Arc<LogFile>,
    mut subscription: Subscription,
    next: watch::Sender<Offset>,
    mut end: watch::Receiver<Option<Offset>>,
) -> Result<Differences, Error> {
    let mut comparer = Comparer::new(&log);
    loop {
        tokio::select! {
            biased;
            event = subscription.next() => match event {
                Some(Ok(Event::Items(items))) => {
                    items.iter().for_each(|item| comparer.take(item));
                    next.send_replace(comparer.next());
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => break,
            },
            // An error means that nobody waits for this watcher any more.
            _ = end.changed() => break,
        }
    }
    Ok(comparer.finish())
}
