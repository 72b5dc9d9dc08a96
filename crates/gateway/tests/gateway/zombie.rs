//! An owner whose time is up and that has not noticed, as after its process was stopped: it serves nothing.

use std::time::{Duration, Instant};

use roomkeeper_gateway::{GatewayConfig, Hub};
use roomkeeper_types::{NodeId, ShardId};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::common::{Cluster, Gate, Served, one_node, three_nodes, two_nodes, uuid};

/// Long enough for anything that would be served to be served.
const A_WHILE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn owner_in_doubt_pushes_nothing() {
    let (cluster, first, second) = two_nodes().await;
    let shard = cluster.shard_of("a");
    let mut subscriber = first.room("a").await;
    subscriber.ok("join", json!({})).await;
    assert_eq!(subscriber.publish(None, json!(1)).await, 1);
    assert_eq!(subscriber.offsets(1).await, [1]);
    // The new owner stores something that the old one applies too, before it learns what that means.
    cluster.set_doubtful(shard, true);
    cluster.append(shard, "a", json!(2));
    assert!(subscriber.is_quiet_for(A_WHILE).await);
    cluster.set_owner(shard, Some(second.id()));
    let (pushes, _, ended) = subscriber.rest().await;
    assert_eq!((pushes.len(), &pushes[0]["moved"]["node"], ended.0), (1, &json!(2), Some(4300)));
}

#[tokio::test]
async fn owner_that_was_held_up_for_a_moment_goes_on_without_a_gap() {
    let (cluster, node) = one_node().await;
    let shard = cluster.shard_of("a");
    let mut subscriber = node.room("a").await;
    subscriber.ok("join", json!({})).await;
    cluster.append(shard, "a", json!(1));
    cluster.set_doubtful(shard, true);
    cluster.append(shard, "a", json!(2));
    cluster.append(shard, "a", json!(3));
    cluster.set_doubtful(shard, false);
    assert_eq!(subscriber.offsets(3).await, [1, 2, 3]);
}

#[tokio::test]
async fn owner_in_doubt_answers_no_read_and_acks_nothing() {
    let (cluster, first, second) = two_nodes().await;
    let shard = cluster.shard_of("a");
    let mut socket = first.room("a").await;
    assert_eq!(socket.publish(None, json!(1)).await, 1);
    cluster.set_doubtful(shard, true);
    let publish = json!({ "messages": [{ "id": uuid(), "data": 2 }] });
    socket.send("publish", publish).await;
    let read = first.rest();
    let (read, ()) = tokio::join!(read.get("/v1/rooms/a/messages"), async {
        assert!(socket.push().await.unwrap()["moved"].is_object(), "it says so at once");
        cluster.set_owner(shard, Some(second.id()));
    });
    assert_eq!((read.status.as_u16(), read.header("location").starts_with(&second.url)), (307, true));
    let (_, replies, ended) = socket.rest().await;
    // Held here, stored there.
    assert_eq!((&replies[0]["ok"]["offsets"], ended.0), (&json!([2]), Some(4300)));
    assert_eq!(second.rest().get("/v1/rooms/a").await.body["next"], 3);
}

/// A node that accepts connections and says nothing, as one that is stopped, owns the shard.
async fn silent_owner(cluster: &Cluster, shard: ShardId) -> (NodeId, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let node = cluster.add_node(url, Hub::new()).id();
    let accepting = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(accepted) = listener.accept().await {
            held.push(accepted);
        }
    });
    cluster.set_owner(shard, Some(node));
    (node, accepting)
}

#[tokio::test]
async fn request_relayed_to_a_stopped_owner_goes_to_the_next_one() {
    let cluster = Cluster::new(4);
    // As long as in earnest: a takeover is waited for.
    let first = Served::start(&cluster, GatewayConfig::default()).await;
    let second = Served::start(&cluster, GatewayConfig::default()).await;
    let shard = cluster.shard_of("a");
    let (_, accepting) = silent_owner(&cluster, shard).await;
    let rest = first.rest();
    let publish = json!({ "messages": [{ "id": uuid(), "data": 1 }] });
    let begun = Instant::now();
    let publishing = rest.post("/v1/rooms/a/messages?route=proxy", publish);
    let (published, ()) = tokio::join!(publishing, async {
        tokio::time::sleep(A_WHILE).await;
        cluster.set_owner(shard, Some(second.id()));
    });
    assert_eq!((published.status.as_u16(), &published.body["offsets"]), (200, &json!([1])));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    accepting.abort();
}

#[tokio::test]
async fn session_through_a_node_whose_owner_stops_goes_on_at_the_next_one() {
    let cluster = Cluster::new(4);
    let first = Served::start(&cluster, GatewayConfig::default()).await;
    let second = Served::start(&cluster, GatewayConfig::default()).await;
    let shard = cluster.shard_of("a");
    let mut socket = first.client("/v1/ws").await;
    let (_, accepting) = silent_owner(&cluster, shard).await;
    let publish = json!({ "room": "a", "messages": [{ "id": uuid(), "data": 1 }] });
    let id = socket.send("publish", publish).await;
    tokio::time::sleep(A_WHILE).await;
    cluster.set_owner(shard, Some(second.id()));
    let reply = socket.reply().await;
    assert_eq!((&reply["id"], &reply["ok"]["offsets"]), (&json!(id), &json!([1])), "{reply}");
    accepting.abort();
}

/// The way to the owner was open before it stopped.
#[tokio::test]
async fn session_with_an_owner_that_stops_under_way_goes_on_at_the_next_one() {
    let (cluster, [first, second, third]) = three_nodes().await;
    let shard = cluster.shard_of("a");
    cluster.set_owner(shard, Some(second.id()));
    let gate = Gate::before(&second.url).await;
    cluster.set_url(second.id(), gate.url.clone());
    let mut socket = first.client("/v1/ws").await;
    assert_eq!(socket.publish(Some("a"), json!(1)).await, 1);
    gate.close();
    let mut sent = Vec::new();
    for n in 2..=4 {
        let publish = json!({ "room": "a", "messages": [{ "id": uuid(), "data": n }] });
        sent.push(socket.send("publish", publish).await);
    }
    // Its commands are answered in their order: by then the publishes are on their way.
    socket.ok("hello", json!({})).await;
    cluster.set_owner(shard, Some(third.id()));
    for (offset, id) in (2..).zip(sent) {
        let reply = socket.reply().await;
        assert_eq!((&reply["id"], &reply["ok"]["offsets"]), (&json!(id), &json!([offset])), "{reply}");
    }
}
