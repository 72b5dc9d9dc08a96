//! Accepting connections.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{AUTHORIZATION, CONNECTION, SEC_WEBSOCKET_PROTOCOL};
use ::http::{HeaderMap, HeaderValue, StatusCode};
use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::GatewayConfig;
use crate::draining::Drain;
use crate::edge::Edge;
use crate::host::Host;
use crate::http;
use crate::hub::Hub;
use crate::identity::Access;
use crate::limits::Meter;
use crate::metrics::{ConnectionKind, Limit};

/// Read buffer of a connection before it is a socket; also the longest head of a request.
const HTTP_BUFFER: usize = 64 << 10;
/// After a failed accept (no file descriptors left) nothing is accepted for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The client edge of a node.
pub struct Gateway {
    edge: Arc<Edge>,
}

impl Gateway {
    /// A gateway to the cluster that `host` is a node of. `hub` is the observer that the node was started with,
    /// `access` what clients are asked for.
    #[must_use]
    pub fn new(host: impl Host, hub: Arc<Hub>, config: GatewayConfig, access: Access) -> Self {
        Self { edge: Arc::new(Edge::new(Arc::new(host), hub, config, access)) }
    }

    /// The means to stop in good order.
    #[must_use]
    pub fn drain(&self) -> Drain {
        Drain::new(self.edge.clone())
    }

    /// Shows what the gateway counts in a registry, under `roomkeeper_gateway_…`.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.edge.metrics.register(&self.edge.hub.counts, registry);
    }

    /// `/healthz`, `/readyz` and `/v1/cluster` for the admin listener, where the binary adds its own paths.
    pub fn admin(&self) -> Router {
        http::admin(self.edge.clone())
    }

    /// Serves operators until `shutdown`: [`Gateway::admin`] and what the binary adds.
    ///
    /// # Errors
    /// The listener cannot be used.
    pub fn serve_admin<S>(
        &self,
        listener: TcpListener,
        added: Router,
        shutdown: S,
    ) -> impl Future<Output = io::Result<()>> + use<S>
    where
        S: Future<Output = ()> + Send + 'static,
    {
        let router = self.admin().merge(added);
        async move { axum::serve(listener, router).with_graceful_shutdown(shutdown).await }
    }

    /// Serves clients until `shutdown`, then closes their sockets with 4301 and waits for them, `drain_timeout`
    /// at most.
    ///
    /// # Errors
    /// The listener cannot be used.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Self { edge } = self;
        listener.local_addr()?;
        let fan_out = tokio::spawn({
            let edge = edge.clone();
            async move {
                // To the end of the last socket.
                tokio::select! {
                    () = edge.hub.run() => {}
                    () = edge.limiter.sweep() => {}
                    () = edge.tasks.wait() => {}
                }
            }
        });
        accept_until(&edge, &listener, shutdown).await;
        drop(listener);
        edge.stop.cancel();
        edge.tasks.close();
        if tokio::time::timeout(edge.config.drain_timeout, edge.tasks.wait()).await.is_err() {
            tracing::warn!(connections = edge.tasks.len(), "connections are cut off");
        }
        fan_out.abort();
        Ok(())
    }
}

async fn accept_until(edge: &Arc<Edge>, listener: &TcpListener, shutdown: impl Future<Output = ()>) {
    let router = http::client(edge.clone());
    let places = Arc::new(Semaphore::new(edge.config.max_connections));
    tokio::pin!(shutdown);
    loop {
        let accepted = async {
            // Who finds no place waits in the listener's backlog.
            if places.available_permits() == 0 {
                edge.metrics.limited(Limit::Connections);
            }
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut shutdown => return,
        };
        match (place, accepted) {
            (Ok(place), Ok((tcp, address))) => {
                let peer = Peer { address, meter: Arc::default(), _place: Arc::new(place) };
                edge.tasks.spawn(serve_connection(edge.clone(), tcp, peer, router.clone()));
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            // Never closed.
            (Err(_), _) => return,
        }
    }
}

/// A connection's other end, and its place among the connections.
#[derive(Clone)]
pub(crate) struct Peer {
    address: SocketAddr,
    /// What the connection has asked for, before it is a socket.
    meter: Arc<Meter>,
    _place: Arc<OwnedSemaphorePermit>,
}

impl Peer {
    /// The client's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its plain requests have had.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }
}

/// Whoever shows the headers of a request does not show what its client proves itself with.
fn hide_tokens(headers: &mut HeaderMap) {
    for (name, value) in headers.iter_mut() {
        if *name == AUTHORIZATION || *name == SEC_WEBSOCKET_PROTOCOL {
            value.set_sensitive(true);
        }
    }
}

async fn serve_connection(edge: Arc<Edge>, tcp: TcpStream, peer: Peer, router: Router) {
    let _open = edge.metrics.open(ConnectionKind::Http);
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it was served");
        return;
    }
    let service = TowerToHyperService::new(router);
    let answering = edge.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        hide_tokens(request.headers_mut());
        let (answer, edge) = (service.call(request), answering.clone());
        async move {
            let mut answer = answer.await?;
            // So that no request meets a connection that is just being closed.
            if edge.draining.has_begun() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(edge.config.head_timeout)
        .max_buf_size(HTTP_BUFFER)
        .serve_connection(TokioIo::new(tcp), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = edge.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        if error.is_timeout() {
            edge.metrics.limited(Limit::HeadTime);
        }
        tracing::debug!(%error, "a connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_in_headers_are_not_shown_by_debug() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer canary"));
        headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("roomkeeper.v1.json"));
        headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("roomkeeper.token.canary"));
        hide_tokens(&mut headers);
        assert!(!format!("{headers:?}").contains("canary"));
    }
}
