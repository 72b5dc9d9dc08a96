//! A subscriber's part in a room that this node follows.

use std::sync::Arc;

use roomkeeper_protocol::{Error, ErrorCode};
use roomkeeper_types::Offset;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::link::Link;
use super::pages::PageReply;
use super::rooms::Following;
use crate::hub::Waiter;
use crate::ws::{Page, PageAsk, Standing};

/// A subscriber's part in a room that this node follows. Dropping it leaves.
pub(crate) struct Followed {
    link: Arc<Link>,
    following: Arc<Following>,
}

/// A page of the owner's log that a subscription waits for.
pub(crate) struct Reading {
    from: Offset,
    reply: oneshot::Receiver<PageReply>,
}

impl Followed {
    pub(super) fn new(link: Arc<Link>, following: Arc<Following>) -> Self {
        Self { link, following }
    }

    /// Whether messages may be handed out now.
    pub(crate) fn standing(&self) -> Standing {
        if self.is_lost() {
            Standing::Doubtful
        } else if !self.following.is_settled() {
            Standing::NotYet
        } else if self.link.is_alive() {
            Standing::Stands
        } else {
            Standing::Doubtful
        }
    }

    /// Whether the ownership is over, or the way to the owner.
    pub(crate) fn is_lost(&self) -> bool {
        self.following.lost().is_cancelled()
    }

    /// Resolves when it is.
    pub(crate) async fn lost(&self) {
        self.following.lost().cancelled().await;
    }

    /// Takes a page of the owner's log, if it is there; if not, asks for it, and `waiter` is woken when it is.
    /// `reading` is what the subscription waits for, of this call and the next.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn page(
        &self,
        ask: PageAsk,
        waiter: &Arc<Waiter>,
        reading: &mut Option<Reading>,
    ) -> Result<Page, Error> {
        let mut read = match reading.take().filter(|reading| reading.from == ask.from) {
            Some(read) => read,
            None => {
                let reply = self.link.page(&self.following, ask.from, ask.to, waiter.clone());
                Reading { from: ask.from, reply }
            }
        };
        match read.reply.try_recv() {
            Err(TryRecvError::Empty) => {
                *reading = Some(read);
                Ok(Page::NotYet)
            }
            Ok(Ok(Some(frame))) => Ok(Page::Here(frame)),
            // The link is gone, or the owner does not answer, or not as one: what is wrong will be heard of, or it
            // is asked again.
            Err(TryRecvError::Closed) | Ok(Ok(None)) => Ok(Page::Doubtful),
            Ok(Err(error)) => match (error.code, error.first) {
                (ErrorCode::NotFound | ErrorCode::Recreated, _) => Ok(Page::Gone),
                (ErrorCode::Unavailable | ErrorCode::Timeout, _) => Ok(Page::Doubtful),
                (ErrorCode::Trimmed, Some(first)) => Ok(Page::Trimmed(Offset(first))),
                _ => Err(error),
            },
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.link.release(&self.following);
    }
}
