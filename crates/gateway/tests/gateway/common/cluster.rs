//! A cluster in memory: shards with an owner each, whose rows all nodes share, as if replication took no time.
//! What a real cluster does seldom it does on demand: lose owners, keep outcomes back, leave them unknown.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use roomkeeper_cluster::{NodeEntry, NodeState, Observer, ReplicaEntry, ShardEntry};
use roomkeeper_gateway::Hub;
use roomkeeper_gateway::host::{
    ClusterMap, Completion, Host, Identity, LocalCopy, LocateError, Located, Owner, Ownership, Route,
    SubmitError, Tenure, View,
};
use roomkeeper_room::row::NameRow;
use roomkeeper_room::{
    Applier, Batch, Command, Create, Forward, MemRows, NewMessage, Outcome, Payload, PayloadKind, Publish,
    RoomOptions, read,
};
use roomkeeper_types::{
    ClusterId, Epoch, LogIndex, LogPosition, MessageId, NodeId, ReplicaId, RoomName, ShardCount, ShardId,
    Timestamp,
};
use tokio::sync::{mpsc, watch};

/// What happens to commands that are submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Log {
    /// They are applied and answered.
    Works,
    /// They wait, unapplied, until it works again.
    Stalls,
    /// They are applied, but nobody hears of it: unknown.
    LosesAnswers,
    /// The same for one, with which the shard goes to that node; then it works.
    LosesOwner(NodeId),
}

#[derive(Clone)]
pub(crate) struct Cluster(Arc<Shared>);

struct Shared {
    id: ClusterId,
    shards: Vec<Shard>,
    nodes: Mutex<Vec<(Identity, Arc<Hub>)>>,
    /// Counts changes of owners.
    changed: watch::Sender<u64>,
    /// The shard with the least to do.
    idle: Mutex<Option<ShardId>>,
}

struct Shard {
    state: Mutex<ShardState>,
    queue: mpsc::UnboundedSender<Submitted>,
    log: watch::Sender<Log>,
    /// Counts commands submitted.
    submissions: watch::Sender<usize>,
}

struct ShardState {
    rows: MemRows,
    index: u64,
    epoch: Epoch,
    owner: Option<NodeId>,
    /// The owner has heard no quorum for too long, and has not noticed yet.
    doubtful: bool,
    /// When the owner became it.
    begun: Instant,
    /// Whose it is when its owner has looked at its rows once more.
    next_owner: Option<Option<NodeId>>,
}

type Submitted = (Epoch, Command, Completion);

impl Cluster {
    /// A cluster of so many shards without nodes.
    pub(crate) fn new(shards: u32) -> Self {
        let mut queues = Vec::new();
        let shards = (0..shards).map(|_| {
            let (queue, submitted) = mpsc::unbounded_channel();
            let (log, mode) = watch::channel(Log::Works);
            queues.push((submitted, mode));
            let state = ShardState {
                rows: MemRows::default(),
                index: 0,
                epoch: Epoch(1),
                owner: None,
                doubtful: false,
                begun: Instant::now(),
                next_owner: None,
            };
            Shard { state: Mutex::new(state), queue, log, submissions: watch::Sender::new(0) }
        });
        let shared = Shared {
            id: ClusterId::generate(),
            shards: shards.collect(),
            nodes: Mutex::default(),
            changed: watch::Sender::new(0),
            idle: Mutex::default(),
        };
        let cluster = Self(Arc::new(shared));
        for (shard, (submitted, mode)) in (0..).map(ShardId).zip(queues) {
            tokio::spawn(run_shard(cluster.clone(), shard, submitted, mode));
        }
        cluster
    }

