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

/// Sweeps until the ownership ends.
pub(super) async fn run(ownership: Ownership, stamps: Arc<Stamps>) {
    let mut look = Look::default();
    loop {
        let (store, now) = (ownership.store().clone(), stamps.next());
        let looked = tokio::task::spawn_blocking(move || look.find(&store, now).map(|dues| (look, dues)));
        // Waited for in any case: a read that outlives its task would keep the store open.
        let pause = match looked.await {
            Ok(Ok((next, dues))) => {
                look = next;
                sweep(&ownership, dues).await
            }
            Ok(Err(error)) => {
                if !ownership.has_ended() {
                    tracing::error!(shard = %ownership.shard(), %error, "what is due is unreadable");
                }
                FAILED_PAUSE
            }
            // The runtime stops.
            Err(_) => return,
        };
        tokio::select! {
            () = ownership.lost() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
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

/// Where the next look begins: what was due before is deleted, and the store would have to pass all of it.
#[derive(Clone, Copy, Default)]
struct Look {
    from: Timestamp,
}

impl Look {
    /// What is due until `now`, at most [`SWEEP_MAX`]. Blocks.
    fn find<R: Rows>(&mut self, rows: &R, now: Timestamp) -> Result<Vec<Due>, RowsError> {
        // Read first: what is applied after it has this stamp or a later one, and adds nothing that is due before.
        let stamp = read_stamp(rows)?.unwrap_or_default();
        let dues = read::due(rows, self.from..=now, SWEEP_MAX)?;
        let seen = dues.first().map_or(now, |due| due.time);
        self.from = seen.min(stamp).max(self.from);
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
        assert_eq!(look.from, Timestamp(4));
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
        assert_eq!(look.from, Timestamp(30));
    }
}
