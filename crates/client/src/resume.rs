//! Where a subscription stands: what to ask for after a reconnect, and what of the answer is new.

use std::collections::BTreeMap;
use std::time::Duration;

use roomkeeper_protocol::{From, Item, JoinOk};
use roomkeeper_types::{MessageId, Offset};
use tokio::time::Instant;

use crate::Error;

/// Messages kept while one before them is missing: as many as a heartbeat may name.
const EARLY_MAX: usize = 1_000;

/// A subscription's position. Every offset from the first one on is taken exactly once, in order.
///
/// The server promises no holes. Should there be one all the same, what comes behind it is kept until a
/// `sync` has filled it; if none does, another join at the same place has to. A hole that is there again then
/// is an error.
#[derive(Debug)]
pub(crate) struct Resume {
    from: From,
    /// The offset that comes next; `None` until the first join is answered.
    next: Option<Offset>,
    /// The last offset wanted, inclusive.
    last: Option<Offset>,
    /// Whether a hole is waited for at all.
    patient: bool,
    /// What came too early, behind a hole at `next`.
    early: BTreeMap<Offset, Item>,
    hole_since: Option<Instant>,
    /// Where a hole was given up before.
    given_up: Option<Offset>,
}

impl Resume {
    pub(crate) fn new(from: From, patient: bool) -> Self {
        let last = match from {
            From::Range(_, last) => Some(last),
            _ => None,
        };
        let early = BTreeMap::new();
        Self { from, next: None, last, patient, early, hole_since: None, given_up: None }
    }

    /// The offset that comes next, once the first join was answered.
    pub(crate) fn next(&self) -> Option<Offset> {
        self.next
    }

    /// What to join from: at first what the caller asked for, later the offset after the last one seen.
    pub(crate) fn from(&self) -> From {
        self.next.map_or(self.from, |next| self.since(next))
    }

    /// What is wanted from that offset on.
    pub(crate) fn since(&self, offset: Offset) -> From {
        self.last.map_or(From::Offset(offset), |last| From::Range(offset, last))
    }

    /// The join was answered.
    pub(crate) fn joined(&mut self, ok: &JoinOk) -> Result<(), Error> {
        self.early.clear();
        self.hole_since = None;
        match self.next {
            Some(expected) if ok.from > expected => Err(Error::Gap { expected, got: ok.from }),
            Some(_) => Ok(()),
            None => {
                self.next = Some(ok.from);
                Ok(())
            }
        }
    }

    /// The part of a push that is new and has nothing missing before it. What was seen before is dropped.
    ///
    /// # Errors
    /// [`Error::Gap`]: something is missing, and another join would not help.
    pub(crate) fn take(&mut self, items: Vec<Item>, now: Instant) -> Result<Vec<Item>, Error> {
        let Some(next) = self.next else { return Ok(Vec::new()) };
        if self.last.is_none() && self.early.is_empty() && follow(&items, next) {
            self.next = Some(items.last().map_or(next, |item| item.offset.next()));
            return Ok(items);
        }
        self.sort_in(items, next, now)
    }

    fn sort_in(&mut self, items: Vec<Item>, mut next: Offset, now: Instant) -> Result<Vec<Item>, Error> {
        let mut ready = Vec::new();
        for item in items {
            let is_wanted = self.last.is_none_or(|last| item.offset <= last);
            if item.offset < next || !is_wanted {
                continue;
            }
            if item.offset > next {
                if !self.patient || self.given_up == Some(next) {
                    return Err(Error::Gap { expected: next, got: item.offset });
                }
                // More than that is sent again by the next join.
                if self.early.len() < EARLY_MAX {
                    self.early.insert(item.offset, item);
                }
                continue;
            }
            ready.push(item);
            next = next.next();
            while let Some(item) = self.early.remove(&next) {
                ready.push(item);
                next = next.next();
            }
        }
        self.early = self.early.split_off(&next);
        self.next = Some(next);
        if self.early.is_empty() {
            self.hole_since = None;
        } else if self.hole_since.is_none() || !ready.is_empty() {
            // Behind a hole that was filled there may be another one.
            self.hole_since = Some(now);
        }
        Ok(ready)
    }

    /// The offset that is missing, where something behind it is there.
    pub(crate) fn hole(&self) -> Option<Offset> {
        self.next.filter(|_| self.hole_since.is_some())
    }

