//! What a node answers that does not own a room: the three routes of the contract, on real nodes.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use chaos_tests::cluster::Cluster;
use chaos_tests::probe::{End, Http, Socket, socket_url};
use chaos_tests::shared::SharedCluster;
use reqwest::Method;
use roomkeeper_types::{MessageId, RoomName};
use serde_json::{Value, json};

static CLUSTER: SharedCluster = SharedCluster::of(3);

/// A room with one message, the node that owns it and one that does not.
struct Placed {
    room: RoomName,
    owner: usize,
    other: usize,
}

fn one(data: Value) -> Value {
    json!({ "messages": [{ "id": MessageId::generate().to_string(), "data": data }] })
}

async fn placed(cluster: &Cluster, name: &str) -> Placed {
    let room: RoomName = name.parse().unwrap();
    let owner = cluster.owner_of(&room).await.unwrap();
    let other = cluster.other_than_owner_of(&room).await.unwrap();
    let published =
        Http::new(cluster.url(owner)).unwrap().post(&path(&room), &one(json!("first"))).await.unwrap();
    assert_eq!((published.status, &published.body["offsets"]), (200, &json!([1])), "{}", published.body);
    Placed { room, owner, other }
}

fn path(room: &RoomName) -> String {
    format!("/v1/rooms/{room}/messages")
}

fn socket_at(cluster: &Cluster, node: usize, room: &RoomName, query: &str) -> String {
    socket_url(&cluster.url(node), &format!("/v1/rooms/{room}/ws{query}"))
}

/// Joins from the beginning, publishes, and receives both messages.
async fn assert_publishes_and_receives(socket: &mut Socket, room: &RoomName) {
    let joined = socket.ok("join", json!({ "room": room, "from": "beginning" })).await.unwrap();
    assert_eq!((&joined["from"], &joined["next"]), (&json!(1), &json!(2)), "{joined}");
    let publish = json!({ "room": room, "messages": one(json!("second"))["messages"] });
    assert_eq!(socket.ok("publish", publish).await.unwrap()["offsets"], json!([2]));
    let items = socket.messages(room.as_str(), 2).await.unwrap();
    let seen: Vec<_> = items.iter().map(|item| (&item["offset"], &item["data"])).collect();
    assert_eq!(seen, [(&json!(1), &json!("first")), (&json!(2), &json!("second"))]);
}

#[test]
fn get_on_a_node_that_is_not_the_owner_is_redirected_and_can_be_followed() {
    CLUSTER.run(async |cluster| {
        let Placed { room, owner, other } = placed(cluster, "get").await;
        let http = Http::new(cluster.url(other)).unwrap();
        let answer = http.get(&format!("/v1/rooms/{room}")).await.unwrap();
        assert_eq!(answer.status, 307, "{answer:?}");
        let location = format!("{}/v1/rooms/{room}?hops=1", cluster.url(owner));
        assert_eq!(answer.header("location"), location);
        assert_eq!(answer.body["url"], cluster.url(owner));
        let followed = http.send(Method::GET, &location, "").await.unwrap();
        assert_eq!((followed.status, &followed.body["next"]), (200, &json!(2)), "{followed:?}");
        assert_eq!(followed.body["owner"], answer.body["owner"]);
        assert_eq!(followed.body["epoch"], answer.body["epoch"]);
        // The query goes along.
        let answer = http.get(&format!("{}?from=1&limit=5&hops=1", path(&room))).await.unwrap();
        let query = answer.header("location").split_once('?').unwrap().1;
        assert_eq!((answer.status, query), (307, "from=1&limit=5&hops=2"));
    });
}

#[test]
fn post_on_a_node_that_is_not_the_owner_is_redirected_and_stored_once_when_followed() {
    CLUSTER.run(async |cluster| {
        let Placed { room, other, .. } = placed(cluster, "post").await;
        let http = Http::new(cluster.url(other)).unwrap();
        let body = one(json!("second"));
        let answer = http.post(&path(&room), &body).await.unwrap();
        assert_eq!(answer.status, 307);
        let location = answer.header("location").to_owned();
        for duplicate in [false, true] {
            let followed = http.send(Method::POST, &location, body.to_string()).await.unwrap();
            assert_eq!(followed.body["offsets"], json!([2]), "{followed:?}");
            assert_eq!(followed.body["duplicates"], json!([duplicate]), "{followed:?}");
        }
    });
}

