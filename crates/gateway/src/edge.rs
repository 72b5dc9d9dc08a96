//! What all requests and sockets of a gateway share.

use std::sync::Arc;

use roomkeeper_protocol::{Error, ErrorCode};
use roomkeeper_room::RowsError;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::GatewayConfig;
use crate::draining::Draining;
use crate::failure;
use crate::host::Host;
use crate::hub::Hub;
use crate::identity::{Access, Caller};
use crate::limits::Limiter;
use crate::metrics::Metrics;
use crate::relay::{HttpRelay, NodeLinks};
use crate::route::Whereabouts;

/// Reads of rows that may block at once. Bounds threads and the memory of pages on their way; further ones
/// queue up.
const READS_MAX: usize = 32;

/// What all requests and sockets of a gateway share.
pub(crate) struct Edge {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) config: GatewayConfig,
    pub(crate) metrics: Metrics,
    /// How much clients may ask for.
    pub(crate) limiter: Limiter,
    /// Who may do what.
    pub(crate) access: Arc<Access>,
    /// To other nodes.
    pub(crate) relay: HttpRelay,
    /// The rooms of other nodes that clients of this one are subscribed to.
    pub(crate) links: NodeLinks,
    /// Which shards hold which rooms.
    pub(crate) whereabouts: Arc<Whereabouts>,
    /// Everything that serves a client; waited for at the end.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the node stops.
    pub(crate) stop: CancellationToken,
    /// How far a planned stop has come.
    pub(crate) draining: Draining,
    reads: Semaphore,
}

impl Edge {
    pub(crate) fn new(host: Arc<dyn Host>, hub: Arc<Hub>, config: GatewayConfig, access: Access) -> Self {
        let access = Arc::new(access);
        let metrics = Metrics::default();
        metrics.connections_max.set(i64::try_from(config.max_connections).unwrap_or(i64::MAX));
        Self {
            limiter: Limiter::new(&config, metrics.limited.clone()),
            metrics,
            relay: HttpRelay::new(host.identity().node, access.clone()),
            links: NodeLinks::default(),
            whereabouts: Arc::new(Whereabouts::new(host.clone())),
            host,
            hub,
            config,
            access,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            draining: Draining::default(),
            reads: Semaphore::new(READS_MAX),
        }
    }

    /// Whether another node relays a request, and in whose name.
    pub(crate) fn caller(&self, parts: &http::request::Parts) -> Caller {
        Caller::of(&self.access, self.host.identity().node, parts)
    }

    /// Whether a node of the cluster vouches that it relays a request: then it keeps the limits of its client.
    pub(crate) fn is_vouched(&self, caller: &Caller) -> bool {
        self.access.vouches() && matches!(caller, Caller::Relay(_))
    }

    /// Reads rows where blocking is allowed.
    ///
    /// # Errors
    /// `internal`: the rows could not be read.
    pub(crate) async fn read_rows<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, RowsError> + Send + 'static,
    ) -> Result<T, Error> {
        let internal = |why: String| Error::new(ErrorCode::Internal, why);
        let _turn = self.reads.acquire().await.map_err(|error| internal(error.to_string()))?;
        match tokio::task::spawn_blocking(read).await {
            Ok(rows) => rows.map_err(|error| failure::unreadable(&error)),
            Err(error) => {
                tracing::error!(%error, "a read of rows did not end");
                Err(internal("the server could not read its rows".to_owned()))
            }
        }
    }
}
