//! `/metrics`: what this node counts, in the Prometheus text format. The names of all metrics but the gateway's stand
//! here.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use roomkeeper_cluster::{Counts, Node, SyncTimes};

use crate::process;

/// The metrics of a node; the gateway's are to be added by itself.
pub(crate) fn registry(node: Node) -> Registry {
    let mut registry = Registry::default();
    let source = move || (node.counts(), node.ready().is_ok());
    registry.sub_registry_with_prefix("roomkeeper").register_collector(Box::new(OfNode(source)));
    registry.register_collector(Box::new(OfProcess));
    registry
}

/// `GET /metrics`.
pub(crate) fn router(registry: Registry) -> Router {
    Router::new().route("/metrics", get(show)).with_state(Arc::new(registry))
}

async fn show(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match prometheus_text::encode(&mut text, &registry) {
        Ok(()) => {
            let kind = HeaderValue::from_static(prometheus_text::CONTENT_TYPE);
            ([(CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Metrics that are asked for when they are shown.
struct OfNode<F>(F);

impl<F> fmt::Debug for OfNode<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfNode")
    }
}

impl<F: Fn() -> (Counts, bool) + Send + Sync + 'static> Collector for OfNode<F> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (counts, ready) = (self.0)();
        show_node(&counts, ready, encoder)
    }
}

fn show_node(counts: &Counts, ready: bool, encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let mut show = Show(encoder);
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    show.0.encode_descriptor("build", "This build", None, MetricType::Info)?.encode_info(&version)?;
    show.gauge("ready", "1: a quorum is there and the owners of all shards are known", u64::from(ready))?;
    show.gauge("shards_owned", "Shards that this node owns", counts.shards_owned as u64)?;
    show.gauge("shards_held", "Shards of which this node has a replica", counts.shards_held as u64)?;
    let help = "Shards of which this node knows no owner";
    show.gauge("shards_without_owner", help, counts.shards_without_owner as u64)?;
    let help = "Times that this node heard of a higher epoch of a shard";
    show.counter("epoch_changes", help, counts.epoch_changes)?;
    let help = "What happened to ownership and replicas, as this node saw it";
    let mut events = show.0.encode_descriptor("events", help, None, MetricType::Counter)?;
    for (kind, count) in &counts.events {
        events.encode_family(&[("kind", kind.name())])?.encode_counter::<NoLabelSet, _, u64>(count, None)?;
    }
    let help = "Entries of its log that the replica here which is furthest behind has not applied";
    show.gauge("apply_lag_entries_max", help, counts.apply_lag_max)?;
    let help = "Entries that the replica elsewhere which is furthest behind misses, of shards owned here";
    show.gauge("replication_lag_entries_max", help, counts.replication_lag_max)?;
    let help = "Memory that holds rows which are not on disk yet; 0: all are";
    show.bytes("unflushed", help, counts.unflushed_bytes)?;
    show.gauge("nodes", "Nodes of the cluster", counts.nodes as u64)?;
    let help = "Nodes that were heard within the last 3 s, this one included";
    show.gauge("nodes_alive", help, counts.nodes_alive as u64)?;
    let help = "1: writes are refused, as the disk is full";
    show.gauge("disk_full", help, u64::from(counts.disk_full))?;
    let help = "How long the write that the raft log's disk is in has taken so far";
    show.0
        .encode_descriptor("log_sync_stalled", help, Some(&Unit::Seconds), MetricType::Gauge)?
        .encode_gauge(&counts.sync_stalled_seconds)?;
    show.syncs(&counts.syncs)
}

/// Writes metrics one by one.
struct Show<'a>(DescriptorEncoder<'a>);

impl Show<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn bytes(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Gauge)?;
        encoder.encode_gauge(&value)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn syncs(&mut self, times: &SyncTimes) -> fmt::Result {
        let help = "Time that a synced write of the raft log took";
        let ends = SyncTimes::BOUNDS.iter().map(std::time::Duration::as_secs_f64).chain([f64::INFINITY]);
        let buckets: Vec<_> = ends.zip(times.counts).collect();
        self.0
            .encode_descriptor("log_sync", help, Some(&Unit::Seconds), MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(times.sum.as_secs_f64(), times.count(), &buckets, None)
    }
}

/// The process, under the names that Prometheus' own libraries give.
#[derive(Debug)]
struct OfProcess;

impl Collector for OfProcess {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut show = Show(encoder);
        if let Some(bytes) = process::resident_bytes() {
            show.bytes("process_resident_memory", "Memory in use", bytes)?;
        }
        if let Some(files) = process::open_files() {
            show.gauge("process_open_fds", "Open file descriptors", files)?;
        }
        if let Some(time) = process::cpu_time() {
            let (help, unit) =
                ("Time that it ran on a core, in its own code and in the system's", Unit::Seconds);
            let mut encoder =
                show.0.encode_descriptor("process_cpu", help, Some(&unit), MetricType::Counter)?;
            encoder.encode_counter::<NoLabelSet, _, u64>(&time.as_secs_f64(), None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use roomkeeper_cluster::EventKind;

    use super::*;

    fn counts() -> Counts {
        let mut syncs = SyncTimes::default();
        syncs.counts[3] = 7;
        Counts {
            shards_owned: 11,
            shards_held: 32,
            shards_without_owner: 2,
            epoch_changes: 40,
            events: EventKind::ALL.into_iter().zip(1..).collect(),
            apply_lag_max: 5,
            replication_lag_max: 6,
            unflushed_bytes: 4096,
            nodes: 3,
            nodes_alive: 2,
            disk_full: true,
            syncs,
            sync_stalled_seconds: 0.5,
        }
    }

    #[test]
    fn metrics_of_a_node_are_shown_with_their_values() {
        let mut registry = Registry::default();
        let source = || (counts(), true);
        registry.sub_registry_with_prefix("roomkeeper").register_collector(Box::new(OfNode(source)));
        registry.register_collector(Box::new(OfProcess));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry).unwrap();
        for line in [
            concat!("roomkeeper_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "roomkeeper_ready 1",
            "roomkeeper_shards_owned 11",
            "roomkeeper_shards_held 32",
            "roomkeeper_shards_without_owner 2",
            "roomkeeper_epoch_changes_total 40",
            "roomkeeper_events_total{kind=\"election\"} 1",
            "roomkeeper_events_total{kind=\"membership\"} 9",
            "roomkeeper_apply_lag_entries_max 5",
            "roomkeeper_replication_lag_entries_max 6",
            "roomkeeper_unflushed_bytes 4096",
            "roomkeeper_nodes 3",
            "roomkeeper_nodes_alive 2",
            "roomkeeper_disk_full 1",
            "roomkeeper_log_sync_stalled_seconds 0.5",
            "roomkeeper_log_sync_seconds_bucket{le=\"0.0005\"} 0",
            "roomkeeper_log_sync_seconds_bucket{le=\"0.001\"} 7",
            "roomkeeper_log_sync_seconds_count 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        for name in ["process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"] {
            assert!(text.contains(&format!("\n{name} ")), "{name} is not in\n{text}");
        }
    }
}
