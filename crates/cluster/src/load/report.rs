//! What a node tells the others of its load.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use roomkeeper_types::ShardId;
use serde::{Deserialize, Serialize};

use super::Load;
use crate::versioned::{self, DecodeError};

const VERSION: u8 = 1;

/// What a node has to do.
///
/// On the wire a version byte of its own, then postcard: a node that does not know the version has no figures of the
/// sender's, which is what it does without.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// All of it.
    pub(super) total: Load,
    /// The shards that it owns and that have anything to do.
    pub(super) shards: BTreeMap<ShardId, Load>,
}

impl Report {
    /// Of these loads; only those of shards that are `held` are told by themselves.
    pub(super) fn new(mut shards: BTreeMap<ShardId, Load>, held: &BTreeSet<ShardId>) -> Self {
        let mut total = Load::default();
        shards.values().for_each(|load| total += *load);
        shards.retain(|shard, load| *load != Load::default() && held.contains(shard));
        Self { total, shards }
    }

    pub(crate) fn encode(&self) -> Bytes {
        versioned::encode(VERSION, self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        versioned::decode(VERSION, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_tells_all_there_is_and_the_own_shards_by_themselves() {
        let busy = Load { messages_per_s: 300, bytes_per_s: 20, deliveries_per_s: 9, subscribers: 2 };
        let relayed = Load { deliveries_per_s: 50, subscribers: 1, ..Load::default() };
        let loads = [(0, busy), (1, Load::default()), (2, relayed)];
        let loads = loads.into_iter().map(|(shard, load)| (ShardId(shard), load)).collect();
        let report = Report::new(loads, &BTreeSet::from([0, 1].map(ShardId)));
        assert_eq!(report.total, Load { deliveries_per_s: 59, subscribers: 3, ..busy });
        assert_eq!(report.shards, BTreeMap::from([(ShardId(0), busy)]));
        assert_eq!(Report::decode(&report.encode()), Ok(report));
    }

    #[test]
    fn report_of_another_version_is_refused() {
        let mut bytes = Report::default().encode().to_vec();
        bytes[0] = 2;
        assert_eq!(Report::decode(&bytes), Err(DecodeError::Version { found: 2, known: VERSION }));
    }
}
