//! Stored forms of entries, votes, log ids and memberships: our own, versioned, since openraft's serde forms
//! are not a stable format. All numbers are big-endian.
//!
//! ```text
//! entry       version u8 = 1 | term u64 | index u64 | kind u8 | payload …
//! vote        version u8 = 1 | term u64 | replica u64 | committed u8
//! log id      version u8 = 1 | term u64 | index u64
//! membership  version u8 = 1 | postcard of StoredConfigs
//! applied     version u8 = 1 | postcard of AppliedRow
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::EntryPayload;
use roomkeeper_types::NodeId;
use serde::{Deserialize, Serialize};

use crate::raft_types::{Entry, Home, LogId, Membership, Payload, StoredMembership, Vote, log_id};

const VERSION: u8 = 1;
const ENTRY_HEADER: usize = 18;

/// What an entry holds; the numbers are stored and sent.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Blank = 0,
    Normal = 1,
    Membership = 2,
}

fn unreadable(what: &str, why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("unreadable {what}: {why}"))
}

fn check_version(what: &str, bytes: &mut Bytes, len: usize) -> io::Result<()> {
    if bytes.len() < len {
        return Err(unreadable(what, format_args!("{} bytes, expected {len}", bytes.len())));
    }
    match bytes.get_u8() {
        VERSION => Ok(()),
        other => Err(unreadable(what, format_args!("version {other}, this release knows {VERSION}"))),
    }
}

/// An entry's kind number and payload, as stored and as sent.
pub(crate) fn entry_parts(entry: &Entry) -> io::Result<(u8, Bytes)> {
    Ok(match &entry.payload {
        EntryPayload::Blank => (Kind::Blank as u8, Bytes::new()),
        EntryPayload::Normal(payload) => (Kind::Normal as u8, payload.0.clone()),
        EntryPayload::Membership(membership) => (Kind::Membership as u8, encode_membership(membership)?),
    })
}

/// Puts an entry together again.
pub(crate) fn entry_from_parts(term: u64, index: u64, kind: u8, payload: Bytes) -> io::Result<Entry> {
    let payload = match kind {
        k if k == Kind::Blank as u8 => EntryPayload::Blank,
        k if k == Kind::Normal as u8 => EntryPayload::Normal(Payload(payload)),
        k if k == Kind::Membership as u8 => EntryPayload::Membership(decode_membership(payload)?),
        other => return Err(unreadable("log entry", format_args!("kind {other}"))),
    };
    Ok(Entry { log_id: log_id(term, index), payload })
}

pub(crate) fn encode_entry(entry: &Entry) -> io::Result<Bytes> {
    let (kind, payload) = entry_parts(entry)?;
    let mut out = BytesMut::with_capacity(ENTRY_HEADER + payload.len());
    out.put_u8(VERSION);
    out.put_u64(entry.log_id.leader_id.term);
    out.put_u64(entry.log_id.index);
    out.put_u8(kind);
    out.put(payload);
    Ok(out.freeze())
}

pub(crate) fn decode_entry(mut bytes: Bytes) -> io::Result<Entry> {
    check_version("log entry", &mut bytes, ENTRY_HEADER)?;
    let (term, index, kind) = (bytes.get_u64(), bytes.get_u64(), bytes.get_u8());
    entry_from_parts(term, index, kind, bytes)
}

pub(crate) fn encode_vote(vote: &Vote) -> Bytes {
    let mut out = BytesMut::with_capacity(18);
    out.put_u8(VERSION);
    out.put_u64(vote.leader_id.term);
    out.put_u64(vote.leader_id.voted_for);
    out.put_u8(u8::from(vote.committed));
    out.freeze()
}

pub(crate) fn decode_vote(mut bytes: Bytes) -> io::Result<Vote> {
    check_version("vote", &mut bytes, 18)?;
    let (term, replica) = (bytes.get_u64(), bytes.get_u64());
    Ok(if bytes.get_u8() == 0 { Vote::new(term, replica) } else { Vote::new_committed(term, replica) })
}

pub(crate) fn encode_log_id(id: &LogId) -> Bytes {
    let mut out = BytesMut::with_capacity(17);
    out.put_u8(VERSION);
    out.put_u64(id.leader_id.term);
    out.put_u64(id.index);
    out.freeze()
}

pub(crate) fn decode_log_id(mut bytes: Bytes) -> io::Result<LogId> {
    check_version("log id", &mut bytes, 17)?;
    Ok(log_id(bytes.get_u64(), bytes.get_u64()))
}

