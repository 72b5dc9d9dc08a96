//! The way from a room's handle to its task, and back.

use roomkeeper_protocol::{Command, Reply};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::outlet::Way;
use crate::{Error, SubscribeOptions};

/// Calls that may wait to be taken beyond the window of publishes; then callers wait.
const OPS: usize = 64;

/// The answer to a call; an error of the channel means that the task is gone.
pub(crate) type Answer = oneshot::Receiver<Result<Reply, Error>>;

/// Whoever waits for an answer.
#[derive(Debug)]
pub(crate) struct Waiter {
    answer: oneshot::Sender<Result<Reply, Error>>,
    /// A place in the window of publishes, given back with the answer.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Waiter {
    pub(crate) fn new(permit: Option<OwnedSemaphorePermit>) -> (Self, Answer) {
        let (answer, receiver) = oneshot::channel();
        (Self { answer, _permit: permit }, receiver)
    }

    /// Hands over the answer.
    pub(crate) fn answer(self, result: Result<Reply, Error>) {
        // Whoever asked may have stopped waiting; then nobody needs the answer.
        let _ = self.answer.send(result);
    }
}

/// What a handle asks for.
#[derive(Debug)]
pub(crate) enum Op {
    Call { command: Command, waiter: Waiter },
    Subscribe { options: SubscribeOptions, way: Way, waiter: Waiter },
    Connect { waiter: Waiter },
}

/// The way to a room's task. The task ends after the last one is gone.
#[derive(Debug, Clone)]
pub(crate) struct Handle(mpsc::Sender<Op>);

impl Handle {
    /// A handle whose calls arrive at the receiver.
    pub(crate) fn new(window: usize) -> (Self, mpsc::Receiver<Op>) {
        let (sender, ops) = mpsc::channel(window + OPS);
        (Self(sender), ops)
    }

    pub(crate) async fn send(&self, op: Op) -> Result<(), Error> {
        self.0.send(op).await.map_err(|_| Error::Stopped)
    }

    /// Sends a command and waits for its answer.
    pub(crate) async fn call(&self, command: Command) -> Result<Reply, Error> {
        let (waiter, answer) = Waiter::new(None);
        self.send(Op::Call { command, waiter }).await?;
        answer.await.map_err(|_| Error::Stopped)?
    }
}
