//! Who this node is: drawn or granted once, kept in a small synced file of its own, so that it outlives the loss of a
//! database. A directory without it is no node's.

use std::path::Path;

use roomkeeper_storage::{Error as StorageError, read_checked, write_checked};
use roomkeeper_types::{ClusterId, NodeId, ReplicaId, ShardCount};
use serde::{Deserialize, Serialize};

use crate::error::StartError;
use crate::versioned;

/// Format of the data directory and of the messages between nodes. A node joins only a cluster of its own.
pub(crate) const FORMAT: u32 = 1;

/// The founder of a cluster is always this node, with this replica of meta.
pub(crate) const FOUNDER: NodeId = NodeId(1);
pub(crate) const FOUNDER_META: ReplicaId = ReplicaId(1);

/// Files in the data directory.
pub(crate) const IDENTITY_FILE: &str = "identity";
pub(crate) const NONCE_FILE: &str = "join-nonce";
const IDENTITY_VERSION: u8 = 1;

/// Who this node is, as the gateway shows it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
    /// What clients reach this node by: `http://host:port`, no trailing slash.
    pub client_url: String,
}

/// What a data directory says of its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredIdentity {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    pub(crate) format: u32,
    pub(crate) shards: ShardCount,
    /// This node's replica of the meta group; another one after it was lost.
    pub(crate) meta_replica: ReplicaId,
    /// Set until the cluster's first entry is applied: only so long may this node initialise the meta group. An
    /// empty log afterwards is a lost one.
    pub(crate) founding: Option<Founding>,
    /// Peer addresses as they were at the join or when this node last ran: a way back to the cluster before meta is
    /// filled.
    pub(crate) peers: Vec<(NodeId, String)>,
}

/// What a new cluster is to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Founding {
    pub(crate) replicas: u32,
    pub(crate) initial_nodes: u32,
}

impl StoredIdentity {
    /// The identity in this directory, if it has one. Blocks.
    pub(crate) fn load(dir: &Path) -> Result<Option<Self>, StartError> {
        let unreadable = |error: &dyn std::fmt::Display| StartError::IdentityUnreadable(error.to_string());
        let bytes = match read_checked(&dir.join(IDENTITY_FILE)) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            Err(error @ StorageError::Corrupt { .. }) => return Err(unreadable(&error)),
            Err(error) => return Err(error.into()),
        };
        let identity: Self =
            versioned::decode(IDENTITY_VERSION, &bytes).map_err(|error| unreadable(&error))?;
        if identity.format != FORMAT {
            let reason = format!("it has format {}, this version reads {FORMAT}", identity.format);
            return Err(StartError::IdentityUnreadable(reason));
        }
        Ok(Some(identity))
    }

    /// Puts it on disk. Blocks.
    pub(crate) fn save(&self, dir: &Path) -> Result<(), StartError> {
        Ok(write_checked(&dir.join(IDENTITY_FILE), &versioned::encode(IDENTITY_VERSION, self))?)
    }
}

/// Names one intention to join. Kept on disk before anyone is asked, so that a node that dies between being
/// taken in and storing its identity is given the same one when it asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct JoinNonce(pub(crate) [u8; 16]);

impl JoinNonce {
    /// The directory's, drawn if it has none. Blocks.
    pub(crate) fn load_or_draw(dir: &Path) -> Result<Self, StartError> {
        let path = dir.join(NONCE_FILE);
        if let Some(bytes) = read_checked(&path)? {
            let nonce = bytes.try_into().map(Self);
            return nonce
                .map_err(|_| StartError::IdentityUnreadable("the join nonce is not 16 bytes".into()));
        }
        let nonce = Self(rand::random());
        write_checked(&path, &nonce.0)?;
        Ok(nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> StoredIdentity {
        StoredIdentity {
            cluster: ClusterId([7; 16]),
            node: NodeId(3),
            format: FORMAT,
            shards: ShardCount::DEFAULT,
            meta_replica: ReplicaId(3),
            founding: None,
            peers: vec![(NodeId(1), "a:1".to_owned())],
        }
    }

    #[test]
    fn identity_saved_is_loaded_again() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(StoredIdentity::load(dir.path()).unwrap(), None);
        identity().save(dir.path()).unwrap();
        assert_eq!(StoredIdentity::load(dir.path()).unwrap(), Some(identity()));
    }

    #[test]
    fn identity_that_is_unreadable_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let other_format = StoredIdentity { format: FORMAT + 1, ..identity() };
        for row in [&b""[..], b"\x09", b"\x01\x01", &versioned::encode(1, &other_format)] {
            write_checked(&dir.path().join(IDENTITY_FILE), row).unwrap();
            let error = StoredIdentity::load(dir.path()).err();
            assert!(matches!(error, Some(StartError::IdentityUnreadable(_))), "{row:?}");
        }
    }

    #[test]
    fn nonce_is_drawn_once_per_directory() {
        let dir = tempfile::tempdir().unwrap();
        let drawn = JoinNonce::load_or_draw(dir.path()).unwrap();
        assert_eq!(JoinNonce::load_or_draw(dir.path()).unwrap(), drawn);
        write_checked(&dir.path().join(NONCE_FILE), b"short").unwrap();
        assert!(JoinNonce::load_or_draw(dir.path()).is_err());
    }
}
