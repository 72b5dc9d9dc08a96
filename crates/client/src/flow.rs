//! Credit: how far ahead of its subscriber the server may be.

use roomkeeper_protocol::{From, JoinOk};
use roomkeeper_types::Offset;

use crate::SubscribeOptions;
use crate::resume::Resume;

/// What a consumer without a credit of its own is sent ahead of what it has read.
const WINDOW: u64 = 1_024;

/// Who makes room for more messages. Offsets here are of the last message, 0 for none.
#[derive(Debug)]
pub(crate) enum Flow {
    /// Nobody has to: the server sends what the socket takes.
    Free,
    /// Who reads: for what was read, as much again is granted, half a window at a time.
    Reads {
        window: u64,
        /// What the last join asked for.
        asked: u64,
        /// The last message read.
        read: u64,
        /// The last one that the server may send.
        limit: u64,
    },
    /// Who commits, at the server.
    Commits {
        window: u64,
        /// The last message that counts as processed, whether the server knows it or not.
        processed: u64,
    },
}

impl Flow {
    pub(crate) fn new(options: &SubscribeOptions) -> Self {
        let window = options.credit.map(|credit| credit.max(1));
        match (window, &options.consumer) {
            (None, None) => Self::Free,
            (Some(window), Some(_)) => Self::Commits { window, processed: 0 },
            (window, _) => Self::Reads { window: window.unwrap_or(WINDOW), asked: 0, read: 0, limit: 0 },
        }
    }

    /// Messages that may be on their way to the subscriber, unread; `None`: any number.
    pub(crate) fn window(&self) -> Option<u64> {
        match self {
            Self::Free => None,
            Self::Reads { window, .. } | Self::Commits { window, .. } => Some(*window),
        }
    }

    /// Whether it has to be told what was read.
    pub(crate) fn needs_reads(&self) -> bool {
        matches!(self, Self::Reads { .. })
    }

    /// Where to join, and with what credit, so that the limit is what it would be without a reconnect. A
    /// window of commits begins behind what was processed: what follows is sent again, and dropped here.
    pub(crate) fn join(&mut self, resume: &Resume) -> (From, Option<u64>) {
        let next = resume.next().map(Offset::get);
        match self {
            Self::Free => (resume.from(), None),
            Self::Reads { window, asked, read, .. } => {
                *asked = next.map_or(*window, |next| (*read + *window + 1).saturating_sub(next));
                (resume.from(), Some(*asked))
            }
            Self::Commits { window, processed } => {
                let from = next.map_or(resume.from(), |_| resume.since(Offset(*processed + 1)));
                (from, Some(*window))
            }
        }
    }

    /// The join was answered; `first`: it is the subscription's first one.
    pub(crate) fn joined(&mut self, ok: &JoinOk, first: bool) {
        let before = ok.from.get().saturating_sub(1);
        match self {
            Self::Free => {}
            Self::Reads { asked, read, limit, .. } => {
                if first {
                    *read = before;
                }
                *limit = before + *asked;
            }
            Self::Commits { processed, .. } => {
                if first {
                    *processed = before;
                }
            }
        }
    }

    /// The subscriber has read everything up to there.
    pub(crate) fn read(&mut self, offset: Offset) {
        if let Self::Reads { read, .. } = self {
            *read = offset.get().max(*read);
        }
    }

    /// The subscriber has committed everything up to there; `next` is what it would be sent next.
    pub(crate) fn committed(&mut self, offset: Offset, next: Option<Offset>) {
        if let (Self::Commits { processed, .. }, Some(next)) = (self, next) {
            *processed = offset.get().min(next.get() - 1).max(*processed);
        }
    }

    /// How much more to grant now, which counts as granted from then on.
    pub(crate) fn grant(&mut self) -> Option<u64> {
        let Self::Reads { window, read, limit, .. } = self else { return None };
        let more = (*read + *window).saturating_sub(*limit);
        if more == 0 || more < *window / 2 {
            return None;
        }
        *limit += more;
        Some(more)
    }
}
