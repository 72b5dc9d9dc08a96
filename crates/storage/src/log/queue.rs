//! The one queue to the writer thread: jobs of all groups in call order.
//!
//! Bounded by bytes, not by jobs: every job first takes its size from a budget and gives it back when it is on
//! disk. Policy when the budget is used up: callers wait, first come first served. Because the waiting happens
//! before a group is locked, the step into the queue itself neither waits nor can be cancelled half way.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SendError, Sender, channel};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::Done;
use super::group::Group;
use super::keys::KEY_LEN;
use super::tail::JobNumber;
use crate::Error;

/// Counted per job and per row on top of the bytes given.
const OVERHEAD: usize = 128;

/// What a job changes on disk.
#[derive(Debug)]
pub(super) enum Op {
    Append {
        first: u64,
        entries: Vec<Bytes>,
    },
    Vote {
        number: u64,
        vote: Bytes,
    },
    Committed(Option<Bytes>),
    /// `kept` is the last entry that stays, if any.
    Truncate {
        gone: Range<u64>,
        kept: Option<u64>,
    },
    Purge {
        gone: Range<u64>,
        kept_from: u64,
        mark: Bytes,
    },
    Remove,
}

impl Op {
    /// Whether somebody relies on it being on disk. A committed mark or a purge that a crash undoes is made
    /// again; both stay in order and reach the disk with the next sync.
    pub(super) fn needs_sync(&self) -> bool {
        match self {
            Self::Append { entries, .. } => !entries.is_empty(),
            Self::Vote { .. } | Self::Truncate { .. } | Self::Remove => true,
            Self::Committed(_) | Self::Purge { .. } => false,
        }
    }

    /// Memory it takes while it waits.
    pub(super) fn waiting_bytes(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Append { entries, .. } => entries.iter().map(|entry| entry.len() + OVERHEAD).sum(),
                Self::Vote { vote: mark, .. } | Self::Committed(Some(mark)) | Self::Purge { mark, .. } => {
                    mark.len()
                }
                Self::Committed(None) | Self::Truncate { .. } | Self::Remove => 0,
            }
    }

    /// About what it adds to a write.
    pub(super) fn written_bytes(&self) -> usize {
        let deletes = match self {
            Self::Truncate { gone, .. } | Self::Purge { gone, .. } => gone.end.saturating_sub(gone.start),
            _ => 0,
        };
        self.waiting_bytes() + KEY_LEN * usize::try_from(deletes).unwrap_or(usize::MAX / KEY_LEN)
    }
}

/// One change on its way to the disk.
pub(super) struct Job {
    pub group: Arc<Group>,
    pub number: JobNumber,
    pub op: Op,
    pub ack: Ack,
    /// Its part of the budget, given back when the job is dropped.
    pub _permit: OwnedSemaphorePermit,
}

/// Tells the caller how a job ended: once, whatever happens to the writer thread.
pub(super) struct Ack(Option<Done>);

impl Ack {
    pub(super) fn new(done: Done) -> Self {
        Self(Some(done))
    }

    /// Nobody waits for it.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// An ack to wait for.
    pub(super) fn channel() -> (Self, AckWaiter) {
        let (sender, waiter) = oneshot::channel();
        let done = move |result| {
            // The caller may have stopped waiting; the write is made all the same.
            let _ = sender.send(result);
        };
        (Self::new(Box::new(done)), AckWaiter(waiter))
    }

    pub(super) fn fire(mut self, result: Result<(), Error>) {
        if let Some(done) = self.0.take() {
            done(result);
        }
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(Error::Stopped("it ended before the write was made".to_owned())));
        }
    }
}

pub(super) struct AckWaiter(oneshot::Receiver<Result<(), Error>>);

impl AckWaiter {
    pub(super) async fn wait(self) -> Result<(), Error> {
        self.0.await.unwrap_or_else(|_| Err(Error::Stopped("it dropped the write".to_owned())))
    }
}

pub(super) enum Message {
    Job(Job),
    /// Write out what is there, then stop.
    Close,
}

/// Whether jobs are still taken, and how many bytes of them. Shared by the queue's two ends.
pub(super) struct Gate {
    budget: Arc<Semaphore>,
    capacity: u32,
    stopped: watch::Sender<Option<Stopped>>,
    /// Nobody wants to wait for a disk that is full.
    closing: AtomicBool,
}

/// Why no more jobs are taken.
struct Stopped {
    reason: String,
    /// The disk failed, rather than that it was closed.
    failed: bool,
}

impl Gate {
    /// Takes no more jobs, for good, because it was closed.
    pub(super) fn close(&self) {
        self.stop(Stopped { reason: "it was closed".to_owned(), failed: false });
    }

    /// Whether it will be closed as soon as what is queued is written.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Takes no more jobs, for good, because the disk failed.
    pub(super) fn fail(&self, reason: String) {
        self.stop(Stopped { reason, failed: true });
    }

    /// The first reason stays.
    fn stop(&self, stopped: Stopped) {
        self.stopped.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(stopped);
            first
        });
        self.budget.close();
    }

    /// Returns when the disk has failed, with the reason.
    pub(super) async fn failed(&self) -> String {
        let mut stopped = self.stopped.subscribe();
        loop {
            if let Some(stopped) = stopped.borrow_and_update().as_ref().filter(|stopped| stopped.failed) {
                return stopped.reason.clone();
            }
            if stopped.changed().await.is_err() {
                // The sender is `self`.
                return std::future::pending().await;
            }
        }
    }

    /// `Stopped`, if it is.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.stopped.borrow().as_ref() {
            Some(stopped) => Err(Error::Stopped(stopped.reason.clone())),
            None => Ok(()),
        }
    }

    fn stopped(&self) -> Error {
        self.check().err().unwrap_or_else(|| Error::Stopped("its thread ended".to_owned()))
    }
}

/// The callers' end of the queue.
pub(super) struct Queue {
    gate: Arc<Gate>,
    sender: Sender<Message>,
}

/// A queue that holds jobs of at most `capacity` bytes.
pub(super) fn queue(capacity: usize) -> (Queue, Receiver<Message>) {
    // A semaphore hands out at most u32::MAX at a time; a queue of 4 GiB is none anyway.
    let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
    let budget = Arc::new(Semaphore::new(capacity as usize));
    let (sender, receiver) = channel();
    let (stopped, closing) = (watch::Sender::default(), AtomicBool::new(false));
    (Queue { gate: Arc::new(Gate { budget, capacity, stopped, closing }), sender }, receiver)
}

impl Queue {
    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Takes `bytes` from the budget, waiting for them if need be. A job larger than the whole budget waits for
    /// all of it.
    pub(super) async fn permit(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.gate.capacity);
        let budget = Arc::clone(&self.gate.budget);
        budget.acquire_many_owned(bytes).await.map_err(|_| self.gate.stopped())
    }

    /// Puts a job into the queue. On an error its ack is not fired: the caller has the error.
    pub(super) fn send(&self, job: Job) -> Result<(), Error> {
        self.sender.send(Message::Job(job)).map_err(|SendError(message)| {
            if let Message::Job(mut job) = message {
                job.ack.0 = None;
            }
            self.gate.stopped()
        })
    }

    /// Asks the writer to stop behind what is queued.
    pub(super) fn close(&self) {
        self.gate.closing.store(true, Ordering::Release);
        // An error says that it has stopped already.
        let _ = self.sender.send(Message::Close);
    }
}
