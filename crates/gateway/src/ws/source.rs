//! Where a subscription's messages come from, apart from the feed that it shares with others.

use std::sync::Arc;

use roomkeeper_protocol::Error;
use roomkeeper_room::read;
use roomkeeper_types::{LifeId, Offset};

use crate::edge::Edge;
use crate::host::Owned;
use crate::hub::{FeedFrame, Waiter, to_protocol};
use crate::relay::{Followed, Reading};

/// Most items of a page of the log.
const PAGE_ITEMS: usize = 256;
/// Data bytes from which a page takes no further item. A slow client has one page on its way at most.
const PAGE_BYTES: usize = 128 << 10;

/// Whose room it is.
pub(crate) enum Source {
    /// This node's, whose rows are the log.
    Local(Owned),
    /// Another one's, which this node follows; and the page of its log that is on its way.
    Remote(Arc<Followed>, Option<Reading>),
}

/// Whether messages may be handed out now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// They may.
    Stands,
    /// The room's owner does not send its messages yet: the subscription is woken when it does.
    NotYet,
    /// Not while the ownership does not stand. It may be over, or have been held up.
    Doubtful,
}

/// A part of a log.
pub(crate) enum Page {
    /// These messages.
    Here(Arc<FeedFrame>),
    /// It is on its way: the subscription is woken when it is there.
    NotYet,
    /// Nothing: retention has overtaken the reader, and what is kept begins with this offset.
    Trimmed(Offset),
    /// Nothing: the life is over, its rows are gone.
    Gone,
    /// Nothing for now: the ownership was lost meanwhile, perhaps for long. To be asked again soon.
    Doubtful,
}

/// Which part of a log is read: both inclusive. A page may end before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageAsk {
    pub(crate) life: LifeId,
    pub(crate) from: Offset,
    pub(crate) to: Offset,
}

impl Source {
    /// Whether messages may be handed out now.
    pub(crate) fn standing(&self) -> Standing {
        match self {
            Self::Local(owned) if owned.is_current() => Standing::Stands,
            Self::Local(_) => Standing::Doubtful,
            Self::Remote(followed, _) => followed.standing(),
        }
    }

    /// Reads a part of the log that is known to be there.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) async fn page(
        &mut self,
        edge: &Edge,
        ask: PageAsk,
        waiter: &Arc<Waiter>,
    ) -> Result<Page, Error> {
        match self {
            Self::Remote(followed, reading) => followed.page(ask, waiter, reading),
            Self::Local(owned) => {
                let view = owned.view();
                let read = move || {
                    let items = read::history(&view, ask.life, ask.from, ask.to, PAGE_ITEMS, PAGE_BYTES)?;
                    let is_whole = items.first().is_some_and(|item| item.offset == ask.from);
                    // In the same view: whether there is less because it was trimmed, or because the life is over.
                    let kept = if is_whole { None } else { read::life(&view, ask.life)? };
                    Ok((items, kept.map(|info| info.first).filter(|first| *first > ask.from)))
                };
                let (items, trimmed_to) = edge.read_rows(read).await?;
                if !owned.is_current() {
                    return Ok(Page::Doubtful);
                }
                if let Some(first) = trimmed_to {
                    return Ok(Page::Trimmed(first));
                }
                let frame = FeedFrame::of(items.into_iter().map(to_protocol).collect());
                Ok(frame.map_or(Page::Gone, |frame| Page::Here(Arc::new(frame))))
            }
        }
    }
}
