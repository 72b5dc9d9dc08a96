//! A node that is about to stop: clients are sent elsewhere, and served until they are gone.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{Client, two_nodes, uuid};

#[tokio::test]
async fn draining_node_is_not_ready_and_serves_on() {
    let (_cluster, first, _second) = two_nodes().await;
    assert_eq!(first.rest().get("/readyz").await.status, 200);
    first.drain.begin();
    let ready = first.rest().get("/readyz").await;
    assert_eq!((ready.status.as_u16(), &ready.body["reason"]), (503, &json!("draining")));
    assert_eq!(first.rest().get("/healthz").await.status, 200);
    let body = json!({ "messages": [{ "id": uuid(), "data": 1 }] });
    let published = first.rest().post("/v1/rooms/a/messages", body).await;
    assert_eq!((published.status.as_u16(), published.header("connection")), (200, "close"));
    assert_eq!(first.room("a").await.publish(None, json!(2)).await, 2);
}

#[tokio::test]
async fn rooms_of_a_draining_node_are_sent_to_their_new_owner() {
    let (cluster, first, second) = two_nodes().await;
    let mut socket = first.room("a").await;
    socket.ok("join", json!({})).await;
    first.drain.begin();
    cluster.set_owner_of_all(second.id());
    let (pushes, _, ended) = socket.rest().await;
    assert_eq!((&pushes[0]["moved"]["url"], ended.0), (&json!(second.url), Some(4300)));
    let redirected = first.rest().get("/v1/rooms/a").await;
    assert_eq!(redirected.status, 307);
}

/// Each at a time of its own, and nothing that was under way fails.
#[tokio::test]
async fn sockets_that_are_left_are_closed_one_after_the_other() {
    let (cluster, first, second) = two_nodes().await;
    let mut sockets = Vec::new();
    cluster.set_owner_of_all(second.id());
    for path in ["/v1/ws", "/v1/ws", "/v1/ws", "/v1/rooms/a/ws?route=proxy", "/v1/rooms/a/ws?route=proxy"] {
        sockets.push(first.client(path).await);
    }
    for socket in &mut sockets {
        socket.publish(Some("a"), json!("x")).await;
    }
    first.drain.begin();
    let begun = Instant::now();
    let ends = sockets.into_iter().map(|socket| async move {
        let (_, _, ended) = Client::rest(socket).await;
        assert_eq!(ended.0, Some(4301));
        Instant::now()
    });
    let ends = futures::future::join_all(ends);
    let (mut ends, ()) = tokio::join!(ends, first.drain.dismiss(Duration::from_secs(5)));
    ends.sort();
    assert!(ends[4] - ends[0] > Duration::from_millis(1), "all at once: {:?}", ends[4] - ends[0]);
    assert!(begun.elapsed() < Duration::from_secs(5));
    first.stop().await;
}

#[tokio::test]
async fn dismissal_takes_no_longer_than_asked() {
    let (_cluster, first, _second) = two_nodes().await;
    let socket = first.client("/v1/ws").await;
    first.drain.begin();
    first.drain.dismiss(Duration::ZERO).await;
    assert_eq!(socket.rest().await.2.0, Some(4301));
}