    /// Adds a node, which owns nothing.
    pub(crate) fn add_node(&self, url: String, hub: Arc<Hub>) -> FakeNode {
        let mut nodes = self.0.nodes.lock();
        let node = NodeId(u32::try_from(nodes.len()).unwrap() + 1);
        let identity = Identity { cluster: self.0.id, node, client_url: url };
        nodes.push((identity.clone(), hub));
        FakeNode { cluster: self.clone(), identity, believes: Arc::default(), sparse: Arc::default() }
    }

    /// Others reach the node at this URL from now on.
    pub(crate) fn set_url(&self, node: NodeId, url: String) {
        self.0.nodes.lock()[node.0 as usize - 1].0.client_url = url;
    }

    pub(crate) fn shard_of(&self, room: &str) -> ShardId {
        room.parse::<RoomName>().unwrap().hash_shard(self.count())
    }

    fn count(&self) -> ShardCount {
        ShardCount::new(u32::try_from(self.0.shards.len()).unwrap()).unwrap()
    }

    fn shard(&self, shard: ShardId) -> &Shard {
        &self.0.shards[shard.0 as usize]
    }

    /// Gives a shard another owner, or none for now, in a new epoch.
    pub(crate) fn set_owner(&self, shard: ShardId, owner: Option<NodeId>) {
        {
            let mut state = self.shard(shard).state.lock();
            state.epoch = state.epoch.next();
            state.owner = owner;
            state.doubtful = false;
            state.begun = Instant::now();
        }
        self.0.changed.send_modify(|count| *count += 1);
    }

    /// Gives a shard another owner, or none for now, when its present one has looked at its rows once more: in the
    /// middle of what that does.
    pub(crate) fn set_owner_at_next_look(&self, shard: ShardId, owner: Option<NodeId>) {
        self.shard(shard).state.lock().next_owner = Some(owner);
    }

    /// Whether the owner's time is up, though it has not noticed: as after the process was stopped.
    pub(crate) fn set_doubtful(&self, shard: ShardId, doubtful: bool) {
        self.shard(shard).state.lock().doubtful = doubtful;
    }

    /// Gives all shards to one node.
    pub(crate) fn set_owner_of_all(&self, owner: NodeId) {
        self.count().iter().for_each(|shard| self.set_owner(shard, Some(owner)));
    }

    pub(crate) fn set_log(&self, shard: ShardId, log: Log) {
        self.shard(shard).log.send_replace(log);
    }

    /// How many commands were submitted to the shard.
    pub(crate) fn submissions(&self, shard: ShardId) -> usize {
        *self.shard(shard).submissions.borrow()
    }

    /// Waits until there are so many.
    pub(crate) async fn submitted(&self, shard: ShardId, count: usize) {
        let mut submissions = self.shard(shard).submissions.subscribe();
        submissions.wait_for(|submitted| *submitted >= count).await.unwrap();
    }

    /// Stores a message, as whoever owns the room: every node applies it.
    pub(crate) fn append(&self, shard: ShardId, room: &str, data: serde_json::Value) {
        let message = NewMessage {
            id: MessageId::generate(),
            sent: None,
            payload: Payload { kind: PayloadKind::Json, bytes: data.to_string().into() },
        };
        let publish = Publish {
            room: room.parse().unwrap(),
            life: None,
            from: "somebody".parse().unwrap(),
            messages: vec![message],
            expect: None,
            create: Some(RoomOptions::default()),
            placed: false,
        };
        self.apply(shard, Command::Publish(publish));
    }

    /// From now on rooms that may go anywhere go to this shard.
    pub(crate) fn set_idle(&self, shard: ShardId) {
        *self.0.idle.lock() = Some(shard);
    }

    /// Forwards a room's name, as the owner of its hash shard does.
    pub(crate) fn forward(&self, room: &str, to: ShardId) {
        let forward = Forward { room: room.parse().unwrap(), to };
        let outcome = self.apply(self.shard_of(room), Command::Forward(forward));
        assert_eq!(outcome, Outcome::Forwarded { to });
    }

