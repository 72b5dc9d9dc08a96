//! Holds in a history: messages stored without offsets, and what their sender said of them.

use roomkeeper_types::{Offset, RoomName};
use serde::{Deserialize, Serialize};

use super::asked::Asked;
use super::event::{At, Content, Id};

/// A client is about to hold messages, or tries to once more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldInvoke {
    /// This try.
    pub op: Id,
    /// The hold, the same at every try.
    pub hold: Id,
    /// Its room.
    pub room: RoomName,
    /// For how long, milliseconds.
    pub ms: u64,
    /// Its messages.
    pub messages: Vec<Content>,
}

/// A client is about to say what becomes of a hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettleInvoke {
    /// This try.
    pub op: Id,
    /// Which hold.
    pub hold: Id,
    /// What it says.
    pub word: Word,
}

/// What a sender says of its hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Append it.
    Confirm,
    /// Drop it.
    Rollback,
}

/// A hold was taken, or what was said of it was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldOk {
    /// Which try.
    pub op: Id,
    /// One per message, when it was confirmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offsets: Vec<Offset>,
    /// When it runs out by the owner's clock, when it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<At>,
}

/// A hold of a room.
#[derive(Debug, Clone)]
pub struct Hold {
    /// Its number.
    pub hold: Id,
    /// For how long, milliseconds.
    pub ms: u64,
    /// Its messages.
    pub messages: Vec<Content>,
    /// Tries to place it, in order; the answer is when it runs out.
    pub placed: Vec<Asked<Option<At>>>,
    /// What was said of it, in order; the answer of a confirmation is where it stands.
    pub words: Vec<(Word, Asked<Vec<Offset>>)>,
}

impl Hold {
    /// When it runs out, where it was taken.
    #[must_use]
    pub fn expires(&self) -> Option<At> {
        self.placed.iter().find_map(|placed| *placed.done()?.1)
    }

    /// When it was known to be taken.
    #[must_use]
    pub fn taken(&self) -> Option<At> {
        self.placed.iter().find_map(|placed| Some(placed.done()?.0))
    }

    /// Every time its sender said that.
    pub fn said(&self, wanted: Word) -> impl Iterator<Item = &Asked<Vec<Offset>>> {
        self.words.iter().filter(move |(word, _)| *word == wanted).map(|(_, asked)| asked)
    }

    /// When it was confirmed, and where it stands then; the first answer.
    #[must_use]
    pub fn confirmed(&self) -> Option<(At, &[Offset])> {
        let (at, offsets) = self.said(Word::Confirm).find_map(Asked::done)?;
        Some((at, offsets))
    }

    /// When its sender was told definitely that it is dropped: rolled back, or gone.
    #[must_use]
    pub fn dropped(&self) -> Option<At> {
        let rolled_back = self.said(Word::Rollback).find_map(|asked| Some(asked.done()?.0));
        rolled_back.or_else(|| self.said(Word::Confirm).find_map(|asked| asked.refused("gone")))
    }
}
