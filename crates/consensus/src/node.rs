//! A node's share of consensus: the transport, and the groups it has replicas of.

use std::future::ready;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use openraft::{Config, Raft, SnapshotPolicy};
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_storage::{DataStore, Error as StorageError, LogEngine, ReplicaStore};
use roomkeeper_types::{Epoch, NodeId, ReplicaId};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tonic::transport::Server;

use crate::flush;
use crate::group::members;
use crate::log_store::LogStore;
use crate::machine::{Machine, MachineAdapter, applied_in};
use crate::network::Network;
use crate::patience::Patience;
use crate::peer::{Lane, Links, MAX_MESSAGE, PeerError, PeerHandler, PeerIdentity, PeerServer};
use crate::registry::{Local, Registry};
use crate::removal;
use crate::wire::{Body, pb};
use crate::{Group, GroupError, GroupId, Inspection, Running, Standing};

/// Timers of a group. A follower campaigns `election_max` plus a random time between the two after it last
/// heard the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How often a leader is heard when it has nothing to say.
    pub heartbeat: Duration,
    /// Shortest random wait of an election.
    pub election_min: Duration,
    /// Longest random wait, and how long a follower refuses other candidates after it heard the leader.
    pub election_max: Duration,
}

/// Where and as whom a node takes part.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who this node is to its peers.
    pub identity: PeerIdentity,
    /// A folder for snapshots on their way; emptied at start.
    pub scratch: PathBuf,
}

/// A replica could not be started.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// Its log or rows are damaged, or less than what it once had on disk. It must neither vote nor be filled as its
    /// former self: the group needs another replica in its place, and this one is to be removed.
    #[error("{replica} is in quarantine: {reason}")]
    Quarantined {
        /// The replica.
        replica: ReplicaId,
        /// What is wrong with it.
        reason: String,
    },
    /// It was removed from this node and never comes back.
    #[error("{0} was removed from this node")]
    Removed(ReplicaId),
    /// The disk or Raft failed otherwise: this node cannot go on.
    #[error("{0}")]
    Failed(String),
}

impl OpenError {
    fn of(replica: ReplicaId, error: StorageError) -> Self {
        match error {
            StorageError::Tombstoned(_) => Self::Removed(replica),
            StorageError::Corrupt { .. } | StorageError::Forgotten { .. } => {
                Self::quarantined(replica, error)
            }
            other => Self::failed(other),
        }
    }

    fn quarantined(replica: ReplicaId, reason: impl std::fmt::Display) -> Self {
        Self::Quarantined { replica, reason: reason.to_string() }
    }

    fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A node's share of consensus. Cheap to clone.
#[derive(Clone)]
pub struct Consensus {
    links: Arc<Links>,
    registry: Registry,
    server: PeerServer,
    log: LogEngine,
    data: DataStore,
    scratch: Arc<std::path::Path>,
    patience: Patience,
    stop: watch::Sender<bool>,
}

impl Consensus {
    /// Over the node's databases. Finishes removals that a crash cut off; nothing runs until
    /// [`Consensus::serve`] and [`Consensus::open`].
    ///
    /// # Errors
    /// The scratch folder cannot be emptied, or a removal cannot be finished.
    pub async fn new(
        settings: Settings,
        log: LogEngine,
        data: DataStore,
        handler: Arc<dyn PeerHandler>,
    ) -> std::io::Result<Self> {
        removal::finish(&log, &data).await?;
        if settings.scratch.exists() {
            std::fs::remove_dir_all(&settings.scratch)?;
        }
        std::fs::create_dir_all(&settings.scratch)?;
        let scratch: Arc<std::path::Path> = settings.scratch.into();
        let identity = Arc::new(settings.identity);
        let registry = Registry::default();
        let (stop, stopped) = watch::channel(false);
        let server =
            PeerServer::new(identity.clone(), handler.clone(), registry.clone(), scratch.clone(), stopped);
        let links = Arc::new(Links::new(identity, handler));
        let patience = Patience::default();
        Ok(Self { links, registry, server, log, data, scratch, patience, stop })
    }

