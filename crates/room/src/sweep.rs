//! Applying sweeps: carrying out what is due.

use roomkeeper_types::Timestamp;

use crate::apply::Applier;
use crate::open::OpenRoom;
use crate::overlay::Run;
use crate::retention::TRIM_MAX;
use crate::row::IdState;
use crate::{Due, DueKind, Effect, Outcome, Rows, RowsError};

impl<R: Rows> Applier<'_, R> {
    /// Carries out dues that are in the due table and not later than `now`; the others are passed over. At most
    /// [`TRIM_MAX`] messages are trimmed or dropped (a hold is dropped whole); what is over that stays due.
    pub(crate) fn sweep(
        &mut self,
        now: Timestamp,
        dues: &[Due],
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, RowsError> {
        let mut left = TRIM_MAX;
        for due in dues {
            let waits = left == 0 && !matches!(due.what, DueKind::Id(_));
            if waits || due.time > now || !self.overlay.run().is_due(due)? {
                continue;
            }
            let slot = self.overlay.find_life(due.life)?;
            let Some((room, run)) = slot.and_then(|slot| self.overlay.open(slot)) else {
                // What was due went with its room.
                self.overlay.run().delete_due(*due);
                continue;
            };
            let (done, effect) = carry_out(room, run, due, left, now)?;
            left = left.saturating_sub(done);
            effects.extend(effect);
        }
        Ok(Outcome::Swept)
    }
}

/// Carries out what is due in a room and takes it out of the due table. Returns how many messages it trimmed or
/// dropped.
fn carry_out<R: Rows>(
    room: &mut OpenRoom,
    run: &mut Run<'_, R>,
    due: &Due,
    limit: usize,
    now: Timestamp,
) -> Result<(usize, Option<Effect>), RowsError> {
    match due.what {
        DueKind::Hold(id) => {
            if let Some(hold) = room.hold(run, id)? {
                let effect = room.roll_back(run, id, &hold, now);
                return Ok((hold.messages.len(), Some(effect)));
            }
        }
        DueKind::Id(id) => {
            let forgotten = room.id(run, id)?.is_some_and(|row| match row.state {
                IdState::Stored { offset, .. } => offset < room.row.first,
                IdState::Held(_) => false,
                IdState::Dropped => true,
            });
            if forgotten {
                room.delete_id(run, id);
            }
        }
        // It takes its own due out, or moves it.
        DueKind::Age if room.row.age_due == Some(due.time) => return room.age(run, limit, now),
        DueKind::Age => {}
    }
    run.delete_due(*due);
    Ok((0, None))
}
