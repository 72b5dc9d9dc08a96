//! What an invariant's checker found.

use std::fmt;

use roomkeeper_types::RoomName;

use crate::history::At;

/// Violations kept in full; beyond them they are counted. A cluster that lost everything must not take the
/// harness's memory too.
const KEPT: usize = 50;

/// What a checker looked at, and what was wrong with it.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    looked_at: u64,
    violations: Vec<Violation>,
    more: u64,
}

/// Something that breaks an invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// In which room; `None` where it is about a node, a shard or the run.
    pub room: Option<RoomName>,
    /// When it showed, where that is one moment.
    pub at: Option<At>,
    /// What is wrong.
    pub what: String,
}

impl Findings {
    /// So many more things were looked at: acks, deliveries, whatever the invariant is about.
    pub(super) fn look(&mut self, more: usize) {
        self.looked_at += more as u64;
    }

    /// Something is wrong in a room.
    pub(super) fn wrong(&mut self, room: &RoomName, at: Option<At>, what: impl FnOnce() -> String) {
        self.note(Some(room), at, what);
    }

    /// Something is wrong that belongs to no room.
    pub(super) fn wrong_of_run(&mut self, at: Option<At>, what: impl FnOnce() -> String) {
        self.note(None, at, what);
    }

    fn note(&mut self, room: Option<&RoomName>, at: Option<At>, what: impl FnOnce() -> String) {
        if self.violations.len() < KEPT {
            self.violations.push(Violation { room: room.cloned(), at, what: what() });
        } else {
            self.more += 1;
        }
    }

    /// How many things were looked at; 0: the run had nothing to judge.
    #[must_use]
    pub fn looked_at(&self) -> u64 {
        self.looked_at
    }

    /// The violations that were kept.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// All of them.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.violations.len() as u64 + self.more
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(room) = &self.room {
            write!(f, "room {room}: ")?;
        }
        f.write_str(&self.what)?;
        self.at.map_or(Ok(()), |at| write!(f, " (at {at})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_beyond_the_bound_are_counted() {
        let mut findings = Findings::default();
        for number in 0..KEPT + 3 {
            findings.wrong_of_run(None, || number.to_string());
        }
        assert_eq!((findings.violations().len(), findings.count()), (KEPT, KEPT as u64 + 3));
    }
}
