//! What all checks together say of a run.

use std::collections::BTreeMap;
use std::fmt;

use super::{Findings, Invariant, Kind};
use crate::history::RunInfo;

/// What one invariant's checker says.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Which invariant.
    pub invariant: Invariant,
    /// What was found.
    pub findings: Findings,
}

/// What all checks say of a run.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// What was run.
    pub info: RunInfo,
    /// Every invariant, in order.
    pub judged: Vec<Judged>,
    /// What the run did.
    pub counts: BTreeMap<String, u64>,
    /// What it did not do and should have: then it proves nothing.
    pub empty: Vec<String>,
}

/// The verdict in one word; the worst that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Every invariant holds, and the run could have shown otherwise.
    Fine,
    /// Nothing is wrong, and nothing is proved.
    Empty,
    /// Something right did not happen in time.
    Liveness,
    /// Something wrong happened.
    Safety,
}

impl Class {
    /// The exit code of a program that ends with this verdict. 1 and 2 are left to errors and bad usage.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Empty => 3,
            Self::Liveness => 4,
            Self::Safety => 5,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fine => "fine",
            Self::Empty => "EMPTY: proves nothing",
            Self::Liveness => "LIVENESS violated",
            Self::Safety => "SAFETY violated",
        })
    }
}

/// Violations shown of one invariant.
const SHOWN: usize = 5;

impl Verdict {
    /// The verdict in one word.
    #[must_use]
    pub fn class(&self) -> Class {
        let broken = |kind| self.broken().any(|judged| judged.invariant.kind == kind);
        if broken(Kind::Safety) {
            Class::Safety
        } else if broken(Kind::Liveness) {
            Class::Liveness
        } else if !self.empty.is_empty() {
            Class::Empty
        } else {
            Class::Fine
        }
    }

    /// Whether every invariant holds, and the run could have shown otherwise.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.class() == Class::Fine
    }

    /// The invariants that do not hold.
    pub fn broken(&self) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(|judged| judged.findings.count() > 0)
    }

    /// One of the counts; 0 where nothing was counted under the name.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// Prints the verdict.
    ///
    /// # Panics
    /// An invariant is broken, or the run proves nothing.
    pub fn require(&self) {
        println!("{self}");
        assert!(self.is_fine(), "{self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RunInfo { scenario, seed, nodes, .. } = &self.info;
        writeln!(f, "{scenario}, {nodes} nodes, seed {seed}: {}", self.class())?;
        let counts: Vec<String> = self.counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        writeln!(f, "  {}", counts.join(", "))?;
        let judged: Vec<String> = self
            .judged
            .iter()
            .map(|judged| {
                let (id, findings) = (judged.invariant.id, &judged.findings);
                match findings.count() {
                    0 => format!("{id} ok/{}", findings.looked_at()),
                    wrong => format!("{id} {wrong} WRONG/{}", findings.looked_at()),
                }
            })
            .collect();
        write!(f, "  {}", judged.join(", "))?;
        for missing in &self.empty {
            write!(f, "\n  empty: {missing}")?;
        }
        for judged in self.broken() {
            let (Invariant { id, name, .. }, findings) = (&judged.invariant, &judged.findings);
            for violation in findings.violations().iter().take(SHOWN) {
                write!(f, "\n  {id} {name}: {violation}")?;
            }
            let more = findings.count().saturating_sub(SHOWN as u64);
            if more > 0 {
                write!(f, "\n  {id} {name}: and {more} more")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::super::sample::Story;
    use super::*;

    fn fine() -> Story {
        let mut story = Story::right().with_log(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 9)]);
        story.fault("kill", &[0]);
        let op = story.send(0, &[9]);
        story.ok(op, 1, &[5]);
        story
    }

    #[test]
    fn run_that_holds_every_invariant_under_a_fault_is_fine() {
        let verdict = judge(&fine().load());
        assert_eq!(verdict.class(), Class::Fine, "{verdict}");
        verdict.require();
    }

    #[test]
    fn worst_violation_is_the_verdict() {
        let empty = judge(&Story::right().load());
        assert_eq!(empty.class(), Class::Empty, "{empty}");
        let mut late = fine();
        late.send(0, &[10]);
        let verdict = judge(&late.load());
        assert_eq!(verdict.class(), Class::Liveness, "{verdict}");
        let lost = judge(&late.with_log(&[(1, 1)]).load());
        assert_eq!(lost.class(), Class::Safety, "{lost}");
        assert!(lost.to_string().contains("I1 no acked message lost: room general: "), "{lost}");
        assert!([Class::Fine, Class::Empty, Class::Liveness, Class::Safety].is_sorted());
    }

    #[test]
    #[should_panic(expected = "SAFETY violated")]
    fn verdict_with_a_violation_fails_the_test() {
        judge(&Story::right().with_log(&[(1, 1)]).load()).require();
    }
}
