//! Plain HTTP on a node that owns everything.

use http::{Method, StatusCode};
use serde_json::json;

use crate::common::{one_node, two_nodes, uuid};

#[tokio::test]
async fn room_is_created_shown_and_deleted() {
    let (_cluster, node) = one_node().await;
    let rest = node.rest();
    assert_eq!(rest.get("/v1/rooms/a").await.code(), "not_found");
    let created = rest.put("/v1/rooms/a").await;
    assert_eq!((created.status, &created.body["owner"]), (StatusCode::CREATED, &json!(1)));
    let again = rest.put("/v1/rooms/a").await;
    assert_eq!((again.status, again.code()), (StatusCode::CONFLICT, "already_exists"));
    let shown = rest.get("/v1/rooms/a").await.body;
    assert_eq!((&shown["first"], &shown["next"], &shown["messages"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!(shown["replicas"], json!([{ "node": 1, "lag": 0 }]));
    assert_eq!(shown["life"], created.body["life"]);
    assert_eq!(rest.delete("/v1/rooms/a").await.status, StatusCode::OK);
    assert_eq!(rest.delete("/v1/rooms/a").await.code(), "not_found");
}

#[tokio::test]
async fn messages_are_published_and_read() {
    let (_cluster, node) = one_node().await;
    let rest = node.rest().with("roomkeeper-user", "ann");
    let body = json!({ "messages": [{ "id": uuid(), "data": { "n": 1 } }, { "id": uuid(), "data": "two" }] });
    let published = rest.post("/v1/rooms/a/messages", body).await;
    assert_eq!((published.status, &published.body["offsets"]), (StatusCode::OK, &json!([1, 2])));
    let read = rest.get("/v1/rooms/a/messages").await.body;
    assert_eq!((&read["items"][0]["data"], &read["items"][0]["from"]), (&json!({ "n": 1 }), &json!("ann")));
    assert_eq!(read["next"], 3);
    let part = rest.get("/v1/rooms/a/messages?from=2&to=9").await.body;
    assert_eq!((part["items"].as_array().unwrap().len(), &part["items"][0]["offset"]), (1, &json!(2)));
    let limited = rest.get("/v1/rooms/a/messages?limit=1").await.body;
    assert_eq!((limited["items"].as_array().unwrap().len(), &limited["next"]), (1, &json!(2)));
    assert_eq!(rest.get("/v1/rooms/a/messages?from=4").await.code(), "bad_request");
}

#[tokio::test]
async fn former_life_in_a_query_is_recreated() {
    let (_cluster, node) = one_node().await;
    let rest = node.rest();
    let life = rest.put("/v1/rooms/a").await.body["life"].as_str().unwrap().to_owned();
    rest.delete("/v1/rooms/a").await;
    rest.put("/v1/rooms/a").await;
    let body = json!({ "messages": [{ "id": uuid(), "data": 1 }] });
    for answer in [
        rest.get(&format!("/v1/rooms/a?life={life}")).await,
        rest.get(&format!("/v1/rooms/a/messages?life={life}")).await,
        rest.delete(&format!("/v1/rooms/a?life={life}")).await,
        rest.post(&format!("/v1/rooms/a/messages?life={life}"), body).await,
    ] {
        assert_eq!((answer.status, answer.code()), (StatusCode::CONFLICT, "recreated"));
    }
}

#[tokio::test]
async fn local_copy_has_the_same_hash_on_every_node() {
    let (_cluster, first, second) = two_nodes().await;
    let body = json!({ "messages": [{ "id": uuid(), "data": 1 }] });
    first.rest().post("/v1/rooms/a/messages", body).await;
    let copies = [
        first.rest().get("/v1/rooms/a?replica=local").await.body,
        second.rest().get("/v1/rooms/a?replica=local").await.body,
    ];
    assert_eq!(copies[0]["hash"], copies[1]["hash"]);
    assert_eq!(copies[0]["hash"].as_str().unwrap().len(), 64);
    assert_eq!((&copies[1]["node"], &copies[1]["next"]), (&json!(2), &json!(2)));
    assert_eq!(copies[1]["source"], "local copy");
    assert_eq!(second.rest().get("/v1/rooms/b?replica=local").await.code(), "not_found");
    assert_eq!(second.rest().get("/v1/rooms/b?replica=other").await.code(), "bad_request");
}

#[tokio::test]
async fn list_from_any_node_has_the_rooms_of_all_owners_in_order() {
    let (cluster, first, second) = two_nodes().await;
    let names: Vec<String> = (0..25).map(|n| format!("room-{n:02}")).collect();
    for name in &names {
        assert_eq!(first.rest().put(&format!("/v1/rooms/{name}")).await.status, StatusCode::CREATED);
    }
    first.rest().put("/v1/rooms/other").await;
    for shard in ["room-00", "room-01"].map(|name| cluster.shard_of(name)) {
        cluster.set_owner(shard, Some(second.id()));
    }
    for node in [&first, &second] {
        let mut listed = Vec::new();
        let mut after = String::new();
        loop {
            let page = node.rest().get(&format!("/v1/rooms?prefix=room-&limit=10&after={after}")).await.body;
            let rooms = page["rooms"].as_array().unwrap().clone();
            assert!(rooms.len() <= 10);
            listed.extend(rooms.iter().map(|room| room["room"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => after = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(listed, names);
    }
}

#[tokio::test]
async fn list_with_a_page_shows_first_messages_and_the_owner() {
    let (_cluster, node) = one_node().await;
    let messages: Vec<_> = (1..=3).map(|n| json!({ "id": uuid(), "data": n })).collect();
    node.rest().post("/v1/rooms/a/messages", json!({ "messages": messages })).await;
    let room = node.rest().get("/v1/rooms?page=2").await.body["rooms"][0].clone();
    assert_eq!((&room["room"], &room["owner"], &room["messages"]), (&json!("a"), &json!(1), &json!(3)));
    assert_eq!(room["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn list_without_an_owner_of_a_shard_is_unavailable() {
    let (cluster, node) = one_node().await;
    cluster.set_owner(cluster.shard_of("a"), None);
    let answer = node.rest().get("/v1/rooms").await;
    assert_eq!((answer.status, answer.code()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
}

#[tokio::test]
async fn health_and_map_tell_the_state_of_the_cluster() {
    let (cluster, node) = one_node().await;
    let rest = node.rest();
    assert_eq!(rest.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(rest.get("/readyz").await.status, StatusCode::OK);
    let map = rest.get("/v1/cluster").await.body;
    assert_eq!(map["nodes"][0]["url"], node.url);
    assert_eq!(map["shards"][0]["owner"], 1);
    cluster.set_owner(cluster.shard_of("a"), None);
    assert_eq!(rest.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(rest.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn request_that_makes_no_sense_has_a_json_error() {
    let (_cluster, node) = one_node().await;
    let rest = node.rest();
    let publish = |messages| json!({ "messages": messages }).to_string();
    let long = publish(json!([{ "id": uuid(), "data": "x".repeat(70_000) }]));
    let many: Vec<_> = (0..1001).map(|_| json!({ "id": uuid(), "data": 1 })).collect();
    let too_long = format!("{{\"messages\": [], \"x\": \"{}\"}}", "x".repeat(1 << 20));
    let twice = uuid();
    let twice = publish(json!([{ "id": twice, "data": 1 }, { "id": twice, "data": 2 }]));
    let table = [
        (Method::GET, "/nothing", String::new(), 404, "not_found"),
        (Method::PATCH, "/v1/rooms/a", String::new(), 405, "bad_request"),
        (Method::GET, "/v1/rooms/a%20b", String::new(), 400, "bad_request"),
        (Method::GET, "/v1/rooms/a%2Fb", String::new(), 400, "bad_request"),
        (Method::GET, "/v1/rooms/%FF", String::new(), 400, "bad_request"),
        (Method::GET, "/v1/rooms/a?life=x", String::new(), 400, "bad_request"),
        (Method::GET, "/v1/rooms/a?route=teleport", String::new(), 400, "bad_request"),
        (Method::GET, "/v1/rooms/a?token=secret", String::new(), 400, "bad_request"),
        (Method::GET, "/v1/rooms?limit=0", String::new(), 400, "bad_request"),
        (Method::GET, "/v1/rooms?limit=x", String::new(), 400, "bad_request"),
        (Method::GET, "/v1/rooms/a/messages?limit=1001", String::new(), 400, "bad_request"),
        (Method::GET, "/v1/rooms/a/messages?from=0", String::new(), 400, "bad_request"),
        (Method::GET, "/v1/rooms/a/messages?from=9007199254740992", String::new(), 400, "bad_request"),
        (Method::GET, "/v1/rooms/a/presence", String::new(), 404, "not_found"),
        (Method::GET, "/v1/rooms/a/ws", String::new(), 426, "bad_request"),
        (Method::GET, "/v1/ws", String::new(), 426, "bad_request"),
        (Method::PUT, "/v1/rooms/a", "[]".into(), 400, "bad_request"),
        (Method::PUT, "/v1/rooms/a", r#"{"placement": "anywhere"}"#.into(), 400, "bad_request"),
        (Method::POST, "/v1/rooms/a/messages", "{".into(), 400, "bad_request"),
        (Method::POST, "/v1/rooms/a/messages", publish(json!([])), 400, "bad_request"),
        (
            Method::POST,
            "/v1/rooms/a/messages",
            publish(json!([{ "id": "x", "data": 1 }])),
            400,
            "bad_request",
        ),
        (Method::POST, "/v1/rooms/a/messages", publish(json!([{ "id": uuid() }])), 400, "bad_request"),
        (Method::POST, "/v1/rooms/a/messages", twice, 400, "bad_request"),
        (Method::POST, "/v1/rooms/a/messages", long, 413, "too_large"),
        (Method::POST, "/v1/rooms/a/messages", publish(json!(many)), 413, "too_large"),
        (Method::POST, "/v1/rooms/a/messages", too_long, 413, "too_large"),
    ];
    for (method, path, body, status, code) in table {
        let answer = rest.send(method.clone(), path, &body).await;
        let body: String = body.chars().take(60).collect();
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{method} {path} {body}");
        assert_eq!(answer.header("content-type"), "application/json", "{method} {path}");
    }
    assert_eq!(rest.get("/v1/rooms").await.body["rooms"], json!([]), "nothing reached the log");
}
