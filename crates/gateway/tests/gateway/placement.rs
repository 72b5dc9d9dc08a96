//! Rooms that are not where their names hash to, by every way that leads to a room.

use std::time::Duration;

use http::{Method, StatusCode};
use roomkeeper_types::ShardId;
use serde_json::{Value, json};

use crate::common::{Client, Cluster, Log, Served, config, three_nodes, uuid};

const LEAST_LOADED: &str = r#"{"placement": "least_loaded"}"#;

/// Three nodes: the first owns the shard that `a` hashes to, the second the one with the least to do, the third
/// another one. Nobody has copies of what others own.
struct Site {
    cluster: Cluster,
    nodes: [Served; 3],
    hash: ShardId,
    idle: ShardId,
}

impl Site {
    async fn new() -> Self {
        let (cluster, nodes) = three_nodes().await;
        let hash = cluster.shard_of("a");
        let others: Vec<ShardId> = (0..4).map(ShardId).filter(|shard| *shard != hash).collect();
        // Epochs differ, so that what is said of one shard is not true of another by chance.
        cluster.set_owner(others[0], None);
        cluster.set_owner(others[0], Some(nodes[1].id()));
        cluster.set_owner(others[1], Some(nodes[2].id()));
        nodes.iter().for_each(|served| served.node.make_sparse());
        cluster.set_idle(others[0]);
        Self { cluster, nodes, hash, idle: others[0] }
    }

    /// With a forward for `a`, and no room yet: whoever made it was gone before the second step.
    async fn forwarded() -> Self {
        let site = Self::new().await;
        site.cluster.forward("a", site.idle);
        site
    }

    /// With `a` where there is the least to do, and no node that remembers.
    async fn placed() -> Self {
        let site = Self::forwarded().await;
        let created = site.nodes[1].rest().put("/v1/rooms/a").await;
        assert_eq!((created.status, &created.body["owner"]), (StatusCode::CREATED, &json!(2)));
        let nodes = site.nodes.map(|served| served.node);
        let mut fresh = Vec::new();
        for node in nodes {
            fresh.push(Served::again(node).await);
        }
        Self { nodes: fresh.try_into().ok().unwrap(), ..site }
    }
}

fn one(data: impl Into<Value>) -> Value {
    json!({ "messages": [{ "id": uuid(), "data": data.into() }] })
}

fn in_room(data: impl Into<Value>) -> Value {
    let mut publish = one(data);
    publish["room"] = "a".into();
    publish
}

#[tokio::test]
async fn create_with_placement_at_any_node_makes_the_room_where_there_is_the_least_to_do() {
    for entry in 0..3 {
        for route in ["", "?route=proxy"] {
            let site = Site::new().await;
            let rest = site.nodes[entry].rest();
            let (created, hops) =
                rest.follow(Method::PUT, &format!("/v1/rooms/a{route}"), LEAST_LOADED).await;
            assert_eq!((created.status, &created.body["owner"]), (StatusCode::CREATED, &json!(2)), "{entry}");
            assert_eq!(hops, u32::from(route.is_empty() && entry != 1), "{entry}");
            let again = rest.follow(Method::PUT, &format!("/v1/rooms/a{route}"), LEAST_LOADED).await.0;
            assert_eq!((again.status, again.code()), (StatusCode::CONFLICT, "already_exists"));
            let shown = site.nodes[1].rest().get("/v1/rooms/a").await.body;
            assert_eq!((&shown["shard"], &shown["placed"]), (&json!(site.idle), &json!(true)));
        }
    }
}

#[tokio::test]
async fn create_with_placement_of_a_room_that_is_there_is_refused() {
    let site = Site::new().await;
    site.nodes[0].rest().put("/v1/rooms/a").await;
    for node in &site.nodes {
        let (again, _) = node.rest().follow(Method::PUT, "/v1/rooms/a", LEAST_LOADED).await;
        assert_eq!((again.status, again.code()), (StatusCode::CONFLICT, "already_exists"));
        let mut socket = node.client("/v1/ws").await;
        let create = json!({ "room": "a", "placement": "least_loaded" });
        assert_eq!(socket.code("create", create).await, "already_exists");
    }
    let shown = site.nodes[0].rest().get("/v1/rooms/a").await.body;
    assert_eq!((&shown["shard"], &shown["placed"]), (&json!(site.hash), &json!(false)));
}

