//! Which messages a room keeps, and for how long ids are known.
//!
//! What a room keeps too many of, or too many bytes of, goes with the append that made it so. What is too old
//! goes when the room's due in the due table is swept. A command trims a bounded number of messages; what is
//! left over is due at once.

use roomkeeper_types::{MessageId, Timestamp};

use crate::open::OpenRoom;
use crate::overlay::Run;
use crate::{Due, DueKind, Effect, Item, Rows, RowsError, keys, read};

/// For how long an id is known at least, from the entry that stored or held its message: 7 days. Whoever sends it
/// again later than that may have it stored twice.
pub const DEDUPE_MIN_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// How many messages a command trims or drops at most, beside as many as it appends: an entry must not hold up
/// its shard.
pub(crate) const TRIM_MAX: usize = 1_000;

/// What trimming needs to know of a message.
#[derive(Clone, Copy)]
pub(crate) struct Kept {
    id: MessageId,
    time: Timestamp,
    bytes: u64,
}

impl Kept {
    pub(crate) fn of(item: &Item) -> Self {
        Self { id: item.id, time: item.time, bytes: item.payload.bytes.len() as u64 }
    }
}

impl OpenRoom {
    /// Whether the room's options ever have it trim messages.
    pub(crate) fn may_trim(&self) -> bool {
        let options = &self.row.options;
        options.retain_ms.is_some() || options.retain_messages.is_some() || options.retain_bytes.is_some()
    }

    /// What an append of so many messages has as its consequence: trims what is too much by number or bytes.
    pub(crate) fn retain<R: Rows>(
        &mut self,
        run: &mut Run<'_, R>,
        appended: usize,
        now: Timestamp,
    ) -> Result<Option<Effect>, RowsError> {
        if !self.may_trim() {
            return Ok(None);
        }
        let trimmed = self.trim(run, TRIM_MAX + appended, now, false)?;
        let due = if self.keeps_too_much() { Some(now) } else { self.ages_at(now) };
        // One that stands is not later than what an append needs, but for what was left over.
        self.set_age_due(run, self.row.age_due.into_iter().chain(due).min());
        Ok(self.trimmed(trimmed))
    }

    /// Carries out the room's due: trims what is too old or too much, at most `limit` messages. Returns how many.
    pub(crate) fn age<R: Rows>(
        &mut self,
        run: &mut Run<'_, R>,
        limit: usize,
        now: Timestamp,
    ) -> Result<(usize, Option<Effect>), RowsError> {
        self.set_age_due(run, None);
        let trimmed = self.trim(run, limit, now, true)?;
        if self.keeps_too_much() {
            self.set_age_due(run, Some(now));
        } else if self.row.options.retain_ms.is_some() && self.row.first < self.row.next {
            let oldest = self.oldest(run)?;
            self.set_age_due(run, self.ages_at(oldest.time).max(Some(now)));
        }
        Ok((trimmed, self.trimmed(trimmed)))
    }

    /// An id's message is gone: the id is forgotten when its time is over.
    pub(crate) fn forget_later<R: Rows>(
        &self,
        run: &mut Run<'_, R>,
        id: MessageId,
        stored: Timestamp,
        now: Timestamp,
    ) {
        let time = after(stored, DEDUPE_MIN_MS).max(now);
        run.put_due(Due { time, life: self.life, what: DueKind::Id(id) });
    }

    /// Deletes the oldest messages for as long as there is too much, or, `by_age`, they are too old; at most
    /// `limit`. Returns how many.
    fn trim<R: Rows>(
        &mut self,
        run: &mut Run<'_, R>,
        limit: usize,
        now: Timestamp,
        by_age: bool,
    ) -> Result<usize, RowsError> {
        let mut trimmed = 0;
        while trimmed < limit && self.row.first < self.row.next {
            let too_much = self.keeps_too_much();
            if !too_much && !by_age {
                break;
            }
            let (offset, oldest) = (self.row.first, self.oldest(run)?);
            if !too_much && self.ages_at(oldest.time).is_none_or(|time| time > now) {
                break;
            }
            self.row
                .trim(oldest.bytes)
                .map_err(|reason| RowsError::corrupt(&keys::room(self.life), reason))?;
            self.changed = true;
            self.tail.remove(&offset);
            run.delete(keys::message(self.life, offset));
            self.forget_later(run, oldest.id, oldest.time, now);
            trimmed += 1;
        }
        Ok(trimmed)
    }

    /// The oldest message that is kept, of which there is one.
    fn oldest<R: Rows>(&self, run: &Run<'_, R>) -> Result<Kept, RowsError> {
        let offset = self.row.first;
        if let Some(kept) = self.tail.get(&offset) {
            return Ok(*kept);
        }
        let key = keys::message(self.life, offset);
        let value = run.rows.get(&key)?.ok_or_else(|| RowsError::corrupt(&key, read::MISSING))?;
        Ok(Kept::of(&Item::decode(&key, offset, &value)?))
    }

    /// Whether there are more messages or bytes than the options allow. The newest message is never too much.
    fn keeps_too_much(&self) -> bool {
        let (row, options) = (&self.row, &self.row.options);
        let is_above = |kept: u64, limit: Option<u64>| limit.is_some_and(|limit| kept > limit);
        row.messages > 1
            && (is_above(row.messages, options.retain_messages) || is_above(row.bytes, options.retain_bytes))
    }

    /// From when on a message of that time is too old.
    fn ages_at(&self, time: Timestamp) -> Option<Timestamp> {
        self.row.options.retain_ms.map(|retain_ms| after(time, retain_ms))
    }

    fn set_age_due<R: Rows>(&mut self, run: &mut Run<'_, R>, time: Option<Timestamp>) {
        if self.row.age_due == time {
            return;
        }
        let due = |time| Due { time, life: self.life, what: DueKind::Age };
        if let Some(former) = self.row.age_due {
            run.delete_due(due(former));
        }
        if let Some(time) = time {
            run.put_due(due(time));
        }
        self.row.age_due = time;
        self.changed = true;
    }

    fn trimmed(&self, count: usize) -> Option<Effect> {
        let (room, life, first) = (self.row.name.clone(), self.life, self.row.first);
        (count > 0).then_some(Effect::Trimmed { room, life, first })
    }
}

/// The time so many milliseconds later.
pub(crate) fn after(time: Timestamp, ms: u64) -> Timestamp {
    Timestamp(time.millis().saturating_add(ms))
}