#[test]
fn get_redirected_too_often_or_from_a_browser_or_with_a_token_is_proxied() {
    CLUSTER.run(async |cluster| {
        let Placed { room, other, .. } = placed(cluster, "proxied").await;
        let http = Http::new(cluster.url(other)).unwrap();
        let plain = format!("/v1/rooms/{room}");
        let asked = [
            (http.clone(), format!("{plain}?hops=4"), 200),
            (http.clone(), format!("{plain}?hops=3"), 307),
            (http.clone(), format!("{plain}?route=proxy"), 200),
            (http.clone().with("origin", "https://example.org"), plain.clone(), 200),
            (http.clone().with("origin", "https://example.org"), format!("{plain}?route=redirect"), 307),
            (http.clone().with("authorization", "Bearer x"), plain.clone(), 200),
        ];
        for (http, path, status) in asked {
            let answer = http.get(&path).await.unwrap();
            assert_eq!(answer.status, status, "{path}: {answer:?}");
            assert!(status != 200 || answer.body["next"] == 2, "{path}: {answer:?}");
        }
        let answer = http.get(&format!("{plain}?route=teleport")).await.unwrap();
        assert_eq!((answer.status, answer.code()), (400, "bad_request"));
    });
}

#[test]
fn handshake_with_route_redirect_is_redirected_to_a_socket_that_works() {
    CLUSTER.run(async |cluster| {
        let Placed { room, owner, other } = placed(cluster, "ws-redirect").await;
        for query in ["", "?route=redirect"] {
            let refused = Socket::try_open(&socket_at(cluster, other, &room, query), &[]).await.unwrap();
            let refused = refused.map(drop).unwrap_err();
            assert_eq!(refused.status, 307);
            let separator = if query.is_empty() { "?" } else { "&" };
            let expected = socket_at(cluster, owner, &room, &format!("{query}{separator}hops=1"));
            assert_eq!(refused.location, expected);
        }
        let mut socket = Socket::open(&socket_at(cluster, owner, &room, "?hops=1"), &[]).await.unwrap();
        assert_publishes_and_receives(&mut socket, &room).await;
    });
}

#[test]
fn handshake_with_route_frame_or_an_origin_is_told_the_owner_in_one_push_and_closed() {
    CLUSTER.run(async |cluster| {
        let Placed { room, owner, other } = placed(cluster, "ws-frame").await;
        let browser = [("origin", "https://example.org")];
        for (query, headers) in [("?route=frame", &[][..]), ("", &browser[..])] {
            let mut socket = Socket::open(&socket_at(cluster, other, &room, query), headers).await.unwrap();
            let (frames, end) = socket.rest().await.unwrap();
            assert_eq!(frames.len(), 1, "{frames:?}");
            let redirect = &frames[0]["redirect"];
            assert_eq!((&redirect["room"], &redirect["url"]), (&json!(room), &json!(cluster.url(owner))));
            assert!(redirect["node"].is_u64() && redirect["epoch"].is_u64(), "{redirect}");
            assert!(redirect["retry_after_ms"].is_u64(), "{redirect}");
            assert_eq!(end, End::Code(4300));
        }
        let mut socket = Socket::open(&socket_at(cluster, owner, &room, ""), &browser).await.unwrap();
        assert_publishes_and_receives(&mut socket, &room).await;
    });
}

#[test]
fn handshake_with_route_proxy_publishes_and_receives_through_the_node() {
    CLUSTER.run(async |cluster| {
        let Placed { room, other, .. } = placed(cluster, "ws-proxy").await;
        let mut socket = Socket::open(&socket_at(cluster, other, &room, "?route=proxy"), &[]).await.unwrap();
        assert_publishes_and_receives(&mut socket, &room).await;
        // Each hop was one too many: relayed, whatever it asks for.
        let Placed { room, other, .. } = placed(cluster, "ws-hops").await;
        let mut socket = Socket::open(&socket_at(cluster, other, &room, "?hops=4"), &[]).await.unwrap();
        assert_publishes_and_receives(&mut socket, &room).await;
    });
}