    /// Serves peers on these connections, and keeps what is not on disk within bounds, until
    /// [`Consensus::shutdown`].
    ///
    /// # Errors
    /// The connections' source failed.
    pub async fn serve(
        &self,
        incoming: impl Stream<Item = std::io::Result<TcpStream>> + Send,
    ) -> Result<(), PeerError> {
        let service = pb::peer_server::PeerServer::new(self.server.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        tokio::spawn(flush::run(self.registry.clone(), self.stop.subscribe()));
        let mut stop = self.stop.subscribe();
        Server::builder()
            .tcp_nodelay(true)
            .http2_keepalive_interval(Some(Duration::from_secs(1)))
            .http2_keepalive_timeout(Some(Duration::from_secs(2)))
            .initial_stream_window_size(Some(4 << 20))
            .initial_connection_window_size(Some(8 << 20))
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, async move {
                // A closed channel means that the node is gone: stop too.
                drop(stop.wait_for(|stop| *stop).await);
            })
            .await
            .map_err(|error| PeerError::Unreachable("the peer listener".to_owned(), error.to_string()))
    }

    /// Starts this node's replica of a group, from what is on disk (nothing, for a new one).
    ///
    /// # Errors
    /// [`OpenError::Quarantined`] when what is on disk is not all that the replica once had, or cannot be read.
    pub async fn open(
        &self,
        group: GroupId,
        replica: ReplicaId,
        timing: Timing,
        machine: impl Machine,
    ) -> Result<Group, OpenError> {
        let config = raft_config(group, timing).validate().map_err(OpenError::failed)?;
        let (store, mut log) = self.open_stores(replica).await?;
        let quarantined = |error: std::io::Error| OpenError::quarantined(replica, error);
        let synced = log.synced().await.map_err(quarantined)?;
        let (epoch, applied_epoch) = watch::channel(Epoch(0));
        let (scratch, patience) = (self.scratch.clone(), self.patience.clone());
        let machine = MachineAdapter::open(Box::new(machine), store.clone(), scratch, patience, epoch)
            .map_err(quarantined)?;
        if let Some(applied) = machine.applied() {
            synced.reaches(&applied);
        }
        let network = Network { group, links: self.links.clone(), scratch: self.scratch.clone() };
        let raft = Raft::new(replica.0, Arc::new(config), network, log, machine).await;
        let raft = raft.map_err(OpenError::failed)?;
        self.registry.insert(group, Local { replica, raft: raft.clone(), store: store.clone(), synced });
        Ok(Group::new(group, replica, raft, store, applied_epoch))
    }

    /// What is on disk of a replica that does not run (an empty store is made where there is none).
    ///
    /// # Errors
    /// As of [`Consensus::open`].
    pub async fn inspect(&self, replica: ReplicaId) -> Result<Inspection, OpenError> {
        let (store, mut log) = self.open_stores(replica).await?;
        let quarantined = |error: std::io::Error| OpenError::quarantined(replica, error);
        let synced = log.synced().await.map_err(quarantined)?;
        let (applied, membership) = applied_in(&store).map_err(quarantined)?;
        if let Some(applied) = applied {
            synced.reaches(&applied);
        }
        let candidate = synced.candidate().filter(|(candidate, _)| *candidate != replica);
        Ok(Inspection { standing: synced.get(), voters: members(&membership).0, candidate })
    }

    /// The replica's rows and log, if they are all that it once had as far as its disk knows.
    async fn open_stores(&self, replica: ReplicaId) -> Result<(ReplicaStore, LogStore), OpenError> {
        // First: it refuses a replica that was removed.
        let store = self.patience.until_taken(|| ready(self.data.replica(replica))).await;
        let store = store.map_err(|error| OpenError::of(replica, error))?;
        let log = LogStore::new(self.log.group(replica).map_err(|error| OpenError::of(replica, error))?);
        let quarantined = |error: std::io::Error| OpenError::quarantined(replica, error);
        let applied = applied_in(&store).map_err(quarantined)?.0.map(|applied| applied.index);
        let purged = log.purged().map_err(quarantined)?;
        if applied < purged && !sabotage::is(Bug::ReplicaIdReused) {
            let reason = format!("its log begins behind {purged:?}, its rows end at {applied:?}");
            return Err(OpenError::quarantined(replica, reason));
        }
        if applied.is_some() && log.is_pristine() && !sabotage::is(Bug::ReplicaIdReused) {
            return Err(OpenError::quarantined(replica, "it has rows but no log: it lost its log"));
        }
        Ok((store, log))
    }

