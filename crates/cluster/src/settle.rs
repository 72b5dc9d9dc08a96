//! Who a node is when it starts: what its directory says, else what its configuration wants.

use roomkeeper_consensus::GroupError;
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::ClusterId;

use crate::config::{NodeConfig, Start};
use crate::datadir::DataDir;
use crate::error::StartError;
use crate::identity::{FORMAT, FOUNDER, FOUNDER_META, Founding, JoinNonce, StoredIdentity};
use crate::join::Seeds;
use crate::meta::machine::read_state;
use crate::meta::{MetaState, NodeSpec};
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
    if let Some(identity) = StoredIdentity::load(&dir.data)? {
        let other = config.seeds().clusters().await.into_iter().find(|seed| *seed != identity.cluster);
        return match other {
            Some(expected) => Err(StartError::DataDirOfAnotherCluster { found: identity.cluster, expected }),
            None => Ok(identity),
        };
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
            let nonce = JoinNonce::load_or_draw(&dir.data)?;
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
    identity.save(&dir.data)?;
    Ok(identity)
}

/// A directory whose rows say that meta was applied, but that has no log of it, has lost the log and with it votes
/// and acked entries. Its node must not take part as its former self.
pub(crate) async fn check_log(identity: &StoredIdentity, dir: &DataDir) -> Result<(), StartError> {
    let (log, data, meta) = (dir.log.clone(), dir.data.clone(), identity.meta_replica);
    let checking = tokio::task::spawn_blocking(move || {
        if !data.replicas().contains(&meta) || log.replicas()?.contains(&meta) {
            return Ok(());
        }
        let state = read_state(&data.replica(meta)?).map_err(|error| GroupError(error.to_string()))?;
        if state.founded.is_some() && !sabotage::is(Bug::ReplicaIdReused) {
            Err(StartError::LogLost)
        } else {
            Ok(())
        }
    });
    checking.await.unwrap_or_else(|error| {
        let source = std::io::Error::other(error);
        Err(StartError::DataDir { path: dir.path().to_owned(), source })
    })
}

/// A node that was removed is told so by any of the others that knows. While none of them answers, the cluster may
/// be about to start again.
pub(crate) async fn check_membership(
    config: &NodeConfig,
    identity: &StoredIdentity,
    dir: &DataDir,
) -> Result<(), StartError> {
    let (data, meta) = (dir.data.clone(), identity.meta_replica);
    let reading = tokio::task::spawn_blocking(move || match data.replicas().contains(&meta) {
        true => read_state(&data.replica(meta)?).map_err(|error| GroupError(error.to_string()).into()),
        false => Ok(MetaState::default()),
    });
    let state: Result<MetaState, StartError> = reading.await.unwrap_or_else(|error| {
        let source = std::io::Error::other(error);
        Err(StartError::DataDir { path: dir.path().to_owned(), source })
    });
    let at_join = identity.peers.iter().map(|(_, address)| address.clone());
    let addresses = at_join.chain(state?.nodes.into_values().map(|record| record.spec.peer)).collect();
    match config.seeds().know_as_removed(identity.node, addresses).await {
        true => Err(StartError::Removed(identity.node)),
        false => Ok(()),
    }
}
