//! Has the log carry out what is due in a shard's rooms: holds that ran out, messages that are too old, ids that
//! nobody will send again.
//!
//! Only the owner looks, in its own rows and by its own clock. What it finds it proposes like any command, and
//! apply decides what of it is due, so that a look at old rows or two owners that look at once do no harm.

use std::sync::Arc;
use std::time::Duration;

use roomkeeper_room::{Command, Due, Rows, RowsError, read};
use roomkeeper_types::Timestamp;
use tokio::sync::oneshot;

use super::machine::read_stamp;
use super::stamps::Stamps;
use super::{Ownership, SubmitError};

/// How long after a look that found nothing the next one is.
const IDLE_PAUSE: Duration = Duration::from_millis(250);
/// How long after a sweep the next look is: there may be more, and others want to be served between.
const BUSY_PAUSE: Duration = Duration::from_millis(10);
/// How long after a look that failed the next one is.
const FAILED_PAUSE: Duration = Duration::from_secs(5);
/// How much one sweep takes at most: 10 KiB of its entry, and some thousand rows.
const SWEEP_MAX: usize = 256;

const FOREVER: Timestamp = Timestamp(u64::MAX);

/// Sweeps until the ownership ends.
pub(super) async fn run(ownership: Ownership, stamps: Arc<Stamps>) {
    let mut look = Look::default();
    loop {
        // Taken before the rows are read: what is applied meanwhile is looked at the next time.
        let runs = stamps.runs();
        let pause = match look_again(&ownership, runs, stamps.next(), &mut look).await {
            Ok(dues) => sweep(&ownership, dues).await,
            Err(error) => {
                if !ownership.has_ended() {
                    tracing::error!(shard = %ownership.shard(), %error, "what is due is unreadable");
                }
                FAILED_PAUSE
            }
        };
        tokio::select! {
            () = ownership.lost() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What is due now, when so many runs were applied. Where none was since the last look, that mostly takes no read.
async fn look_again(
    ownership: &Ownership,
    runs: u64,
    now: Timestamp,
    look: &mut Look,
) -> Result<Vec<Due>, RowsError> {
    if look.runs == Some(runs) && now < look.next {
        return Ok(Vec::new());
    }
    let (store, mut here) = (ownership.store().clone(), Look { runs: Some(runs), ..*look });
    let looked = tokio::task::spawn_blocking(move || here.find(&store, now).map(|dues| (here, dues)));
    // Waited for in any case: a read that outlives its task would keep the store open.
    let (here, dues) = looked.await.map_err(|stopped| RowsError::Io(stopped.into()))??;
    *look = here;
    Ok(dues)
}

/// Proposes a sweep and waits for its end. Returns how long to wait for the next look.
async fn sweep(ownership: &Ownership, dues: Vec<Due>) -> Duration {
    if dues.is_empty() {
        return IDLE_PAUSE;
    }
    let count = dues.len();
    let (done, outcome) = oneshot::channel();
    let submit = ownership.submit(Command::Sweep(dues), Box::new(move |result| drop(done.send(result))));
    tokio::select! {
        () = submit => {}
        () = ownership.lost() => return IDLE_PAUSE,
    }
    match outcome.await {
        Ok(Ok(_)) => {
            tracing::trace!(shard = %ownership.shard(), count, "swept");
            BUSY_PAUSE
        }
        // It is due still, or was swept after all.
        Ok(Err(SubmitError::NotProposed | SubmitError::DiskFull | SubmitError::Unknown(_))) | Err(_) => {
            IDLE_PAUSE
        }
    }
}

/// What a look has seen, for the next one.
#[derive(Clone, Copy, Default)]
struct Look {
    /// Nothing is due before, nor will be: what was is deleted, and the store would have to pass all of it.
    from: Timestamp,
    /// Nothing is due before, unless something was applied since.
    next: Timestamp,
    /// [`Stamps::runs`] before the look.
    runs: Option<u64>,
}

impl Look {
    /// What is due until `now`, at most [`SWEEP_MAX`]. Blocks.
    fn find<R: Rows>(&mut self, rows: &R, now: Timestamp) -> Result<Vec<Due>, RowsError> {
        // Read first: what is applied after it has this stamp or a later one, and adds nothing that is due before.
        let stamp = read_stamp(rows)?.unwrap_or_default();
        let dues = read::due(rows, self.from..=now, SWEEP_MAX)?;
        let first = dues.first().map(|due| due.time);
        self.from = first.unwrap_or(now).min(stamp).max(self.from);
        self.next = match first {
            Some(first) => first,
            None => read::due(rows, now..=FOREVER, 1)?.first().map_or(FOREVER, |due| due.time),
        };
        Ok(dues)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use roomkeeper_room::{DueKind, MemRows, Write, keys};
    use roomkeeper_types::{LifeId, ShardId};

    use super::*;
    use crate::shard::machine::put_stamp;
    use crate::shard::testing::Ownerships;

    const LIFE: LifeId = LifeId { shard: ShardId(0), index: 1, ordinal: 0 };

    fn due(time: u64) -> Due {
        Due { time: Timestamp(time), life: LIFE, what: DueKind::Age }
    }

    fn put_due(time: u64) -> Write {
        Write::Put(keys::due(&due(time)).into(), Bytes::from_static(b"\x01"))
    }

    #[test]
    fn look_finds_what_is_due_and_begins_there_again() {
        let mut rows = MemRows::default();
        rows.apply_writes(&[put_due(5), put_due(8), put_due(9), put_stamp(Timestamp(7))]);
        let mut look = Look::default();
        assert_eq!(look.find(&rows, Timestamp(4)).unwrap(), []);
        assert_eq!((look.from, look.next), (Timestamp(4), Timestamp(5)));
        assert_eq!(look.find(&rows, Timestamp(8)).unwrap(), [due(5), due(8)]);
        // Not swept, it is found again.
        assert_eq!(look.find(&rows, Timestamp(8)).unwrap(), [due(5), due(8)]);
        assert_eq!(look.from, Timestamp(5));
    }

    /// An entry that is on its way may add what is due from its own stamp on, which the clock has passed by now.
    #[test]
    fn look_that_finds_nothing_begins_at_the_last_stamp_applied() {
        let mut rows = MemRows::default();
        let mut look = Look::default();
        assert_eq!(look.find(&rows, Timestamp(20)).unwrap(), []);
        assert_eq!(look.from, Timestamp(0));
        rows.apply_writes(&[put_stamp(Timestamp(10))]);
        assert_eq!(look.find(&rows, Timestamp(20)).unwrap(), []);
        assert_eq!(look.from, Timestamp(10));
        rows.apply_writes(&[put_due(12), put_stamp(Timestamp(12))]);
        assert_eq!(look.find(&rows, Timestamp(21)).unwrap(), [due(12)]);
        assert_eq!(look.from, Timestamp(12));
        // What was applied while a look was under way has a stamp that is ahead of it.
        rows.apply_writes(&[Write::Delete(keys::due(&due(12)).into()), put_stamp(Timestamp(40))]);
        assert_eq!(look.find(&rows, Timestamp(30)).unwrap(), []);
        assert_eq!((look.from, look.next), (Timestamp(30), FOREVER));
    }

    /// The rows of a replica that was removed cannot be read.
    #[tokio::test]
    async fn look_with_nothing_applied_and_nothing_due_reads_nothing() {
        let ownerships = Ownerships::new();
        let ownership = ownerships.begin(0, 1);
        let mut look = Look::default();
        assert_eq!(look_again(&ownership, 0, Timestamp(1), &mut look).await.unwrap(), []);
        ownerships.remove();
        assert_eq!(look_again(&ownership, 0, Timestamp(2), &mut look).await.unwrap(), []);
        assert!(look_again(&ownership, 1, Timestamp(2), &mut look).await.is_err());
        assert!(look_again(&ownership, 1, Timestamp(2), &mut look).await.is_err());
    }

    #[tokio::test]
    async fn look_at_what_has_become_due_reads_though_nothing_was_applied() {
        let ownerships = Ownerships::new();
        let ownership = ownerships.begin(0, 1);
        ownership.store().write(&[put_due(5)]).unwrap();
        let mut look = Look::default();
        for (now, found) in [(3, vec![]), (4, vec![]), (5, vec![due(5)]), (5, vec![due(5)])] {
            assert_eq!(look_again(&ownership, 0, Timestamp(now), &mut look).await.unwrap(), found);
        }
    }
}
