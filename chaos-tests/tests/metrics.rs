//! What a Prometheus server gets from the admin listener of a running node. The claims: every metric of
//! docs/operations.md is there, with a type and a help, and follows what happens; and what stands in `deploy/` asks for
//! nothing that is not there.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chaos_tests::cluster::Cluster;
use chaos_tests::probe::Http;
use serde_json::{Value, json};

async fn scrape(cluster: &Cluster) -> String {
    let url = format!("http://{}/metrics", cluster.addresses(0).admin);
    let response = reqwest::get(url).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    response.text().await.unwrap()
}

/// The same of a node that owns all it holds. One that was just started may know so before it serves them all.
async fn scrape_of_an_owner(cluster: &Cluster) -> String {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        let text = scrape(cluster).await;
        if value(&text, "roomkeeper_shards_owned") == value(&text, "roomkeeper_shards_held") {
            return text;
        }
        assert!(Instant::now() < patience, "{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
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
    let before = scrape_of_an_owner(&cluster).await;
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

/// The rules' text, and each query of the dashboard, with the file that it is in.
fn queries() -> Vec<(&'static str, String)> {
    let read = |file: &str| std::fs::read_to_string(format!("../{file}")).unwrap();
    let (rules, dashboard) = ("deploy/prometheus/roomkeeper.rules.yml", "deploy/grafana/roomkeeper.json");
    let mut queries = vec![(rules, read(rules))];
    let shown: Value = serde_json::from_str(&read(dashboard)).unwrap();
    for panel in shown["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push((dashboard, target["expr"].as_str().unwrap().to_owned()));
        }
    }
    let variables = shown["templating"]["list"].as_array().unwrap();
    queries.extend(variables.iter().filter_map(|list| Some((dashboard, list["query"].as_str()?.to_owned()))));
    queries
}

/// The values that a query asks for of a metric's labels: name of the label, value.
fn asked<'q>(query: &'q str, name: &str) -> Vec<(&'q str, &'q str)> {
    let opening = format!("{name}{{");
    let selectors = query.split(opening.as_str()).skip(1).filter_map(|rest| rest.split('}').next());
    let matchers = selectors.flat_map(|selector| selector.split(','));
    let asked = matchers.filter_map(|matcher| {
        let (label, values) = matcher.split_once("=~").or_else(|| matcher.split_once('='))?;
        // Another operator, or the dashboard's variable.
        (!label.ends_with('!') && !values.contains('$')).then(|| (label, values.trim_matches('"')))
    });
    asked.flat_map(|(label, values)| values.split('|').map(move |value| (label, value))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_and_dashboard_ask_for_what_a_node_shows() {
    let cluster = Cluster::start(1).await.unwrap();
    let text = scrape(&cluster).await;
    let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let shown: BTreeSet<&str> = samples.iter().filter_map(|line| line.split(['{', ' ']).next()).collect();
    let queries = queries();
    assert!(queries.len() > 30, "{} queries", queries.len());
    for (file, query) in &queries {
        let used = names(query);
        for name in &used {
            assert!(shown.contains(name.as_str()), "{file} asks for {name}, which no node shows");
            for (label, value) in asked(query, name) {
                // Codes of commands are shown once there was one.
                let is_shown = name == "roomkeeper_gateway_commands_total"
                    || samples.iter().any(|line| {
                        line.starts_with(&format!("{name}{{"))
                            && line.contains(&format!("{label}=\"{value}\""))
                    });
                assert!(is_shown, "{file} asks for {name} with {label} {value}, which no node shows");
            }
        }
    }
    // The dashboard shows everything there is.
    let dashboard: String = queries[1..].iter().map(|(_, query)| query.as_str()).collect();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        let is_asked = name == "roomkeeper_nodes" || dashboard.contains(name);
        assert!(is_asked, "{name} is on no panel");
    }
    let operations = std::fs::read_to_string("../docs/operations.md").unwrap();
    for file in [
        "deploy/prometheus/prometheus.yml",
        "deploy/prometheus/roomkeeper.rules.yml",
        "deploy/grafana/roomkeeper.json",
    ] {
        assert!(
            std::fs::exists(format!("../{file}")).unwrap() && operations.contains(file),
            "{file} is documented"
        );
    }
    for alert in queries[0].1.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(operations.contains(alert), "{alert} is documented");
    }
}
