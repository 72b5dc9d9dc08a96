//! Publishing: a message to send, and the answer to wait for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use roomkeeper_protocol::{Data, NewMessage, PublishOk, Reply};
use roomkeeper_types::MessageId;

use crate::Error;
use crate::handle::Answer;

/// A message with a fresh id. Whoever wants to be able to publish it again after a crash chooses the id.
#[must_use]
pub fn message(data: Data) -> NewMessage {
    NewMessage { id: MessageId::generate(), data, sent: None }
}

/// A publish on its way: a future of its answer. Dropping it does not take the publish back.
#[derive(Debug)]
#[must_use = "without its answer nobody knows whether the publish succeeded"]
pub struct PublishTicket {
    answer: Answer,
}

impl PublishTicket {
    pub(crate) fn new(answer: Answer) -> Self {
        Self { answer }
    }
}

impl Future for PublishTicket {
    type Output = Result<PublishOk, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(Pin::new(&mut self.answer).poll(cx)) {
            Ok(Ok(Reply::Publish(ok))) => Ok(ok),
            Ok(Ok(other)) => Err(crate::room::wrong_reply("publish", &other)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Stopped),
        })
    }
}
