//! One batch in flight while the next collects: the way of commands into a shard's log.
//!
//! No timer: a batch is whatever queued while the one before it was on its way. Commands of one caller keep their
//! order, also across failures. When a batch ends unknown or unproposed, so does every command that was submitted
//! before that was known: a client that then sends them again in order has them stored in order. Each command
//! carries the generation that it was submitted in, and a failure begins the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use roomkeeper_consensus::{Group, GroupError, ProposeError, Reply};
use roomkeeper_room::{Batch, Command, Outcome};
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::{Epoch, LogPosition};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::stamps::Stamps;
use super::{Completion, SubmitError};
use crate::config::Tuning;
use crate::space::Space;

/// When ownership ends, how long the batch in flight may still turn out to be committed.
const GRACE: Duration = Duration::from_millis(500);

/// A shard's group as its owner uses it.
pub(crate) trait ShardGroup: Send + Sync + 'static {
    /// See [`Group::propose`].
    fn propose(
        &self,
        epoch: Epoch,
        payload: Bytes,
    ) -> BoxFuture<'_, Result<(LogPosition, Reply), ProposeError>>;

    /// See [`Group::read_index`].
    fn read_index(&self) -> BoxFuture<'_, Result<(), GroupError>>;
}

impl ShardGroup for Group {
    fn propose(
        &self,
        epoch: Epoch,
        payload: Bytes,
    ) -> BoxFuture<'_, Result<(LogPosition, Reply), ProposeError>> {
        Box::pin(Group::propose(self, Some(epoch), payload))
    }

    fn read_index(&self) -> BoxFuture<'_, Result<(), GroupError>> {
        Box::pin(Group::read_index(self))
    }
}

/// The end that commands are put in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Queue {
    jobs: mpsc::Sender<Job>,
    /// One permit per byte that waits.
    bytes: Arc<Semaphore>,
    bytes_max: u32,
    verdicts: Arc<Verdicts>,
    turn: Turn,
}

/// Held while a batch is on its way: whoever holds it knows that nothing is, and that nothing will be.
pub(crate) type Turn = Arc<tokio::sync::Mutex<()>>;

/// One command on its way.
struct Job {
    command: Command,
    done: Pending,
    generation: u64,
    _bytes: OwnedSemaphorePermit,
}

/// A completion that is called exactly once, also when its task is dropped.
struct Pending(Option<Completion>);

impl Pending {
    fn complete(mut self, result: Result<Outcome, SubmitError>) {
        if let Some(done) = self.0.take() {
            done(result);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(SubmitError::Unknown("the node is stopping".to_owned())));
        }
    }
}

/// Which generations have failed, and how.
#[derive(Default)]
struct Verdicts {
    /// Commands submitted now belong to this one.
    current: AtomicU64,
    /// Those below end unknown; from here to `current` they end unproposed.
    unknown_below: AtomicU64,
}

impl Verdicts {
    /// A batch failed: everything submitted so far ends like it.
    fn fail(&self, error: &SubmitError) {
        let next = self.current.load(Ordering::Acquire) + 1;
        if matches!(error, SubmitError::Unknown(_)) {
            self.unknown_below.store(next, Ordering::Release);
        }
        self.current.store(next, Ordering::Release);
    }

    /// How commands of a generation end that were not proposed.
    fn of_unproposed(&self, generation: u64) -> SubmitError {
        if generation < self.unknown_below.load(Ordering::Acquire) {
            SubmitError::Unknown("a command before it ended unknown".to_owned())
        } else {
            SubmitError::NotProposed
        }
    }
}

impl Queue {
    /// Waits for the batch in flight; none is proposed while the guard is held.
    pub(crate) async fn quiet(&self) -> tokio::sync::OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }

    /// Queues a command; waits while the queue is full of commands or bytes. Dropped while it waits, the
    /// command was never here and its completion is not called.
    pub(crate) async fn submit(&self, command: Command, done: Completion) {
        let generation = self.verdicts.current.load(Ordering::Acquire);
        let len = u32::try_from(command.encoded_len()).unwrap_or(u32::MAX).min(self.bytes_max);
        let place = async {
            let bytes = self.bytes.clone().acquire_many_owned(len).await.ok()?;
            Some((bytes, self.jobs.reserve().await.ok()?))
        };
        match place.await {
            Some((bytes, slot)) => {
                slot.send(Job { command, done: Pending(Some(done)), generation, _bytes: bytes });
            }
            None => {
                let error = self.verdicts.of_unproposed(generation);
                // Not on the caller's stack.
                tokio::spawn(async move { done(Err(error)) });
            }
        }
    }
}

/// The end that proposes.
pub(crate) struct Batcher {
    epoch: Epoch,
    group: Arc<dyn ShardGroup>,
    stamps: Arc<Stamps>,
    jobs: mpsc::Receiver<Job>,
    bytes: Arc<Semaphore>,
    verdicts: Arc<Verdicts>,
    /// A command that did not fit into the batch before.
    carried: Option<Job>,
    ended: CancellationToken,
    turn: Turn,
    answer_timeout: Duration,
    entry_bytes_max: usize,
    entry_commands_max: usize,
    space: Arc<Space>,
}

