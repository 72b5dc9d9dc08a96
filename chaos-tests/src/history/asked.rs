//! Something that a client asked for once, and how that ended: tries of holds, commits.

use super::event::{At, Id};

/// A question that was asked once.
#[derive(Debug, Clone)]
pub struct Asked<T> {
    /// Its number.
    pub op: Id,
    /// When it was asked.
    pub invoked: At,
    /// When that ended, if it did.
    pub ended: Option<At>,
    /// How.
    pub answer: Answer<T>,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    /// It was done.
    Ok(T),
    /// It was refused: a definite no.
    Fail {
        /// The error's code.
        code: String,
        /// What was said.
        why: String,
    },
    /// Nobody knows, for this reason.
    Info(String),
    /// It never ended.
    Open,
}

impl<T> Asked<T> {
    /// Asked then, without an answer yet.
    #[must_use]
    pub const fn new(op: Id, invoked: At) -> Self {
        Self { op, invoked, ended: None, answer: Answer::Open }
    }

    /// When it was done, and what was answered; `None`: it was refused, or nobody knows.
    #[must_use]
    pub fn done(&self) -> Option<(At, &T)> {
        match (&self.answer, self.ended) {
            (Answer::Ok(ok), Some(at)) => Some((at, ok)),
            _ => None,
        }
    }

    /// When it was refused with that code.
    #[must_use]
    pub fn refused(&self, wanted: &str) -> Option<At> {
        match (&self.answer, self.ended) {
            (Answer::Fail { code, .. }, Some(at)) if code == wanted => Some(at),
            _ => None,
        }
    }

    /// Whether it may have been carried out, at whatever time after it was asked.
    #[must_use]
    pub fn may_be_done(&self) -> bool {
        !matches!(self.answer, Answer::Fail { .. })
    }
}
