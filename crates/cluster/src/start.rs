//! From a configuration to a running node.
//!
//! 1. Open the data directory, and settle who this node is: from disk, as founder, or by joining.
//! 2. Serve peers and open the replica of meta; a founder writes the cluster's first entry.
//! 3. Start everything that follows meta's state: replicas of shards, placement, routing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roomkeeper_consensus::{Consensus, Member, PeerIdentity, Settings};
use roomkeeper_sabotage::{self as sabotage, Bug};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::Observer;
use crate::backoff::Backoff;
use crate::config::NodeConfig;
use crate::datadir::DataDir;
use crate::error::StartError;
use crate::events::{Event, EventKind};
use crate::failover::{Failover, pursue_suspects};
use crate::identity::{FORMAT, FOUNDER, FOUNDER_META, Identity, StoredIdentity};
use crate::load::{Loads, measure_load};
use crate::meta::client::{Meta, MetaError};
use crate::meta::{MetaCommand, MetaReply, MetaState};
use crate::node::{Node, Shared};
use crate::peer::Handler;
use crate::pings::{PingThread, Pings, Surroundings, split_incoming};
use crate::placement::{
    carry_out_plans, drive_placement, place_shards, reconcile_meta, report_births, restore_owners,
};
use crate::quarantine::{Quarantine, tell_standings};
use crate::router::{Announcer, Table, announce, gossip};
use crate::settle::{check_membership, keep_addresses, settle_identity};
use crate::shard::{Shards, open_shards};
use crate::space::{offer_shards, watch_space};
use crate::tasks::{Failure, Tasks};

/// How long a start waits for other nodes before it returns all the same.
const START_PATIENCE: Duration = Duration::from_secs(5);

