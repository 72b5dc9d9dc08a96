//! Limits of clients that are asked for tokens.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{bearer, master, nodes_asking_within, nodes_with, now, open, scope, token_until};
use crate::common::{Client, config};
use crate::metrics::until;

#[tokio::test]
async fn sockets_are_counted_by_the_user_of_their_token_however_it_comes() {
    let mut settings = config();
    settings.max_connections_per_user = 2;
    let (_cluster, owner, other) = nodes_with(settings, Duration::from_secs(5)).await;
    let (ann, bob) = (master("ann"), master("bob"));
    for (node, path) in [(&owner, "/v1/ws"), (&other, "/v1/ws"), (&owner, "/v1/rooms/chat/ws")] {
        let before = node.scrape().value("limited_total{limit=\"user_connections\"}");
        let first = open(node, path, &ann).await;
        let mut second = node.client(path).await;
        // Whoever else it says to be.
        second.ok("hello", json!({ "user": "bob", "token": ann })).await;

        let by_header = Client::try_open(&node.url, path, &[("authorization", &bearer(&ann))]).await;
        assert_eq!(by_header.err().unwrap().status(), 429, "{path}");
        let mut by_hello = node.client(path).await;
        assert_eq!(by_hello.code("hello", json!({ "token": ann })).await, "rate_limited", "{path}");
        assert_eq!(by_hello.rest().await.2.0, Some(4504), "{path}");
        let offer = format!("roomkeeper.v1.json, roomkeeper.token.{ann}");
        let by_offer = Client::open(&node.url, path, &[("sec-websocket-protocol", &offer)]).await;
        let (_, replies, ended) = by_offer.rest().await;
        assert_eq!((&replies[0]["error"]["code"], ended.0), (&json!("rate_limited"), Some(4504)), "{path}");
        let limited = node.scrape().value("limited_total{limit=\"user_connections\"}");
        assert_eq!(limited - before, 3.0, "{path}");

        // A fresh token of the same user takes no further place.
        second.ok("hello", json!({ "token": master("ann") })).await;
        drop(open(node, path, &bob).await);
        drop(first);
        let patience = Instant::now() + Duration::from_secs(20);
        while Client::try_open(&node.url, path, &[("authorization", &bearer(&ann))]).await.is_err() {
            assert!(Instant::now() < patience, "a socket that has gone makes room");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(second);
        until(node, "connections{kind=\"session\"}", 0.0).await;
        until(node, "connections{kind=\"room\"}", 0.0).await;
    }
}

#[tokio::test]
async fn client_that_proves_nothing_in_time_is_counted_and_one_whose_token_runs_out_is_not() {
    let (_cluster, owner, _) = nodes_asking_within(Duration::from_millis(300)).await;
    for (count, path) in (1..).zip(["/v1/ws", "/v1/rooms/chat/ws"]) {
        let nobody = owner.client(path).await;
        let exp = now() + 2;
        let ann = open(&owner, path, &token_until("ann", scope("chat", &["subscribe"]), exp)).await;
        assert_eq!(nobody.rest().await.2.0, Some(4500), "{path}");
        until(&owner, "limited_total{limit=\"token_time\"}", f64::from(count)).await;
        assert_eq!(ann.rest().await.2.0, Some(4500), "{path}");
        until(&owner, "sockets_closed_total{code=\"4500\"}", f64::from(2 * count)).await;
        assert_eq!(owner.scrape().value("limited_total{limit=\"token_time\"}"), f64::from(count), "{path}");
    }
}
