//! How far a subscription may be sent messages: a limit on offsets, which the client moves as it goes.

use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::{ConsumerId, Offset};

/// A client's credit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credit {
    /// What the client asked for when it joined: how many messages it may have beyond those it has committed.
    ahead: u64,
    /// Whose commits count.
    consumer: Option<ConsumerId>,
    /// The last offset that may be sent, inclusive.
    limit: Offset,
}

/// What moves the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grant {
    /// A cursor stands there now.
    Committed(ConsumerId, Offset),
    /// So many more offsets.
    More(u64),
}

impl Credit {
    /// The credit of a client that joined with `ahead` and is sent `from` first.
    pub(crate) fn new(ahead: u64, from: Offset, consumer: Option<ConsumerId>) -> Self {
        Self { ahead, consumer, limit: Offset(from.get().saturating_sub(1).saturating_add(ahead)) }
    }

    /// The last offset that may be sent, inclusive.
    pub(crate) fn limit(&self) -> Offset {
        if sabotage::is(Bug::CreditIgnored) { Offset::MAX } else { self.limit }
    }

    /// Moves the limit. It never goes back.
    pub(crate) fn grant(&mut self, grant: &Grant) {
        self.limit = match grant {
            Grant::Committed(consumer, offset) if Some(consumer) == self.consumer.as_ref() => {
                self.limit.max(Offset(offset.get().saturating_add(self.ahead)))
            }
            // Another consumer's cursor says nothing of this client.
            Grant::Committed(..) => self.limit,
            Grant::More(more) => Offset(self.limit.get().saturating_add(*more)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(ahead: u64, from: u64, grants: &[Grant]) -> u64 {
        let mut credit = Credit::new(ahead, Offset(from), Some("me".parse().unwrap()));
        grants.iter().for_each(|grant| credit.grant(grant));
        credit.limit().get()
    }

    fn committed(who: &str, offset: u64) -> Grant {
        Grant::Committed(who.parse().unwrap(), Offset(offset))
    }

    #[test]
    fn limit_is_as_the_contract_says() {
        assert_eq!(limits(0, 1, &[]), 0);
        assert_eq!(limits(10, 1, &[]), 10);
        assert_eq!(limits(10, 8, &[]), 17);
        assert_eq!(limits(10, 1, &[committed("me", 4)]), 14);
        assert_eq!(limits(10, 8, &[committed("me", 4)]), 17, "a commit never takes credit away");
        assert_eq!(limits(10, 1, &[committed("you", 4)]), 10);
        assert_eq!(limits(10, 1, &[Grant::More(5), committed("me", 4)]), 15);
        assert_eq!(limits(u64::MAX, 9, &[Grant::More(1)]), u64::MAX);
    }
}