#[tokio::test]
async fn create_without_an_owner_of_the_hash_shard_is_unavailable() {
    let site = Site::new().await;
    site.cluster.set_owner(site.hash, None);
    let created = site.nodes[2].rest().send(Method::PUT, "/v1/rooms/a", LEAST_LOADED).await;
    assert_eq!((created.status, created.code()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
}

#[tokio::test]
async fn request_at_any_node_finds_the_room() {
    for entry in 0..3 {
        let site = Site::placed().await;
        let rest = site.nodes[entry].rest();
        let answer = rest.get("/v1/rooms/a?route=proxy").await;
        assert_eq!((answer.status, &answer.body["owner"]), (StatusCode::OK, &json!(2)), "{entry}");
        let site = Site::placed().await;
        let rest = site.nodes[entry].rest();
        let (published, hops) = rest.follow(Method::POST, "/v1/rooms/a/messages", &one(1).to_string()).await;
        assert_eq!((published.status, hops), (StatusCode::OK, u32::from(entry != 1)), "{published:?}");
        let (read, _) = rest.follow(Method::GET, "/v1/rooms/a/messages", "").await;
        assert_eq!(read.body["items"].as_array().map(Vec::len), Some(1));
        let (deleted, _) = rest.follow(Method::DELETE, "/v1/rooms/a", "").await;
        assert_eq!(deleted.status, StatusCode::OK);
        let (gone, _) = rest.follow(Method::GET, "/v1/rooms/a", "").await;
        assert_eq!((gone.status, gone.code()), (StatusCode::NOT_FOUND, "not_found"));
        let (gone, _) = rest.follow(Method::DELETE, "/v1/rooms/a", "").await;
        assert_eq!((gone.status, gone.code()), (StatusCode::NOT_FOUND, "not_found"));
        // Made again, it is where it was.
        let (again, _) = rest.follow(Method::PUT, "/v1/rooms/a", "").await;
        assert_eq!((again.status, &again.body["owner"]), (StatusCode::CREATED, &json!(2)));
    }
}

#[tokio::test]
async fn redirect_names_the_shard_of_a_room_that_was_placed() {
    let site = Site::placed().await;
    let (near, far) = (&site.nodes[1], &site.nodes[0]);
    let answer = far.rest().get("/v1/rooms/a").await;
    assert_eq!(answer.header("location"), format!("{}/v1/rooms/a?hops=1", near.url));
    assert_eq!((&answer.body["owner"], &answer.body["shard"]), (&json!(2), &json!(site.idle)));
    let misdirected = site.nodes[2].rest().with("roomkeeper-relay", 9).get("/v1/rooms/a").await;
    assert_eq!(misdirected.status, StatusCode::MISDIRECTED_REQUEST);
    let owner = &misdirected.body["owner"];
    assert_eq!((&owner["node"], &owner["shard"]), (&json!(2), &json!(site.idle)));
}

#[tokio::test]
async fn browser_is_sent_to_the_room_and_not_back() {
    let site = Site::placed().await;
    for entry in [0, 2] {
        let browser =
            Client::open(&site.nodes[entry].url, "/v1/rooms/a/ws", &[("origin", "http://console")]).await;
        let (pushes, _, ended) = browser.rest().await;
        let redirect = &pushes[0]["redirect"];
        assert_eq!((&redirect["node"], &redirect["shard"]), (&json!(2), &json!(site.idle)));
        assert_eq!((&redirect["url"], ended.0), (&json!(site.nodes[1].url), Some(4300)));
    }
    let mut browser =
        Client::open(&site.nodes[1].url, "/v1/rooms/a/ws", &[("origin", "http://console")]).await;
    assert_eq!(browser.ok("join", json!({})).await["owner"], 2);
}

#[tokio::test]
async fn room_socket_through_any_node_is_served() {
    for entry in 0..3 {
        let site = Site::placed().await;
        let mut socket = site.nodes[entry].client("/v1/rooms/a/ws?route=proxy").await;
        assert_eq!(socket.ok("join", json!({})).await["owner"], 2);
        socket.pipeline(None, 50).await;
        assert!(socket.offsets(50).await.into_iter().eq(1..=50));
        site.cluster.set_owner(site.idle, Some(site.nodes[2].id()));
        let moved = socket.push().await.unwrap();
        assert_eq!((&moved["moved"]["node"], &moved["moved"]["shard"]), (&json!(3), &json!(site.idle)));
    }
}

#[tokio::test]
async fn session_socket_at_any_node_serves_the_room_from_its_creation_to_its_end() {
    for entry in 0..3 {
        let site = Site::new().await;
        let mut socket = site.nodes[entry].client("/v1/ws").await;
        let create = json!({ "room": "a", "placement": "least_loaded" });
        assert_eq!(socket.ok("create", create.clone()).await["owner"], 2, "{entry}");
        assert_eq!(socket.code("create", create).await, "already_exists");
        assert_eq!(socket.ok("join", json!({ "room": "a" })).await["owner"], 2);
        socket.pipeline(Some("a"), 50).await;
        assert!(socket.offsets(50).await.into_iter().eq(1..=50));
        let history = socket.ok("history", json!({ "room": "a", "from": { "offset": 49 } })).await;
        assert_eq!(history["next"], 51);
        site.cluster.set_owner(site.idle, Some(site.nodes[0].id()));
        let moved = socket.push().await.unwrap();
        assert_eq!((&moved["moved"]["node"], &moved["moved"]["shard"]), (&json!(1), &json!(site.idle)));
        assert_eq!(socket.publish(Some("a"), json!("more")).await, 51);
        socket.ok("delete", json!({ "room": "a" })).await;
        assert_eq!(socket.code("history", json!({ "room": "a", "from": "beginning" })).await, "not_found");
        assert!(socket.rest_is_quiet().await);
    }
}

/// The room socket was opened before anybody knew.
#[tokio::test]
async fn create_with_placement_on_a_room_socket_is_answered_and_the_socket_moves() {
    let site = Site::new().await;
    let mut socket = site.nodes[0].room("a").await;
    let created = socket.ok("create", json!({ "placement": "least_loaded" })).await;
    assert_eq!(created["owner"], 2);
    assert!(socket.no_push_yet(), "an SDK that hears of a move asks again, and the room would be there");
    let (pushes, replies, ended) = socket.rest().await;
    let moved = &pushes[0]["moved"];
    assert_eq!((&moved["node"], &moved["shard"]), (&json!(2), &json!(site.idle)));
    assert_eq!((pushes.len(), replies.len(), ended.0), (1, 0, Some(4300)));
}

#[tokio::test]
async fn forward_without_a_room_leads_to_where_the_room_is_made() {
    for entry in 0..3 {
        let site = Site::forwarded().await;
        let (absent, _) = site.nodes[entry].rest().follow(Method::GET, "/v1/rooms/a", "").await;
        assert_eq!((absent.status, absent.code()), (StatusCode::NOT_FOUND, "not_found"));
        let mut socket = site.nodes[entry].client("/v1/ws").await;
        assert_eq!(socket.ok("join", json!({ "room": "a" })).await["owner"], 2);

        let site = Site::forwarded().await;
        let mut socket = site.nodes[entry].client("/v1/ws").await;
        assert_eq!(socket.publish(Some("a"), json!(1)).await, 1);
        assert_eq!(site.nodes[1].rest().get("/v1/rooms/a").await.body["placed"], true);

        let site = Site::forwarded().await;
        let (published, _) =
            site.nodes[entry].rest().follow(Method::POST, "/v1/rooms/a/messages", &one(1).to_string()).await;
        assert_eq!(published.status, StatusCode::OK);

        for body in [LEAST_LOADED, ""] {
            let site = Site::forwarded().await;
            let (created, _) = site.nodes[entry].rest().follow(Method::PUT, "/v1/rooms/a", body).await;
            assert_eq!((created.status, &created.body["owner"]), (StatusCode::CREATED, &json!(2)));
        }
    }
}

/// A room that is not there is opened at its hash shard, then somebody else has it placed.
#[tokio::test]
async fn publishes_to_a_room_that_is_placed_meanwhile_go_there_in_order() {
    for path in ["/v1/rooms/a/ws", "/v1/ws"] {
        for entry in [0, 2] {
            let site = Site::new().await;
            let route = if path.ends_with("a/ws") { "?route=proxy" } else { "" };
            let mut socket = site.nodes[entry].client(&format!("{path}{route}")).await;
            let reading = json!({ "room": "a", "from": "beginning" });
            assert_eq!(socket.code("history", reading.clone()).await, "not_found");
            site.cluster.set_log(site.hash, Log::Stalls);
            let before = site.cluster.submissions(site.hash);
            for n in 1..=5 {
                socket.send("publish", in_room(n)).await;
            }
            site.cluster.submitted(site.hash, before + 5).await;
            site.cluster.forward("a", site.idle);
            site.cluster.set_log(site.hash, Log::Works);
            for n in 1..=5 {
                assert_eq!(socket.reply().await["ok"]["offsets"], json!([n]), "{path} at {entry}");
            }
            let items = site.nodes[1].rest().get("/v1/rooms/a/messages").await.body["items"].take();
            let data: Vec<_> = items.as_array().unwrap().iter().map(|item| item["data"].clone()).collect();
            assert_eq!(data, [1, 2, 3, 4, 5], "{path} at {entry}");
            if path == "/v1/ws" {
                assert_eq!(socket.ok("history", reading).await["next"], 6);
            }
        }
    }
}

/// The same for what is no publish.
#[tokio::test]
async fn commands_on_a_room_that_was_placed_meanwhile_go_there() {
    let place = async |site: &Site| {
        let created = site.nodes[1].rest().send(Method::PUT, "/v1/rooms/a", LEAST_LOADED).await;
        assert_eq!(created.status, StatusCode::CREATED);
    };
    let reading = json!({ "room": "a", "from": "beginning" });
    let asked: [(&str, Value); 4] = [
        ("join", json!({ "room": "a" })),
        ("history", reading.clone()),
        ("publish", in_room(1)),
        ("delete", json!({ "room": "a" })),
    ];
    for (command, fields) in asked {
        let site = Site::new().await;
        let mut socket = site.nodes[0].client("/v1/ws").await;
        assert_eq!(socket.code("history", reading.clone()).await, "not_found");
        place(&site).await;
        socket.ok(command, fields).await;
        let now = json!({ "room": "a" });
        let create = socket.call("create", now).await;
        assert_eq!(create.is_ok(), command == "delete", "{command}: {create:?}");
    }
}

#[tokio::test]
async fn list_has_rooms_that_were_placed_once_with_their_first_page() {
    let site = Site::placed().await;
    let near = site.nodes[1].rest();
    near.post("/v1/rooms/a/messages", one("first")).await;
    near.post("/v1/rooms/a/messages", one("second")).await;
    site.nodes[0].client("/v1/ws").await.publish(Some("b"), json!(1)).await;
    for node in &site.nodes {
        let listed = node.rest().get("/v1/rooms?page=1").await.body;
        let rooms = listed["rooms"].as_array().unwrap();
        assert_eq!(rooms.len(), 2, "{listed}");
        let placed = &rooms[0];
        assert_eq!((&placed["room"], &placed["owner"]), (&json!("a"), &json!(2)));
        assert_eq!((&placed["messages"], &placed["items"][0]["data"]), (&json!(2), &json!("first")));
        assert_eq!(placed["items"].as_array().unwrap().len(), 1);
    }
}

/// A copy of the hash shard is enough, as forwards stay.
#[tokio::test]
async fn room_is_found_without_an_owner_of_its_hash_shard() {
    let (cluster, nodes) = three_nodes().await;
    let hash = cluster.shard_of("a");
    let idle = (0..4).map(ShardId).find(|shard| *shard != hash).unwrap();
    cluster.set_owner(idle, Some(nodes[1].id()));
    cluster.forward("a", idle);
    cluster.set_owner(hash, None);
    let fresh = Served::start(&cluster, config()).await;
    for node in nodes.iter().chain([&fresh]) {
        let mut socket = node.client("/v1/ws").await;
        assert_eq!(socket.ok("join", json!({ "room": "a" })).await["owner"], 2);
    }
}

/// What a node said of a former owner of the room's shard is no word on its hash shard.
#[tokio::test]
async fn relay_with_a_stale_owner_of_a_placed_room_learns_the_present_one() {
    let site = Site::placed().await;
    let relay = &site.nodes[2];
    assert_eq!(relay.rest().get("/v1/rooms/a?route=proxy").await.body["owner"], 2);
    for path in ["/v1/rooms/a/ws?route=proxy", "/v1/ws"] {
        relay.node.believe(site.idle, site.nodes[0].id());
        let mut socket = relay.client(path).await;
        assert_eq!(socket.ok("join", json!({ "room": "a" })).await["owner"], 2, "{path}");
        socket.publish(Some("a"), json!(1)).await;
        relay.node.forget(site.idle);
    }
    relay.node.believe(site.idle, site.nodes[0].id());
    let shown = relay.rest().get("/v1/rooms/a?route=proxy").await;
    assert_eq!((shown.status, &shown.body["owner"]), (StatusCode::OK, &json!(2)));
}

/// Two nodes that each do not know better would send a client to and fro: the one that the room is at asks.
#[tokio::test]
async fn node_that_cannot_ask_sends_the_client_to_the_hash_shards_owner() {
    let site = Site::placed().await;
    site.cluster.set_owner(site.hash, None);
    let held = site.nodes[1].rest().get("/v1/rooms/a").await;
    assert_eq!((held.status, held.code()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    let near = site.nodes[1].rest();
    let (shown, ()) = tokio::join!(near.get("/v1/rooms/a"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        site.cluster.set_owner(site.hash, Some(site.nodes[2].id()));
    });
    assert_eq!((shown.status, &shown.body["owner"]), (StatusCode::OK, &json!(2)));
}
