//! Where a subscription stands: what to ask for after a reconnect, and what of the answer is new.

use roomkeeper_protocol::{From, Item, JoinOk};
use roomkeeper_types::Offset;

use crate::Error;

/// A subscription's position. Every offset from the first one on is taken exactly once, in order.
#[derive(Debug)]
pub(crate) struct Resume {
    from: From,
    /// The offset that comes next; `None` until the first join is answered.
    next: Option<Offset>,
    /// The last offset wanted, inclusive.
    last: Option<Offset>,
}

impl Resume {
    pub(crate) fn new(from: From) -> Self {
        let last = match from {
            From::Range(_, last) => Some(last),
            _ => None,
        };
        Self { from, next: None, last }
    }

    /// What to join from: at first what the caller asked for, later the offset after the last one seen.
    pub(crate) fn from(&self) -> From {
        match (self.next, self.last) {
            (None, _) => self.from,
            (Some(next), None) => From::Offset(next),
            (Some(next), Some(last)) => From::Range(next, last),
        }
    }

    /// The join was answered.
    pub(crate) fn joined(&mut self, ok: &JoinOk) -> Result<(), Error> {
        match self.next {
            Some(expected) if ok.from > expected => Err(Error::Gap { expected, got: ok.from }),
            Some(_) => Ok(()),
            None => {
                self.next = Some(ok.from);
                Ok(())
            }
        }
    }

    /// The part of a push that is new. What was seen before is dropped, what comes too early is an error.
    pub(crate) fn take(&mut self, mut items: Vec<Item>) -> Result<Vec<Item>, Error> {
        let (Some(mut next), Some(head)) = (self.next, items.first()) else { return Ok(Vec::new()) };
        if head.offset < next || self.last.is_some() {
            items.retain(|item| item.offset >= next && self.last.is_none_or(|last| item.offset <= last));
        }
        for item in &items {
            if item.offset != next {
                return Err(Error::Gap { expected: next, got: item.offset });
            }
            next = next.next();
        }
        self.next = Some(next);
        Ok(items)
    }

    /// Whether the last offset wanted has been taken.
    pub(crate) fn is_done(&self) -> bool {
        matches!((self.next, self.last), (Some(next), Some(last)) if next > last)
    }
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
        resume.take(items(offsets)).unwrap().iter().map(|item| item.offset.0).collect()
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
        let mut resume = Resume::new(From::Latest);
        resume.joined(&join_ok(5)).unwrap();
        assert_eq!(taken(&mut resume, &[5, 6, 7]), [5, 6, 7]);
        assert_eq!(resume.from(), From::Offset(Offset(8)));
        assert_eq!(taken(&mut resume, &[6, 7, 8, 9]), [8, 9]);
        assert_eq!(taken(&mut resume, &[8, 9]), [] as [u64; 0]);
    }

    #[test]
    fn take_too_early_is_a_gap() {
        let mut resume = Resume::new(From::Beginning);
        resume.joined(&join_ok(1)).unwrap();
        assert_eq!(taken(&mut resume, &[1]), [1]);
        let gap = |error| matches!(error, Err(Error::Gap { expected: Offset(2), got: Offset(3) }));
        assert!(gap(resume.take(items(&[3])).map(drop)));
        assert!(gap(resume.take(items(&[1, 3])).map(drop)));
        assert!(gap(resume.joined(&join_ok(3))));
    }

    #[test]
    fn range_resumes_with_its_rest_and_ends() {
        let mut resume = Resume::new(From::Range(Offset(2), Offset(4)));
        resume.joined(&join_ok(2)).unwrap();
        assert_eq!(taken(&mut resume, &[2]), [2]);
        assert_eq!(resume.from(), From::Range(Offset(3), Offset(4)));
        assert!(!resume.is_done());
        assert_eq!(taken(&mut resume, &[2, 3, 4, 5]), [3, 4]);
        assert!(resume.is_done());
    }

    #[test]
    fn join_unanswered_asks_for_the_same_again() {
        assert_eq!(Resume::new(From::Beginning).from(), From::Beginning);
        assert_eq!(Resume::new(From::Latest).from(), From::Latest);
    }
}