impl Node {
    /// Starts a node and returns when it takes part in its cluster; [`Node::ready`] says when all of it is well.
    /// `listener` is where peers reach this node. The observer is told of every entry applied from here on.
    ///
    /// # Errors
    /// Each variant of [`StartError`] is one thing for the operator to do. Nothing of the node runs on.
    pub async fn start(
        config: NodeConfig,
        listener: TcpListener,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, StartError> {
        config.validate()?;
        let address = listener.local_addr().map_err(StartError::PeerPort)?;
        if config.secret.is_none() && !address.ip().is_loopback() {
            return Err(StartError::SecretMissing { address });
        }
        let path = config.data_dir.clone();
        let dir = tokio::task::spawn_blocking(move || DataDir::open(&path)).await;
        let dir = dir.map_err(|error| StartError::DataDir {
            path: config.data_dir.clone(),
            source: std::io::Error::other(error),
        })??;
        let identity = settle_identity(&config, &dir).await?;
        check_membership(&config, &identity).await?;
        tracing::info!(cluster = %identity.cluster, node = %identity.node, "starting");

        let (shared, states) = assemble(config.clone(), identity, dir, observer).await?;
        match shared.bring_up(&config, listener, states).await {
            Ok(()) => Ok(Self { shared }),
            Err(error) => {
                shared.shutdown().await;
                Err(error)
            }
        }
    }
}

/// All parts of the node; nothing runs yet.
async fn assemble(
    config: NodeConfig,
    identity: StoredIdentity,
    dir: DataDir,
    observer: Arc<dyn Observer>,
) -> Result<(Arc<Shared>, watch::Sender<Arc<MetaState>>), StartError> {
    let handler = Arc::new(Handler::default());
    let (cluster, node) = (identity.cluster, identity.node);
    let secret = config.secret.clone();
    let settings = Settings { identity: PeerIdentity { cluster, node, secret }, scratch: dir.scratch() };
    let consensus = Consensus::new(settings, dir.log.clone(), dir.data.clone(), handler.clone())
        .await
        .map_err(|source| StartError::DataDir { path: dir.path().to_owned(), source })?;
    let memory = dir.take_memory().ok_or_else(|| StartError::Locked { path: dir.path().to_owned() })?;
    let (states, seen) = watch::channel(Arc::default());
    let shared = Arc::new(Shared {
        shown: Identity { cluster, node, client_url: config.advertise.client_url.clone() },
        spec: config.spec(),
        consensus,
        meta: Meta::new(node, identity.peers.iter().map(|(node, _)| *node).collect(), seen),
        shards: Shards::new(identity.shards),
        table: Table::new(identity.shards),
        announcer: Announcer::default(),
        loads: Loads::default(),
        pings: Pings::new(cluster, node, config.secret, config.tuning.rhythm()),
        failover: Failover::default(),
        births: tokio::sync::Notify::new(),
        quarantine: Quarantine::new(memory),
        space: Arc::default(),
        stored: parking_lot::Mutex::new(identity.clone()),
        events: crate::events::Events::default(),
        tasks: Tasks::default(),
        failure: Failure::default(),
        serving: parking_lot::Mutex::default(),
        ping_thread: parking_lot::Mutex::default(),
        tuning: config.tuning,
        identity,
        dir,
        observer,
    });
    handler.attach(&shared);
    Ok((shared, states))
}

impl Shared {
    async fn bring_up(
        self: &Arc<Self>,
        config: &NodeConfig,
        listener: TcpListener,
        states: watch::Sender<Arc<MetaState>>,
    ) -> Result<(), StartError> {
        self.serve(listener);
        self.check_own_address(config).await?;
        let (tell, told) = oneshot::channel();
        let shared = self.clone();
        self.tasks.spawn(async move {
            let took_part = shared.take_part(states).await;
            if let Err(Err(late)) = tell.send(took_part) {
                shared.failure.report(late.to_string());
            }
        });
        // Other nodes may have to come up first; who asks this one meanwhile is told so.
        match tokio::time::timeout(START_PATIENCE, told).await {
            Ok(Ok(took_part)) => took_part,
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }

    /// Opens the replica of meta, and starts everything that follows it.
    async fn take_part(self: &Arc<Self>, states: watch::Sender<Arc<MetaState>>) -> Result<(), StartError> {
        self.tasks.spawn(tell_standings(self.clone()));
        let Some(group) = self.open_meta(states).await? else { return Ok(()) };
        self.meta.set_group(group);
        self.start_pings()?;
        tokio::select! {
            founded = self.found() => founded?,
            () = self.tasks.stopping() => return Ok(()),
        }

        self.tasks.spawn_loop(keep_addresses(self.clone()));
        self.tasks.spawn_loop(watch_meta(self.clone()));
        self.tasks.spawn_loop(watch_disk(self.clone()));
        self.tasks.spawn_loop(watch_space(self.clone()));
        self.tasks.spawn_loop(offer_shards(self.clone()));
        self.tasks.spawn_loop(update_own_record(self.clone()));
        self.tasks.spawn_loop(reconcile_meta(self.clone()));
        self.tasks.spawn_loop(place_shards(self.clone()));
        self.tasks.spawn_loop(report_births(self.clone()));
        self.tasks.spawn_loop(drive_placement(self.clone()));
        self.tasks.spawn_loop(carry_out_plans(self.clone()));
        self.tasks.spawn_loop(restore_owners(self.clone()));
        self.tasks.spawn_loop(pursue_suspects(self.clone()));
        self.tasks.spawn_loop(announce(self.clone()));
        self.tasks.spawn_loop(gossip(self.clone()));
        self.tasks.spawn_loop(measure_load(self.clone()));
        // Opening a replica is not cut off half way.
        self.tasks.spawn(open_shards(self.clone()));
        Ok(())
    }

    /// Answers peers until the node has shut down.
    fn serve(self: &Arc<Self>, listener: TcpListener) {
        let shared = self.clone();
        let serving = tokio::spawn(async move {
            let (incoming, accepting) = split_incoming(listener, shared.pings.clone());
            let served = tokio::select! {
                served = shared.consensus.serve(incoming) => served,
                () = accepting => return,
            };
            if let Err(error) = served {
                shared.failure.report(format!("peers are not served any more: {error}"));
            }
        });
        *self.serving.lock() = Some(serving);
    }

    /// Tells the other nodes that this one is there, and listens to them.
    fn start_pings(self: &Arc<Self>) -> Result<(), StartError> {
        let (node, consensus) = (Arc::downgrade(self), self.consensus.clone());
        let (others, seen) = watch::channel(self.other_nodes());
        let surroundings = Surroundings {
            address: Box::new(move |other| node.upgrade()?.address(other)),
            others: seen,
            disk_stalled_for: Box::new(move || consensus.disk_stalled_for()),
            stall_max: self.tuning.disk_stall_max,
        };
        let thread = PingThread::start(&self.pings, surroundings).map_err(StartError::Pings)?;
        *self.ping_thread.lock() = Some(thread);
        let shared = self.clone();
        self.tasks.spawn_loop(async move {
            let mut states = shared.meta.states();
            while states.changed().await.is_ok() {
                let now = shared.other_nodes();
                others.send_if_modified(|known| std::mem::replace(known, now.clone()) != now);
            }
        });
        Ok(())
    }

    /// Who reaches another node under this one's address would be told lies for ever.
    async fn check_own_address(&self, config: &NodeConfig) -> Result<(), StartError> {
        let (ours, address) = ((self.identity.cluster, self.identity.node), &self.spec.peer);
        match config.seeds().who_is_at_own().await {
            Some(answered) if answered == ours => Ok(()),
            Some((_, found)) => {
                Err(StartError::WrongNode { address: address.clone(), expected: ours.1, found })
            }
            None => {
                tracing::warn!(address, "this node does not reach itself under the address it advertises");
                Ok(())
            }
        }
    }

    /// A founder brings the meta group to life, once.
    async fn found(&self) -> Result<(), StartError> {
        let Some(group) = self.meta.group() else { return Ok(()) };
        let Some(founding) = self.identity.founding else {
            let lost = self.identity.node == FOUNDER
                && !sabotage::is(Bug::ReplicaIdReused)
                && !group.is_initialized().await?;
            return if lost { Err(StartError::LogLost) } else { Ok(()) };
        };
        if self.meta.state().founded.is_some() {
            return self.save_founded();
        }
        if !group.is_initialized().await? {
            group.initialize(&[Member { replica: FOUNDER_META, node: FOUNDER }]).await?;
        }
        let command = MetaCommand::Bootstrap {
            cluster: self.identity.cluster,
            format: FORMAT,
            shards: self.identity.shards,
            replicas: founding.replicas,
            initial_nodes: founding.initial_nodes,
            founder: self.spec.clone(),
        };
        let within = self.tuning.join_timeout;
        match self.meta.propose(&self.consensus, &command, Instant::now() + within).await {
            Ok(MetaReply::Done) => {
                tracing::info!(cluster = %self.identity.cluster, "the cluster is founded");
                self.save_founded()
            }
            Ok(reply) => {
                Err(StartError::FoundingTimeout { waited: within, last: format!("meta answered {reply:?}") })
            }
            Err(error @ (MetaError::NotLeader(_) | MetaError::Unknown(_))) => {
                Err(StartError::FoundingTimeout { waited: within, last: error.to_string() })
            }
        }
    }

    /// From now on an empty log is a lost one.
    fn save_founded(&self) -> Result<(), StartError> {
        self.update_identity(|identity| identity.founding = None)
    }
}

/// A write or sync that failed takes the node down at once: what its disk holds is unknown. A disk that hangs is told
/// to operators.
async fn watch_disk(shared: Arc<Shared>) {
    let hanging = async {
        let mut changes = shared.pings.changes();
        let mut hung = false;
        while changes.changed().await.is_ok() {
            let hangs = shared.pings.is_unfit_here();
            if std::mem::replace(&mut hung, hangs) != hangs {
                let reason =
                    if hangs { "the disk hangs: nothing is owned here" } else { "the disk answers again" };
                let event = Event::new(EventKind::Disk, reason);
                shared.events.record(Event { from: Some(shared.identity.node), ..event });
            }
        }
    };
    tokio::select! {
        why = shared.dir.log.failed() => shared.failure.report(format!("the disk failed: {why}")),
        () = hanging => {}
    }
}

/// A meta replica that stopped takes the node down.
async fn watch_meta(shared: Arc<Shared>) {
    let Some(mut changes) = shared.meta.group().map(|group| group.watch()) else { return };
    loop {
        let status = changes.borrow_and_update().clone();
        if let Some(why) = &status.stopped {
            return shared.failure.report(format!("the replica of meta stopped: {why}"));
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

/// Tells the cluster when this node came back with other addresses, zone or weight.
async fn update_own_record(shared: Arc<Shared>) {
    let node = shared.identity.node;
    let mut states = shared.meta.states();
    let mut backoff = Backoff::patient();
    loop {
        let state = states.borrow_and_update().clone();
        if state.was_removed(node) {
            return shared.failure.report(StartError::Removed(node).to_string());
        }
        let known = state.nodes.get(&node).map(|record| record.spec.clone());
        let mut pause = None;
        if known.is_some_and(|known| known != shared.spec) {
            let command = MetaCommand::UpdateNode { node, spec: shared.spec.clone() };
            let deadline = Instant::now() + shared.tuning.answer_timeout;
            match shared.meta.propose(&shared.consensus, &command, deadline).await {
                Ok(reply) => tracing::info!(?reply, "told the cluster of this node's addresses"),
                Err(error) => tracing::warn!(%error, "the cluster does not know this node's addresses yet"),
            }
            // Until the change comes back as state.
            pause = Some(backoff.next());
        }
        tokio::select! {
            changed = states.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
        }
    }
}
