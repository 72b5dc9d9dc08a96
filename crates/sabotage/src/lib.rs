//! Bugs to put into a test build on purpose. A checker that never failed proves nothing: `chaos-tests sabotage`
//! builds the program with the feature `armed`, starts it with `ROOMKEEPER_SABOTAGE=name` and wants to see each
//! bug caught.
//!
//! Each bug is one line at the place where somebody could have made it: `if sabotage::is(Bug::…)`. Without the
//! feature [`is`] is a constant `false` and the line compiles to nothing; with it an optimised build is refused.

#[cfg(all(feature = "armed", not(debug_assertions)))]
compile_error!("the feature `armed` puts bugs in on purpose: it is for debug builds of the tests only");

/// Name of the environment variable that chooses the bug.
pub const VARIABLE: &str = "ROOMKEEPER_SABOTAGE";

macro_rules! bugs {
    ($($(#[doc = $doc:literal])* $bug:ident = $name:literal,)*) => {
        /// A bug that somebody could have made.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Bug {
            $($(#[doc = $doc])* $bug,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$bug,)*];

            /// Its name in the environment and in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)*
                }
            }

            /// What is wrong with the program then.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$bug => concat!($($doc),*),)*
                }
            }
        }
    };
}

bugs! {
    /// An owner acks what no majority has, if the commit takes longer than 20 ms.
    AckBeforeCommit = "ack_before_commit",
    /// A replica says that entries are on disk before it has written them.
    AckBeforeWrite = "ack_before_write",
    /// The raft log is written but, but for votes, not synced.
    AckBeforeFsync = "ack_before_fsync",
    /// Votes are kept in memory only.
    VoteNotKept = "vote_not_kept",
    /// Known message ids are forgotten with the owner that stored them.
    DedupeInMemory = "dedupe_in_memory",
    /// A snapshot leaves the known message ids out.
    DedupeNotInSnapshot = "dedupe_not_in_snapshot",
    /// Subscribers are sent messages before they are committed.
    DeliverBeforeCommit = "deliver_before_commit",
    /// An owner that lost its quorum goes on acking.
    ZombieKeepsAcking = "zombie_keeps_acking",
    /// An owner answers reads without asking its quorum whether it still is one.
    StaleRead = "stale_read",
    /// Of a publish of more than three messages the last one is not stored.
    PartialBulk = "partial_bulk",
    /// A log comes back without its newest entries, and its replica votes all the same.
    ShortLogVotes = "short_log_votes",
    /// A node whose logs are gone comes back under its old replica ids.
    ReplicaIdReused = "replica_id_reused",
    /// What waits for the next batch is stored in the reverse order.
    BatchOutOfOrder = "batch_out_of_order",
    /// A subscriber that comes back at the head is put at the beginning.
    ResumeResets = "resume_resets",
    /// Now and then a message is given the offset of the one before.
    OffsetReused = "offset_reused",
    /// Every third commit of a cursor is acked and not stored.
    CommitNotStored = "commit_not_stored",
    /// A consumer's credit is not looked at.
    CreditIgnored = "credit_ignored",
    /// A rollback of a hold is acked and not carried out.
    RollbackNotDone = "rollback_not_done",
    /// A new owner takes members who are not back yet for gone.
    LeftAtOnce = "left_at_once",
    /// A token that was valid once does not run out.
    TokenLivesOn = "token_lives_on",
}

/// The bug that this process was told to have. Always `None` without the feature `armed`.
#[must_use]
pub fn chosen() -> Option<Bug> {
    #[cfg(feature = "armed")]
    {
        static CHOSEN: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
        *CHOSEN.get_or_init(|| {
            let name = std::env::var(VARIABLE).ok()?;
            Bug::ALL.iter().copied().find(|bug| bug.name() == name)
        })
    }
    #[cfg(not(feature = "armed"))]
    None
}

/// Whether this process was told to have that bug.
#[cfg(feature = "armed")]
#[must_use]
pub fn is(bug: Bug) -> bool {
    chosen() == Some(bug)
}

/// Whether this process was told to have that bug: never, in a build without them.
#[cfg(not(feature = "armed"))]
#[must_use]
#[inline(always)]
pub const fn is(_: Bug) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different_and_every_bug_says_what_it_is() {
        let mut names: Vec<_> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Bug::ALL.len());
        assert!(Bug::ALL.iter().all(|bug| bug.about().trim_start().len() > 20));
    }

    #[cfg(not(feature = "armed"))]
    #[test]
    fn build_without_the_feature_has_no_bug() {
        assert_eq!(chosen(), None);
        assert!(Bug::ALL.iter().all(|bug| !is(*bug)));
    }
}
