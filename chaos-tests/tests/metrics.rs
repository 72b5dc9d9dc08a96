//! What a Prometheus server gets from the admin listener of a running node. The claim: every metric of
//! docs/operations.md is there, with a type and a help, and follows what happens.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use std::collections::BTreeSet;

use chaos_tests::cluster::Cluster;
use chaos_tests::probe::Http;
use serde_json::json;

async fn scrape(cluster: &Cluster) -> String {
    let url = format!("http://{}/metrics", cluster.addresses(0).admin);
    let response = reqwest::get(url).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    response.text().await.unwrap()
}

/// The value of a sample.
fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{sample} is not in\n{text}")).parse().unwrap()
}

/// Names of metrics that a text speaks of.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| word.starts_with("roomkeeper_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrape_of_a_node_has_every_documented_metric_and_follows_what_happens() {
    let cluster = Cluster::start(1).await.unwrap();
    let before = scrape(&cluster).await;
    let shown: BTreeSet<String> = before
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    let operations = std::fs::read_to_string("../docs/operations.md").unwrap();
    let table = operations.split_once("## Metrics").unwrap().1.split("\n## ").next().unwrap();
    assert_eq!(names(table), shown, "what is documented, and what is shown");

    assert_eq!(value(&before, "roomkeeper_ready"), 1.0);
    assert_eq!(value(&before, "roomkeeper_nodes_alive"), 1.0);
    assert_eq!(value(&before, "roomkeeper_shards_without_owner"), 0.0);
    let shards = value(&before, "roomkeeper_shards_owned");
    assert_eq!(value(&before, "roomkeeper_shards_held"), shards);
    assert!(value(&before, "roomkeeper_events_total{kind=\"election\"}") >= shards);
    assert!(value(&before, "process_resident_memory_bytes") > 1e6);

    let body = json!({ "messages": [{ "id": "01890a5d-ac96-774b-bcce-b302099a8057", "data": 1 }] });
    let http = Http::new(cluster.url(0)).unwrap();
    assert_eq!(http.post("/v1/rooms/a/messages", &body).await.unwrap().status, 200);
    let after = scrape(&cluster).await;
    for sample in [
        "roomkeeper_gateway_messages_published_total",
        "roomkeeper_gateway_commands_total{command=\"publish\",code=\"ok\"}",
        "roomkeeper_gateway_publish_duration_seconds_count",
    ] {
        assert_eq!((value(&before, sample), value(&after, sample)), (0.0, 1.0), "{sample}");
    }
    let syncs = "roomkeeper_log_sync_seconds_count";
    assert!(value(&after, syncs) > value(&before, syncs));
}