    /// The shard that the rows of the hash shard name for a room.
    fn located(&self, room: &RoomName) -> Option<ShardId> {
        let hash = room.hash_shard(self.count());
        let row = read::name_row(&self.shard(hash).state.lock().rows, room).unwrap();
        row.map(|row| match row {
            NameRow::Life(_) => hash,
            NameRow::Forward { shard, .. } => shard,
        })
    }

    /// Creates a room with these options, as its owner does.
    pub(crate) fn create(&self, room: &str, options: RoomOptions) {
        let create = Create { room: room.parse().unwrap(), exclusive: true, options, placed: false };
        assert!(matches!(self.apply(self.shard_of(room), Command::Create(create)), Outcome::Created { .. }));
    }

    /// Carries out what is due, as the owner does from time to time.
    pub(crate) fn sweep(&self, shard: ShardId) {
        let due = read::due(&self.shard(shard).state.lock().rows, Timestamp(0)..=now(), usize::MAX).unwrap();
        self.apply(shard, Command::Sweep(due));
    }

    fn owner(&self, shard: ShardId) -> (Option<NodeId>, Epoch) {
        let state = self.shard(shard).state.lock();
        (state.owner, state.epoch)
    }

    pub(crate) fn is_owned_by(&self, shard: ShardId, node: NodeId) -> bool {
        self.owner(shard).0 == Some(node)
    }

    fn url(&self, node: NodeId) -> String {
        self.0.nodes.lock()[node.0 as usize - 1].0.client_url.clone()
    }

    fn apply(&self, shard: ShardId, command: Command) -> Outcome {
        let mut effects = Vec::new();
        let outcome = {
            let mut state = self.shard(shard).state.lock();
            state.index += 1;
            let at = LogPosition { epoch: state.epoch, index: LogIndex(state.index) };
            let batch = Batch { time: now(), commands: vec![command] };
            let mut applier = Applier::new(&state.rows, shard, self.count());
            let outcome = applier.apply(at, batch, &mut effects).unwrap().remove(0);
            let writes = applier.into_writes();
            state.rows.apply_writes(&writes);
            outcome
        };
        for (_, hub) in self.0.nodes.lock().iter() {
            hub.applied(shard, effects.clone());
        }
        outcome
    }
}

fn now() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap())
}

async fn run_shard(
    cluster: Cluster,
    shard: ShardId,
    mut submitted: mpsc::UnboundedReceiver<Submitted>,
    mut log: watch::Receiver<Log>,
) {
    while let Some((epoch, command, done)) = submitted.recv().await {
        if log.wait_for(|log| *log != Log::Stalls).await.is_err() {
            return;
        }
        let mode = *log.borrow();
        if cluster.owner(shard).1 != epoch {
            done(Err(SubmitError::NotProposed));
            continue;
        }
        let outcome = cluster.apply(shard, command);
        match mode {
            Log::LosesOwner(next) => {
                cluster.set_log(shard, Log::Works);
                cluster.set_owner(shard, Some(next));
                done(Err(SubmitError::Unknown("the answer was lost".into())));
            }
            Log::LosesAnswers => done(Err(SubmitError::Unknown("the answer was lost".into()))),
            _ => done(Ok(outcome)),
        }
    }
}

/// One node of the cluster.
#[derive(Clone)]
pub(crate) struct FakeNode {
    cluster: Cluster,
    identity: Identity,
    /// Shards of which it believes something else than the truth.
    believes: Arc<Mutex<HashMap<ShardId, (NodeId, Epoch)>>>,
    /// It has copies of the shards that it owns only, as most nodes of a large cluster.
    sparse: Arc<AtomicBool>,
}

impl FakeNode {
    pub(crate) fn id(&self) -> NodeId {
        self.identity.node
    }

    /// Lets the node believe that another one owns the shard, in an epoch before the present one.
    pub(crate) fn believe(&self, shard: ShardId, owner: NodeId) {
        let epoch = Epoch(self.cluster.owner(shard).1.get() - 1);
        self.believes.lock().insert(shard, (owner, epoch));
    }
}

