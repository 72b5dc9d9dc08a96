//! Who a node is when it starts: what its directory says, else what its configuration wants.

use std::sync::Arc;

use roomkeeper_types::ClusterId;

use crate::config::{NodeConfig, Start};
use crate::datadir::DataDir;
use crate::error::StartError;
use crate::identity::{FORMAT, FOUNDER, FOUNDER_META, Founding, JoinNonce, StoredIdentity};
use crate::join::Seeds;
use crate::meta::NodeSpec;
use crate::node::Shared;
use crate::peer::JoinRequest;

impl NodeConfig {
    pub(crate) fn spec(&self) -> NodeSpec {
        let advertise = self.advertise.clone();
        NodeSpec {
            peer: advertise.peer,
            client_url: advertise.client_url,
            admin: advertise.admin,
            zone: self.zone.clone(),
            weight: self.weight,
        }
    }

    pub(crate) fn seeds(&self) -> Seeds<'_> {
        let addresses = match &self.start {
            Start::Join { seeds } => seeds.as_slice(),
            Start::Existing | Start::Bootstrap { .. } => &[],
        };
        Seeds { addresses, own: &self.advertise.peer, secret: self.secret.as_deref() }
    }
}

/// Who this node is: from disk if it says so, else as the configuration wants.
pub(crate) async fn settle_identity(
    config: &NodeConfig,
    dir: &DataDir,
) -> Result<StoredIdentity, StartError> {
    if let Some(identity) = StoredIdentity::load(dir.path())? {
        let other = config.seeds().clusters().await.into_iter().find(|seed| *seed != identity.cluster);
        return match other {
            Some(expected) => Err(StartError::DataDirOfAnotherCluster { found: identity.cluster, expected }),
            None => Ok(identity),
        };
    }
    // The identity is made before the first replica: without it they were somebody else's.
    if !dir.is_unused()? {
        return Err(StartError::IdentityLost { path: dir.path().to_owned() });
    }
    let identity = match config.start {
        Start::Existing => return Err(StartError::NoIdentity { path: dir.path().to_owned() }),
        Start::Bootstrap { shards, replicas, initial_nodes } => StoredIdentity {
            cluster: ClusterId::generate(),
            node: FOUNDER,
            format: FORMAT,
            shards,
            meta_replica: FOUNDER_META,
            founding: Some(Founding { replicas, initial_nodes }),
            peers: Vec::new(),
        },
        Start::Join { .. } => {
            let nonce = JoinNonce::load_or_draw(dir.path())?;
            let request = JoinRequest { nonce, format: FORMAT, node: config.spec() };
            let grant = config.seeds().join(request, config.tuning.join_timeout).await?;
            StoredIdentity {
                cluster: grant.joined.cluster,
                node: grant.joined.node,
                format: FORMAT,
                shards: grant.joined.shards,
                meta_replica: grant.joined.meta_replica,
                founding: None,
                peers: grant.peers,
            }
        }
    };
    identity.save(dir.path())?;
    Ok(identity)
}

impl Shared {
    /// Changes what the directory says of this node.
    pub(crate) fn update_identity(&self, change: impl FnOnce(&mut StoredIdentity)) -> Result<(), StartError> {
        let mut stored = self.stored.lock();
        let mut next = stored.clone();
        change(&mut next);
        if next != *stored {
            next.save(self.dir.path())?;
            *stored = next;
        }
        Ok(())
    }
}

/// Keeps the other nodes' addresses where they are found also without any database.
pub(crate) async fn keep_addresses(shared: Arc<Shared>) {
    let mut states = shared.meta.states();
    loop {
        let state = states.borrow_and_update().clone();
        if !state.nodes.is_empty() {
            let peers = state.nodes.iter().map(|(node, record)| (*node, record.spec.peer.clone())).collect();
            if let Err(error) = shared.update_identity(|identity| identity.peers = peers) {
                tracing::warn!(%error, "addresses of other nodes are not kept");
            }
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

/// A node that was removed is told so by any of the others that knows. While none of them answers, the cluster may
/// be about to start again.
pub(crate) async fn check_membership(
    config: &NodeConfig,
    identity: &StoredIdentity,
) -> Result<(), StartError> {
    let addresses = identity.peers.iter().map(|(_, address)| address.clone()).collect();
    match config.seeds().know_as_removed(identity.node, addresses).await {
        true => Err(StartError::Removed(identity.node)),
        false => Ok(()),
    }
}