    /// The replicas that run here.
    #[must_use]
    pub fn running(&self) -> Vec<Running> {
        let running = |local: Local| Running {
            replica: local.replica,
            standing: local.synced.get(),
            members: local.members(),
        };
        self.registry.all().into_iter().map(running).collect()
    }

    /// How far other replicas are on disk at least, as replicas here know: a leader of its followers, and everybody
    /// of whom it voted for.
    #[must_use]
    pub fn known_of_others(&self) -> Vec<(ReplicaId, Standing)> {
        self.registry.all().iter().flat_map(Local::others).collect()
    }

    /// Removes this node's replica of a group for good: stops it if it runs, then its store goes behind a synced
    /// tombstone, then its log. A crash in between is finished by the next [`Consensus::new`]; a replica that was
    /// removed is never opened again. May be called again, and for a replica that cannot be opened.
    ///
    /// Not while the replica is being opened.
    ///
    /// # Errors
    /// The disk failed.
    pub async fn remove(&self, group: GroupId, replica: ReplicaId) -> Result<(), GroupError> {
        self.close(group, replica).await;
        removal::remove(&self.log, &self.data, &self.patience, replica).await.map_err(GroupError::of)
    }

    /// Stops this node's replica of a group, whose data stay. May be called again.
    pub async fn close(&self, group: GroupId, replica: ReplicaId) {
        if let Some(local) = self.registry.take_replica(group, replica)
            && let Err(error) = local.raft.shutdown().await
        {
            tracing::warn!(%replica, %error, "replica did not stop in order");
        }
    }

    /// Asks a node; the answer is what its handler returned.
    ///
    /// # Errors
    /// The node cannot be reached, does not answer in time, or refuses.
    pub async fn ask(&self, node: NodeId, body: Bytes, timeout: Duration) -> Result<Bytes, PeerError> {
        let link = self.links.to(node, Lane::Ping);
        match link.ask(GroupId::Meta, 0, Body::Ask(body), timeout).await? {
            Body::Answered(answer) => Ok(answer),
            _ => Err(PeerError::Refused(node.to_string(), "its answer does not fit the request".to_owned())),
        }
    }

    /// For how long this node's disk has not taken what is to be written: a write or sync of the log that hangs, or
    /// somebody who waits for room. Zero while all is well.
    #[must_use]
    pub fn disk_stalled_for(&self) -> Duration {
        self.log.sync_stalled_for().max(self.patience.strained_for())
    }

    /// Stops all replicas, then the peer service, then the log writer.
    pub async fn shutdown(&self) {
        self.patience.end();
        for local in self.registry.take() {
            if let Err(error) = local.raft.shutdown().await {
                tracing::warn!(replica = %local.replica, %error, "replica did not stop in order");
            }
        }
        self.stop.send_replace(true);
        let log = self.log.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || log.close()).await {
            tracing::warn!(%error, "log writer did not stop in order");
        }
    }
}

fn raft_config(group: GroupId, timing: Timing) -> Config {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    // The bug needs snapshots, and a test has no time for ten thousand entries.
    let log_to_keep = if sabotage::is(Bug::DedupeNotInSnapshot) { 50 } else { 10_000 };
    Config {
        cluster_name: group.to_string(),
        heartbeat_interval: millis(timing.heartbeat),
        election_timeout_min: millis(timing.election_min),
        election_timeout_max: millis(timing.election_max),
        enable_pre_vote: Some(true),
        // A restarted leader asks for votes again: its rows may be older than what it acked.
        enable_leader_restore: Some(false),
        // A log that came back shorter is a loss to be found, not to be got used to.
        allow_log_reversion: Some(false),
        // A new owner's first append may meet a link that is just being made: a pause of openraft's 200 ms would be
        // longer than all the rest of a failover.
        backoff: "5ms 10ms ...200ms".to_owned(),
        max_payload_entries: 1024,
        purge_batch_size: log_to_keep.min(1024),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(2 * log_to_keep),
        max_in_snapshot_log_to_keep: log_to_keep,
        install_snapshot_timeout: 60_000,
        ..Config::default()
    }
}