impl FakeNode {
    /// Others reach the node by another gateway from now on.
    pub(crate) fn set_edge(&self, url: String, hub: Arc<Hub>) {
        let mut nodes = self.cluster.0.nodes.lock();
        let (identity, present) = &mut nodes[self.identity.node.0 as usize - 1];
        identity.client_url = url;
        *present = hub;
    }

    /// It has no copies of other nodes' shards from now on.
    pub(crate) fn make_sparse(&self) {
        self.sparse.store(true, Ordering::Release);
    }

    /// Lets the node see the truth again.
    pub(crate) fn forget(&self, shard: ShardId) {
        self.believes.lock().remove(&shard);
    }
}

impl Host for FakeNode {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn shards(&self) -> ShardCount {
        self.cluster.count()
    }

    fn route(&self, shard: ShardId) -> Route {
        if let Some((node, epoch)) = self.believes.lock().get(&shard).copied() {
            return Route::Elsewhere(Owner { shard, node, url: self.cluster.url(node), epoch });
        }
        let doubtful = self.cluster.shard(shard).state.lock().doubtful;
        match self.cluster.owner(shard) {
            (Some(node), epoch) if node == self.identity.node && doubtful => {
                Route::Electing(Tenure { shard, epoch })
            }
            (Some(node), epoch) if node == self.identity.node => {
                Route::Owned(Arc::new(FakeOwnership { cluster: self.cluster.clone(), node, shard, epoch }))
            }
            (Some(node), epoch) => {
                Route::Elsewhere(Owner { shard, node, url: self.cluster.url(node), epoch })
            }
            (None, epoch) => Route::Electing(Tenure { shard, epoch }),
        }
    }

    fn wait_route(&self, shard: ShardId, stale: Option<Epoch>, deadline: Instant) -> BoxFuture<'_, Route> {
        Box::pin(async move {
            let mut changed = self.cluster.0.changed.subscribe();
            loop {
                let route = self.route(shard);
                let fresh = match &route {
                    Route::Owned(owned) => stale.is_none_or(|stale| owned.epoch() > stale),
                    Route::Elsewhere(owner) => stale.is_none_or(|stale| owner.epoch > stale),
                    Route::Electing(_) => false,
                };
                if fresh || tokio::time::timeout_at(deadline.into(), changed.changed()).await.is_err() {
                    return route;
                }
            }
        })
    }

    fn learn_owner(&self, shard: ShardId, node: NodeId, epoch: Epoch) {
        let (owner, present) = self.cluster.owner(shard);
        assert!(epoch < present || (epoch == present && owner == Some(node)), "{node} was named for {shard}");
        // It learns the truth, as far as it is told something newer than it believes.
        let mut believes = self.believes.lock();
        if believes.get(&shard).is_some_and(|(_, believed)| epoch > *believed) {
            believes.remove(&shard);
        }
        drop(believes);
        self.cluster.0.changed.send_modify(|count| *count += 1);
    }

    fn local(&self, shard: ShardId) -> Option<LocalCopy> {
        let owns = self.cluster.owner(shard).0 == Some(self.identity.node);
        if !owns && self.sparse.load(Ordering::Acquire) {
            return None;
        }
        let state = self.cluster.shard(shard).state.lock();
        let applied = LogPosition { epoch: state.epoch, index: LogIndex(state.index) };
        let replica = ReplicaId(u64::from(self.identity.node.0));
        Some(LocalCopy { replica, applied: Some(applied), view: View::new(state.rows.clone()) })
    }

    fn map(&self) -> ClusterMap {
        let nodes: Vec<NodeId> =
            self.cluster.0.nodes.lock().iter().map(|(identity, _)| identity.node).collect();
        let node = |node: &NodeId| NodeEntry {
            node: *node,
            url: self.cluster.url(*node),
            peer: String::new(),
            admin: None,
            zone: None,
            weight: 1,
            state: NodeState::Active,
            votes: true,
            alive: true,
            load: None,
        };
        let shard = |shard| {
            let (owner, epoch) = self.cluster.owner(shard);
            let replica = |node: &NodeId| ReplicaEntry {
                node: *node,
                replica: ReplicaId(node.0.into()),
                lag: Some(0),
                quarantined: false,
            };
            let replicas = nodes.iter().map(replica).collect();
            ShardEntry { shard, owner, epoch, preferred: nodes[0], replicas, moving_to: None }
        };
        ClusterMap {
            cluster: self.cluster.0.id,
            shards: self.cluster.count().iter().map(shard).collect(),
            nodes: nodes.iter().map(node).collect(),
        }
    }

    fn locate<'a>(&'a self, room: &'a RoomName, deadline: Instant) -> Located<'a> {
        Box::pin(async move {
            let shard = room.hash_shard(self.cluster.count());
            let route = self.wait_route(shard, None, deadline).await;
            if matches!(route, Route::Electing(_)) {
                return Err(LocateError::NoOwner(shard));
            }
            Ok(self.cluster.located(room).unwrap_or(shard))
        })
    }

    fn place<'a>(&'a self, room: &'a RoomName, deadline: Instant) -> Located<'a> {
        Box::pin(async move {
            let found = self.locate(room, deadline).await?;
            let idle = self.cluster.0.idle.lock().filter(|idle| *idle != found);
            match (self.cluster.located(room), idle) {
                (None, Some(idle)) => {
                    self.cluster.forward(room.as_str(), idle);
                    Ok(idle)
                }
                _ => Ok(found),
            }
        })
    }

    fn ready(&self) -> Result<(), String> {
        let electing = self.cluster.count().iter().find(|shard| self.cluster.owner(*shard).0.is_none());
        electing.map_or(Ok(()), |shard| Err(format!("shard {} has no owner", shard.0)))
    }
}

