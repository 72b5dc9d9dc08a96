//! Judges a history: one file per invariant, each a function over the history alone, in O(n log n), with its own
//! tests that feed it what would break it. Ids and names up to I24 are those of the fault matrix, where I24 is not judged
//! here; I25 and I26 are about what the matrix does not know.

mod acked_before;
pub mod counts;
mod findings;
mod gates;
mod i01_acked_kept;
mod i02_one_order;
mod i03_no_phantom;
mod i04_no_aborted_read;
mod i05_no_duplicate;
mod i06_no_gap;
mod i07_monotonic_delivery;
mod i08_linearizable_append;
mod i09_fifo;
mod i10_read_after_ack;
mod i11_cursors;
mod i11_no_regress;
mod i12_one_owner;
mod i13_fencing;
mod i14_durable;
mod i15_atomic_bulk;
mod i16_no_shortened_vote;
mod i17_no_corruption;
mod i18_access;
mod i19_presence;
mod i20_session_survives;
mod i21_liveness;
mod i22_convergence;
mod i23_no_late_ghost;
mod i25_credit;
mod i26_holds;
mod lost;
mod verdict;

#[cfg(test)]
pub(crate) mod sample;

pub use findings::{Findings, Violation};
pub use i14_durable::POWER_CUT;
pub use verdict::{Class, Judged, Verdict};

use crate::history::History;

/// An invariant and its checker.
#[derive(Debug, Clone, Copy)]
pub struct Invariant {
    /// Its id in the fault matrix.
    pub id: &'static str,
    /// What it says, in a few words.
    pub name: &'static str,
    /// What a violation of it is.
    pub kind: Kind,
    check: fn(&History) -> Findings,
}

/// What a violation of an invariant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something wrong happened.
    Safety,
    /// Something right did not happen in time.
    Liveness,
}

const fn safety(id: &'static str, name: &'static str, check: fn(&History) -> Findings) -> Invariant {
    Invariant { id, name, kind: Kind::Safety, check }
}

const fn liveness(id: &'static str, name: &'static str, check: fn(&History) -> Findings) -> Invariant {
    Invariant { id, name, kind: Kind::Liveness, check }
}

/// All invariants that are checked.
pub const INVARIANTS: &[Invariant] = &[
    safety("I1", "no acked message lost", i01_acked_kept::check),
    safety("I2", "one total order for all", i02_one_order::check),
    safety("I3", "no phantom", i03_no_phantom::check),
    safety("I4", "no aborted read", i04_no_aborted_read::check),
    safety("I5", "no duplicate per client UUID", i05_no_duplicate::check),
    safety("I6", "gap-free offsets", i06_no_gap::check),
    safety("I7", "monotonic delivery", i07_monotonic_delivery::check),
    safety("I8", "linearizable append", i08_linearizable_append::check),
    safety("I9", "FIFO per sender", i09_fifo::check),
    safety("I10", "read after ack", i10_read_after_ack::check),
    safety("I11", "committed offset never regresses", i11_no_regress::check),
    safety("I12", "one owner per shard and epoch", i12_one_owner::check),
    safety("I13", "epochs fence", i13_fencing::check),
    safety("I14", "durable before ack", i14_durable::check),
    safety("I15", "atomic bulk", i15_atomic_bulk::check),
    safety("I16", "no vote with a shortened log", i16_no_shortened_vote::check),
    safety("I17", "corruption never served", i17_no_corruption::check),
    safety("I18", "nobody is told what its token does not allow", i18_access::check),
    liveness("I19", "presence converges", i19_presence::check),
    liveness("I20", "session survives", i20_session_survives::check),
    liveness("I21", "liveness", i21_liveness::check),
    liveness("I22", "convergence", i22_convergence::check),
    safety("I23", "no late ghosts", i23_no_late_ghost::check),
    safety("I25", "credit is kept to", i25_credit::check),
    safety("I26", "a hold is what its sender made of it", i26_holds::check),
];

/// Judges a history by all invariants, and whether it could have shown that they are broken.
#[must_use]
pub fn judge(history: &History) -> Verdict {
    let judged = INVARIANTS
        .iter()
        .map(|invariant| Judged { invariant: *invariant, findings: (invariant.check)(history) });
    let counts = counts::counts(history);
    let empty = gates::check(history, &counts);
    Verdict { info: history.info.clone(), judged: judged.collect(), counts, empty }
}