#[test]
fn session_socket_with_rooms_of_every_node_publishes_and_receives_all() {
    CLUSTER.run(async |cluster| {
        let mut of_nodes: Vec<Option<RoomName>> = vec![None; cluster.size()];
        for n in 0..100 {
            let room: RoomName = format!("session-{n}").parse().unwrap();
            let owner = cluster.owner_of(&room).await.unwrap();
            of_nodes[owner].get_or_insert(room);
        }
        let rooms: Vec<RoomName> = of_nodes.into_iter().map(Option::unwrap).collect();
        for node in 0..cluster.size() {
            let mut socket = Socket::open(&socket_url(&cluster.url(node), "/v1/ws"), &[]).await.unwrap();
            let mut owners = Vec::new();
            for room in &rooms {
                let joined = socket.ok("join", json!({ "room": room, "from": "beginning" })).await.unwrap();
                owners.push(joined["owner"].as_u64().unwrap());
            }
            owners.sort_unstable();
            owners.dedup();
            assert_eq!(owners.len(), cluster.size(), "each room has another owner");
            for room in &rooms {
                let publish = json!({ "room": room, "messages": one(json!(node))["messages"] });
                let offsets = &socket.ok("publish", publish).await.unwrap()["offsets"];
                assert_eq!(*offsets, json!([node + 1]), "room {room} through node {node}");
            }
            for room in &rooms {
                let items = socket.messages(room.as_str(), node + 1).await.unwrap();
                let data: Vec<_> = items.iter().map(|item| item["data"].as_u64().unwrap()).collect();
                assert_eq!(data, (0..=node as u64).collect::<Vec<_>>(), "room {room} through node {node}");
            }
        }
    });
}

#[test]
fn replica_local_on_any_node_is_labelled_as_its_own_copy_and_equal_on_all() {
    CLUSTER.run(async |cluster| {
        let Placed { room, .. } = placed(cluster, "replica").await;
        let mut hashes = Vec::new();
        let mut nodes = Vec::new();
        for node in 0..cluster.size() {
            let http = Http::new(cluster.url(node)).unwrap();
            let path = format!("/v1/rooms/{room}?replica=local");
            // A follower applies a moment after the ack.
            let limit = tokio::time::Instant::now() + chaos_tests::probe::LIMIT;
            let answer = loop {
                let answer = http.get(&path).await.unwrap();
                if (answer.status == 200 && answer.body["next"] == 2) || tokio::time::Instant::now() > limit {
                    break answer;
                }
                tokio::task::yield_now().await;
            };
            assert_eq!(answer.status, 200, "{answer:?}");
            for field in ["node", "applied", "next"] {
                assert!(answer.body[field].is_u64(), "{field}: {}", answer.body);
            }
            nodes.push(answer.body["node"].as_u64().unwrap());
            hashes.push(answer.body["hash"].as_str().unwrap().to_owned());
        }
        nodes.sort_unstable();
        nodes.dedup();
        assert_eq!(nodes.len(), 3, "each names itself");
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
        let http = Http::new(cluster.url(0)).unwrap();
        let missing = http.get("/v1/rooms/nobody-made-it?replica=local").await.unwrap();
        assert_eq!((missing.status, missing.code()), (404, "not_found"));
    });
}

#[test]
fn health_and_service_map_on_every_node_agree() {
    CLUSTER.run(async |cluster| {
        let mut maps = Vec::new();
        for node in 0..cluster.size() {
            let http = Http::new(cluster.url(node)).unwrap();
            assert_eq!(http.get("/healthz").await.unwrap().status, 200);
            assert_eq!(http.get("/readyz").await.unwrap().status, 200);
            let map = cluster.map(node).await.unwrap();
            let mut urls: Vec<_> = map.nodes.iter().map(|node| node.url.clone()).collect();
            urls.sort();
            let mut expected = cluster.urls();
            expected.sort();
            assert_eq!(urls, expected);
            assert_eq!(map.shards.len(), 32);
            for shard in &map.shards {
                assert!(shard.owner.is_some() && shard.epoch.get() > 0, "{shard:?}");
                assert_eq!(shard.replicas.len(), 3, "{shard:?}");
            }
            let shards: Vec<_> =
                map.shards.iter().map(|shard| (shard.shard, shard.owner, shard.epoch)).collect();
            maps.push((map.cluster, shards));
        }
        assert!(maps.iter().all(|map| *map == maps[0]), "{maps:?}");
    });
}
