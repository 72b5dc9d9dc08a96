//! What came of the runs with a bug each.

use std::fmt::{self, Write};
use std::time::Duration;

use roomkeeper_sabotage::Bug;

use crate::history::At;

/// A run.
#[derive(Debug, Clone)]
pub struct Line {
    /// With which bug, if with one.
    pub bug: Option<Bug>,
    /// Of which scenario.
    pub scenario: &'static str,
    /// By what it was caught.
    pub caught: Caught,
    /// From the first node's start to the verdict.
    pub took: Duration,
}

/// By what a run was caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caught {
    /// Nothing was found.
    No,
    /// Nothing was found, and the run proves nothing.
    Empty(String),
    /// These invariants are broken.
    By {
        /// Their ids.
        broken: Vec<&'static str>,
        /// When the first violation showed, by the history's clock.
        after: Option<At>,
        /// A violation.
        first: String,
    },
    /// No invariant is broken, but a node did not come back or a count is too large.
    Trouble,
    /// The cluster was beyond being read.
    NoVerdict,
    /// The run did not end.
    Hung,
    /// This machine cannot run it.
    Skipped,
}

impl Line {
    /// Whether it came out as it should: a bug is caught, and without one nothing is.
    #[must_use]
    pub fn is_right(&self) -> bool {
        match (&self.caught, self.bug) {
            (Caught::Skipped, _) => true,
            (Caught::No, bug) => bug.is_none(),
            (Caught::Empty(_), _) => false,
            (_, bug) => bug.is_some(),
        }
    }
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("nothing"),
            Self::Empty(why) => write!(f, "nothing, the run is empty: {why}"),
            Self::By { broken, after, .. } => {
                f.write_str(&broken.join(" "))?;
                after.map_or(Ok(()), |after| write!(f, ", after {after}"))
            }
            Self::Trouble => f.write_str("liveness: nodes do not come back"),
            Self::NoVerdict => f.write_str("liveness: the rooms cannot be read any more"),
            Self::Hung => f.write_str("liveness: the run does not end"),
            Self::Skipped => f.write_str("(not run: this machine cannot)"),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bug = self.bug.map_or("no bug", Bug::name);
        let mark = if self.is_right() { "ok" } else { "WRONG" };
        write!(f, "{mark:<5} {bug:<22} in {:<14} {:>4.0?}: {}", self.scenario, self.took, self.caught)?;
        match &self.caught {
            Caught::By { first, .. } => write!(f, "\n        {first}"),
            _ => Ok(()),
        }
    }
}

/// The table of `docs/chaos.md`.
#[must_use]
pub fn table(lines: &[Line]) -> String {
    let mut text =
        "| bug | what is wrong | scenario | caught by | run |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for Line { bug, scenario, caught, took } in lines {
        let (name, about) = bug.map_or(("(none)", "nothing"), |bug| (bug.name(), bug.about().trim()));
        // Writing to a string does not fail.
        let _ = writeln!(text, "| `{name}` | {about} | {scenario} | {caught} | {} s |", took.as_secs());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bug: Option<Bug>, caught: Caught) -> Line {
        Line { bug, scenario: "kills", caught, took: Duration::from_secs(20) }
    }

    fn by_i1() -> Caught {
        Caught::By {
            broken: vec!["I1", "I5"],
            after: Some(At(2_500_000)),
            first: "room r-0: lost".to_owned(),
        }
    }

    #[test]
    fn bug_has_to_be_caught_and_a_sound_program_must_not() {
        let bug = Some(Bug::PartialBulk);
        for (bug, caught, right) in [
            (bug, by_i1(), true),
            (bug, Caught::NoVerdict, true),
            (bug, Caught::No, false),
            (bug, Caught::Empty("0 acks".to_owned()), false),
            (None, Caught::No, true),
            (None, by_i1(), false),
            (None, Caught::Trouble, false),
            (None, Caught::Empty("0 acks".to_owned()), false),
        ] {
            assert_eq!(line(bug, caught.clone()).is_right(), right, "{bug:?} {caught:?}");
        }
    }

    #[test]
    fn table_names_bug_scenario_and_checks() {
        let text = table(&[line(Some(Bug::PartialBulk), by_i1())]);
        assert!(
            text.ends_with("the last one is not stored. | kills | I1 I5, after 2.500 s | 20 s |\n"),
            "{text}"
        );
    }
}