/// A membership: one config, or two while it changes, and where every replica lives.
#[derive(Serialize, Deserialize)]
struct StoredConfigs {
    configs: Vec<BTreeSet<u64>>,
    homes: BTreeMap<u64, NodeId>,
}

fn versioned(what: &str, value: &impl Serialize) -> io::Result<Bytes> {
    let out = postcard::to_extend(value, vec![VERSION]).map_err(|error| unreadable(what, error))?;
    Ok(out.into())
}

fn read_versioned<T: for<'de> Deserialize<'de>>(what: &str, mut bytes: Bytes) -> io::Result<T> {
    check_version(what, &mut bytes, 1)?;
    postcard::from_bytes(&bytes).map_err(|error| unreadable(what, error))
}

pub(crate) fn encode_membership(membership: &Membership) -> io::Result<Bytes> {
    let homes = membership.nodes().map(|(replica, home)| (*replica, home.0)).collect();
    versioned("membership", &StoredConfigs { configs: membership.get_joint_config().clone(), homes })
}

pub(crate) fn decode_membership(bytes: Bytes) -> io::Result<Membership> {
    let stored: StoredConfigs = read_versioned("membership", bytes)?;
    let homes: BTreeMap<u64, Home> = stored.homes.into_iter().map(|(id, node)| (id, Home(node))).collect();
    Membership::new(stored.configs, homes).map_err(|error| unreadable("membership", error))
}

/// What a replica has applied: written with every run, in the same atomic step as the run's rows.
#[derive(Serialize, Deserialize)]
struct AppliedRow {
    applied: Option<(u64, u64)>,
    membership_log_id: Option<(u64, u64)>,
    membership: Vec<u8>,
}

pub(crate) fn encode_applied(applied: Option<&LogId>, membership: &StoredMembership) -> io::Result<Bytes> {
    let pair = |id: &LogId| (id.leader_id.term, id.index);
    versioned(
        "applied row",
        &AppliedRow {
            applied: applied.map(pair),
            membership_log_id: membership.log_id().as_ref().map(pair),
            membership: encode_membership(membership.membership())?.to_vec(),
        },
    )
}

pub(crate) fn decode_applied(bytes: Bytes) -> io::Result<(Option<LogId>, StoredMembership)> {
    let row: AppliedRow = read_versioned("applied row", bytes)?;
    let id = |(term, index)| log_id(term, index);
    let membership = decode_membership(row.membership.into())?;
    Ok((row.applied.map(id), StoredMembership::new(row.membership_log_id.map(id), membership)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership() -> Membership {
        let homes: BTreeMap<u64, Home> = [(1, Home(NodeId(1))), (7, Home(NodeId(2)))].into();
        Membership::new(vec![[1].into(), [1, 7].into()], homes).unwrap()
    }

    #[test]
    fn every_kind_of_entry_round_trips() {
        for payload in [
            EntryPayload::Blank,
            EntryPayload::Normal(Payload(Bytes::from_static(b"\0batch"))),
            EntryPayload::Membership(membership()),
        ] {
            let entry = Entry { log_id: log_id(3, 9), payload };
            assert_eq!(decode_entry(encode_entry(&entry).unwrap()).unwrap(), entry);
        }
    }

    #[test]
    fn votes_log_ids_and_applied_rows_round_trip() {
        for vote in [Vote::new(4, 2), Vote::new_committed(5, 9)] {
            assert_eq!(decode_vote(encode_vote(&vote)).unwrap(), vote);
        }
        assert_eq!(decode_log_id(encode_log_id(&log_id(2, 8))).unwrap(), log_id(2, 8));
        let stored = StoredMembership::new(Some(log_id(1, 1)), membership());
        for applied in [None, Some(log_id(2, 8))] {
            let bytes = encode_applied(applied.as_ref(), &stored).unwrap();
            assert_eq!(decode_applied(bytes).unwrap(), (applied, stored.clone()));
        }
    }

    #[test]
    fn unknown_versions_and_short_bytes_are_errors() {
        let mut vote = encode_vote(&Vote::new(4, 2)).to_vec();
        assert!(decode_vote(Bytes::copy_from_slice(&vote[..17])).is_err());
        vote[0] = 9;
        assert!(decode_vote(vote.into()).is_err());
        assert!(decode_entry(Bytes::new()).is_err());
        assert!(decode_applied(Bytes::from_static(&[VERSION])).is_err());
    }
}
