//! Holds what clients were told against what the cluster has: one file per promise, each with its own tests
//! that feed it what would break the promise.

mod acked;
mod copies;
mod log;
mod order;
mod vacuity;
mod watched;

#[cfg(test)]
mod sample;

use std::fmt;

use roomkeeper_types::RoomName;

use crate::history::{Counts, History, RoomLog};

/// A broken promise, or a run that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which check found it.
    pub check: &'static str,
    /// Where; `None` where it is about the run as a whole.
    pub room: Option<RoomName>,
    /// What is wrong.
    pub what: String,
}

impl Violation {
    fn new(check: &'static str, room: &RoomName, what: impl Into<String>) -> Self {
        Self { check, room: Some(room.clone()), what: what.into() }
    }

    fn of_run(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, room: None, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.room {
            Some(room) => write!(f, "{}: room {room}: {}", self.check, self.what),
            None => write!(f, "{}: {}", self.check, self.what),
        }
    }
}

/// What all checks say of a run.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Empty where every promise was kept.
    pub violations: Vec<Violation>,
    counts: Counts,
}

/// Violations shown in full.
const SHOWN: usize = 20;

impl Verdict {
    /// Whether every promise was kept, and the run could have shown otherwise.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.violations.is_empty()
    }

    /// Prints what was counted.
    ///
    /// # Panics
    /// A promise was broken, or the run proves nothing.
    pub fn require(&self) {
        println!("{self}");
        assert!(self.is_fine(), "{self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {} violations", self.counts, self.violations.len())?;
        for violation in self.violations.iter().take(SHOWN) {
            write!(f, "\n  {violation}")?;
        }
        match self.violations.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

/// Runs all checks.
#[must_use]
pub fn check(history: &History, logs: &[RoomLog]) -> Verdict {
    let mut violations = vacuity::check(history);
    for log in logs {
        violations.extend(acked::check(history, log));
        violations.extend(log::check(history, log));
        violations.extend(order::check(history, log));
        violations.extend(watched::check(history, log));
        violations.extend(copies::check(log));
    }
    let unread =
        history.sends.iter().map(|sent| &sent.room).find(|room| logs.iter().all(|log| log.room != **room));
    violations
        .extend(unread.map(|room| Violation::new("read back", room, "it was written to, but not read")));
    Verdict { violations, counts: history.counts() }
}

#[cfg(test)]
mod tests {
    use super::sample::{log, run};
    use super::*;

    #[test]
    fn run_without_a_fault_of_the_cluster_is_fine() {
        let verdict = check(&run(), &[log()]);
        assert!(verdict.is_fine(), "{verdict}");
        verdict.require();
    }

    #[test]
    fn room_written_but_not_read_back_is_found() {
        let verdict = check(&run(), &[]);
        assert!(verdict.to_string().contains("it was written to, but not read"), "{verdict}");
    }

    #[test]
    #[should_panic(expected = "acked: room general")]
    fn verdict_with_a_violation_fails_the_test() {
        let mut log = log();
        log.items.pop();
        check(&run(), &[log]).require();
    }
}