impl Batcher {
    /// A queue and its batcher for one ownership, which is over when `ended` is cancelled.
    pub(crate) fn new(
        epoch: Epoch,
        group: Arc<dyn ShardGroup>,
        stamps: Arc<Stamps>,
        tuning: &Tuning,
        space: Arc<Space>,
        ended: CancellationToken,
    ) -> (Queue, Self) {
        let (sender, jobs) = mpsc::channel(tuning.queue_commands_max);
        let bytes = Arc::new(Semaphore::new(tuning.queue_bytes_max as usize));
        let verdicts = Arc::new(Verdicts::default());
        let queue = Queue {
            jobs: sender,
            bytes: bytes.clone(),
            bytes_max: tuning.queue_bytes_max,
            verdicts: verdicts.clone(),
            turn: Turn::default(),
        };
        let turn = queue.turn.clone();
        let batcher = Self {
            epoch,
            group,
            stamps,
            jobs,
            bytes,
            verdicts,
            carried: None,
            ended,
            turn,
            answer_timeout: tuning.answer_timeout,
            entry_bytes_max: tuning.entry_bytes_max,
            entry_commands_max: tuning.queue_commands_max,
            space,
        };
        (queue, batcher)
    }

    /// Proposes batch after batch until the ownership ends. All completions are called in here.
    pub(crate) async fn run(mut self) {
        let ended = self.ended.clone();
        while let Some(first) = self.first(&ended).await {
            // Behind a hand-over that is under way. When it succeeds the batch is refused as not proposed.
            let _turn = self.turn.clone().lock_owned().await;
            if let Some(first) = self.still_wanted(first) {
                let (commands, waiting) = self.collect(first);
                self.propose(commands, waiting).await;
            }
        }
        self.refuse_rest().await;
    }

    async fn first(&mut self, ended: &CancellationToken) -> Option<Job> {
        if ended.is_cancelled() {
            return None;
        }
        match self.carried.take() {
            Some(job) => Some(job),
            None => ended.run_until_cancelled(self.jobs.recv()).await.flatten(),
        }
    }

    /// The job, unless it was submitted before a failure was known: then it ends like that.
    fn still_wanted(&self, job: Job) -> Option<Job> {
        if job.generation == self.verdicts.current.load(Ordering::Acquire) {
            return Some(job);
        }
        self.refuse(job);
        None
    }

    /// The first command and what has queued behind it, as much as fits into an entry.
    fn collect(&mut self, first: Job) -> (Vec<Command>, Vec<Pending>) {
        let mut len = Batch::HEADER_LEN + first.command.encoded_len();
        let mut commands = vec![first.command];
        let mut waiting = vec![first.done];
        while commands.len() < self.entry_commands_max {
            let Ok(job) = self.jobs.try_recv() else { break };
            let Some(job) = self.still_wanted(job) else { continue };
            len += job.command.encoded_len();
            if len > self.entry_bytes_max {
                self.carried = Some(job);
                break;
            }
            commands.push(job.command);
            waiting.push(job.done);
        }
        if sabotage::is(Bug::BatchOutOfOrder) {
            commands.reverse();
            waiting.reverse();
        }
        (commands, waiting)
    }

    async fn propose(&mut self, commands: Vec<Command>, waiting: Vec<Pending>) {
        if self.space.is_full() {
            return self.fail(SubmitError::DiskFull, waiting);
        }
        let payload = Batch { time: self.stamps.next(), commands }.encode();
        let unknown = |why: String| Err(ProposeError::Unknown(why));
        let answer = tokio::select! {
            biased;
            answer = self.group.propose(self.epoch, payload) => answer,
            () = given_up(&self.ended) => unknown("ownership ended before it was known to be committed".to_owned()),
            () = tokio::time::sleep(self.answer_timeout) => {
                tracing::warn!(epoch = %self.epoch, timeout = ?self.answer_timeout, "batch got no answer");
                unknown(format!("no answer within {:?}", self.answer_timeout))
            }
        };
        let error = match answer {
            Ok((_, Reply::Outcomes(outcomes))) if outcomes.len() == waiting.len() => {
                for (done, outcome) in waiting.into_iter().zip(outcomes) {
                    done.complete(Ok(outcome));
                }
                return;
            }
            Ok(_) => SubmitError::Unknown("the reply does not fit the batch".to_owned()),
            Err(ProposeError::NotLeader) => SubmitError::NotProposed,
            Err(ProposeError::Unknown(why)) => SubmitError::Unknown(why),
        };
        self.fail(error, waiting);
    }

    fn fail(&self, error: SubmitError, waiting: Vec<Pending>) {
        // Before anyone hears of it: what they submit then is of the next generation.
        self.verdicts.fail(&error);
        for done in waiting {
            done.complete(Err(error.clone()));
        }
    }

    /// Lets nobody in any more, and ends what is in.
    async fn refuse_rest(mut self) {
        self.jobs.close();
        self.bytes.close();
        if let Some(job) = self.carried.take() {
            self.refuse(job);
        }
        while let Some(job) = self.jobs.recv().await {
            self.refuse(job);
        }
    }

    fn refuse(&self, job: Job) {
        let error = self.verdicts.of_unproposed(job.generation);
        job.done.complete(Err(error));
    }
}

/// Returns when the outcome of a batch is not waited for any more.
async fn given_up(ended: &CancellationToken) {
    ended.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

#[cfg(test)]
#[path = "batcher_test.rs"]
mod tests;
