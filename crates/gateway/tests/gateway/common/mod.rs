//! Gateways over a cluster in memory, and clients for them.

mod cluster;
mod gate;
mod rest;
mod scrape;
mod way;
mod ws;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use roomkeeper_auth::Vouching;
use roomkeeper_gateway::{Access, Drain, Gateway, GatewayConfig, Hub};
use roomkeeper_types::NodeId;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) use cluster::{Cluster, FakeNode, Log};
pub(crate) use gate::Gate;
pub(crate) use rest::Rest;
pub(crate) use scrape::Scrape;
pub(crate) use way::Way;
pub(crate) use ws::Client;

/// A node that serves.
pub(crate) struct Served {
    pub(crate) node: FakeNode,
    /// `http://127.0.0.1:port`.
    pub(crate) url: String,
    pub(crate) drain: Drain,
    registry: Registry,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Served {
    pub(crate) async fn start(cluster: &Cluster, config: GatewayConfig) -> Self {
        Self::guarded(cluster, config, Access::open()).await
    }

    /// One that asks its clients for what `access` says.
    pub(crate) async fn guarded(cluster: &Cluster, config: GatewayConfig, access: Access) -> Self {
        let (listener, url) = listen().await;
        let hub = Hub::new();
        let node = cluster.add_node(url.clone(), Arc::clone(&hub));
        Self::serve((listener, url), node.clone(), Gateway::new(node, hub, config, access))
    }

    /// Another gateway in place of a node's: it remembers nothing.
    pub(crate) async fn again(node: FakeNode) -> Self {
        let (listener, url) = listen().await;
        let hub = Hub::new();
        node.set_edge(url.clone(), Arc::clone(&hub));
        Self::serve((listener, url), node.clone(), Gateway::new(node, hub, config(), Access::open()))
    }

    fn serve((listener, url): (TcpListener, String), node: FakeNode, gateway: Gateway) -> Self {
        let (stop, stopped) = oneshot::channel();
        let drain = gateway.drain();
        let mut registry = Registry::default();
        gateway.register_metrics(&mut registry);
        let shutdown = async { stopped.await.unwrap_or_default() };
        let task = tokio::spawn(gateway.serve(listener, shutdown));
        Self { node, url, drain, registry, stop: Some(stop), task }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.node.id()
    }

    pub(crate) fn rest(&self) -> Rest {
        Rest::new(&self.url)
    }

    /// What its metrics are now.
    pub(crate) fn scrape(&self) -> Scrape {
        Scrape::of(&self.registry)
    }

    /// A socket at this path.
    pub(crate) async fn client(&self, path: &str) -> Client {
        Client::open(&self.url, path, &[]).await
    }

    /// A socket bound to this room.
    pub(crate) async fn room(&self, room: &str) -> Client {
        self.client(&format!("/v1/rooms/{room}/ws")).await
    }

    /// Stops it in good order.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        self.task.await.unwrap().unwrap();
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Settings with short waits, and for clients that read, and so answer pings, only when they are asked to.
pub(crate) fn config() -> GatewayConfig {
    GatewayConfig {
        hold: Duration::from_millis(700),
        ping_interval: Duration::from_secs(60),
        ..GatewayConfig::default()
    }
}

/// What nodes ask for that share a secret, by which they vouch for what they relay; clients are asked for nothing.
pub(crate) fn sharing_a_secret() -> Access {
    Access::open().with_vouching(Vouching::new("what nodes of these tests share").unwrap())
}

/// One node that owns everything.
pub(crate) async fn one_node() -> (Cluster, Served) {
    let cluster = Cluster::new(4);
    let served = Served::start(&cluster, config()).await;
    cluster.set_owner_of_all(served.id());
    (cluster, served)
}

/// Two nodes, of which the first owns everything.
pub(crate) async fn two_nodes() -> (Cluster, Served, Served) {
    let cluster = Cluster::new(4);
    let first = Served::start(&cluster, config()).await;
    let second = Served::start(&cluster, config()).await;
    cluster.set_owner_of_all(first.id());
    (cluster, first, second)
}

/// Three nodes, of which the first owns everything.
pub(crate) async fn three_nodes() -> (Cluster, [Served; 3]) {
    let (cluster, first, second) = two_nodes().await;
    let third = Served::start(&cluster, config()).await;
    (cluster, [first, second, third])
}

/// A fresh message id.
pub(crate) fn uuid() -> String {
    roomkeeper_types::MessageId::generate().to_string()
}

/// One node that owns everything, with these changes to its settings.
pub(crate) async fn one_node_with(change: impl FnOnce(&mut GatewayConfig)) -> (Cluster, Served) {
    let cluster = Cluster::new(4);
    let mut config = config();
    change(&mut config);
    let served = Served::start(&cluster, config).await;
    cluster.set_owner_of_all(served.id());
    (cluster, served)
}