struct FakeOwnership {
    cluster: Cluster,
    node: NodeId,
    shard: ShardId,
    epoch: Epoch,
}

impl Ownership for FakeOwnership {
    fn shard(&self) -> ShardId {
        self.shard
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn begun(&self) -> Instant {
        self.cluster.shard(self.shard).state.lock().begun
    }

    fn is_current(&self) -> bool {
        let doubtful = self.cluster.shard(self.shard).state.lock().doubtful;
        !doubtful && self.cluster.owner(self.shard) == (Some(self.node), self.epoch)
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        let (cluster, shard, mine) = (self.cluster.clone(), self.shard, (Some(self.node), self.epoch));
        Box::pin(async move {
            let mut changed = cluster.0.changed.subscribe();
            while cluster.owner(shard) == mine {
                changed.changed().await.unwrap();
            }
        })
    }

    fn submit(&self, command: Command, done: Completion) -> BoxFuture<'_, ()> {
        let queued = self.cluster.shard(self.shard).queue.send((self.epoch, command, done));
        assert!(queued.is_ok(), "the shard runs as long as the cluster");
        self.cluster.shard(self.shard).submissions.send_modify(|count| *count += 1);
        Box::pin(async {})
    }

    fn read(&self) -> BoxFuture<'_, Result<View, SubmitError>> {
        Box::pin(async { if self.is_current() { Ok(self.rows()) } else { Err(SubmitError::NotProposed) } })
    }

    fn view(&self) -> View {
        let view = self.rows();
        let next = self.cluster.shard(self.shard).state.lock().next_owner.take();
        if let Some(next) = next {
            self.cluster.set_owner(self.shard, next);
        }
        view
    }
}

impl FakeOwnership {
    fn rows(&self) -> View {
        View::new(self.cluster.shard(self.shard).state.lock().rows.clone())
    }
}