    /// The messages that are there though one before them is missing.
    pub(crate) fn early(&self) -> impl Iterator<Item = MessageId> {
        self.early.values().map(|item| item.id)
    }

    /// The hole that nothing has filled within `patience`, and what came behind it. It is given up: what
    /// follows has to be asked for again.
    pub(crate) fn give_up_hole(&mut self, now: Instant, patience: Duration) -> Option<Error> {
        let age = now.duration_since(self.hole_since?);
        if age < patience && self.early.len() < EARLY_MAX {
            return None;
        }
        let (expected, got) = (self.next?, *self.early.first_key_value()?.0);
        self.given_up = Some(expected);
        self.hole_since = None;
        self.early.clear();
        Some(Error::Gap { expected, got })
    }

    /// Whether the last offset wanted has been taken.
    pub(crate) fn is_done(&self) -> bool {
        matches!((self.next, self.last), (Some(next), Some(last)) if next > last)
    }
}

/// Whether the items are `next` and what follows it, without holes.
fn follow(items: &[Item], next: Offset) -> bool {
    (next.get()..).zip(items).all(|(offset, item)| item.offset.get() == offset)
}

#[cfg(test)]
mod tests {
    use roomkeeper_protocol::Data;
    use roomkeeper_types::{Epoch, LifeId, MessageId, NodeId, ShardId, Timestamp};

    use super::*;

    fn items(offsets: &[u64]) -> Vec<Item> {
        let item = |&offset: &u64| Item {
            offset: Offset(offset),
            epoch: Epoch(1),
            id: MessageId([0; 16]),
            from: "ann".parse().unwrap(),
            time: Timestamp(0),
            sent: None,
            data: Data::json_string("x"),
        };
        offsets.iter().map(item).collect()
    }

    fn taken(resume: &mut Resume, offsets: &[u64]) -> Vec<u64> {
        resume.take(items(offsets), Instant::now()).unwrap().iter().map(|item| item.offset.0).collect()
    }

    fn join_ok(from: u64) -> JoinOk {
        JoinOk {
            room: "general".parse().unwrap(),
            owner: NodeId(1),
            epoch: Epoch(1),
            life: LifeId { shard: ShardId(0), index: 1, ordinal: 0 },
            first: Offset(1),
            next: Offset(from),
            from: Offset(from),
            members: None,
            committed: None,
            unread: None,
        }
    }

    #[test]
    fn take_overlap_after_reconnect_yields_only_the_new() {
        let mut resume = Resume::new(From::Latest, false);
        resume.joined(&join_ok(5)).unwrap();
        assert_eq!(taken(&mut resume, &[5, 6, 7]), [5, 6, 7]);
        assert_eq!(resume.from(), From::Offset(Offset(8)));
        assert_eq!(taken(&mut resume, &[6, 7, 8, 9]), [8, 9]);
        assert_eq!(taken(&mut resume, &[8, 9]), [] as [u64; 0]);
    }

    #[test]
    fn take_too_early_is_a_gap() {
        let mut resume = Resume::new(From::Beginning, false);
        resume.joined(&join_ok(1)).unwrap();
        assert_eq!(taken(&mut resume, &[1]), [1]);
        let gap = |error| matches!(error, Err(Error::Gap { expected: Offset(2), got: Offset(3) }));
        assert!(gap(resume.take(items(&[3]), Instant::now()).map(drop)));
        assert!(gap(resume.take(items(&[1, 3]), Instant::now()).map(drop)));
        assert!(gap(resume.joined(&join_ok(3))));
    }

    #[test]
    fn range_resumes_with_its_rest_and_ends() {
        let mut resume = Resume::new(From::Range(Offset(2), Offset(4)), false);
        resume.joined(&join_ok(2)).unwrap();
        assert_eq!(taken(&mut resume, &[2]), [2]);
        assert_eq!(resume.from(), From::Range(Offset(3), Offset(4)));
        assert!(!resume.is_done());
        assert_eq!(taken(&mut resume, &[2, 3, 4, 5]), [3, 4]);
        assert!(resume.is_done());
    }

    #[test]
    fn join_unanswered_asks_for_the_same_again() {
        assert_eq!(Resume::new(From::Beginning, false).from(), From::Beginning);
        assert_eq!(Resume::new(From::Latest, false).from(), From::Latest);
    }
}
