//! Rooms seen from all nodes at once: lists with counts and first pages, deletion, the most members that a room may have, and
//! rooms of one user.

use std::time::Duration;

use http::StatusCode;
use roomkeeper_room::RoomOptions;
use serde_json::{Value, json};

use crate::common::{Cluster, Served, Way, config, three_nodes, two_nodes, uuid};

/// Nothing that is on its way takes longer.
const QUIET: Duration = Duration::from_millis(80);

fn one(data: Value) -> Value {
    json!({ "messages": [{ "id": uuid(), "data": data }] })
}

/// Two nodes that own about as many of these rooms.
async fn shared(rooms: &[&str]) -> (Cluster, Served, Served) {
    let (cluster, first, second) = two_nodes().await;
    for room in rooms.iter().step_by(2) {
        cluster.set_owner(cluster.shard_of(room), Some(second.id()));
    }
    (cluster, first, second)
}

fn row(room: &str, owner: u32, (first, next): (u64, u64), members: u64, page: &[u64]) -> Value {
    json!([room, owner, next - first, first, next, members, page])
}

/// What a list says of each room, without what differs from run to run.
fn rows(list: &Value) -> Vec<Value> {
    let row = |room: &Value| {
        let offsets: Vec<&Value> =
            room["items"].as_array().into_iter().flatten().map(|item| &item["offset"]).collect();
        json!([
            room["room"],
            room["owner"],
            room["messages"],
            room["first"],
            room["next"],
            room["members"],
            offsets
        ])
    };
    list["rooms"].as_array().unwrap_or_else(|| panic!("{list}")).iter().map(row).collect()
}

#[tokio::test]
async fn list_has_counts_members_and_first_pages_of_all_owners_by_every_way() {
    let names = ["r.empty", "r.full", "r.quiet", "r.trimmed"];
    let (cluster, first, second) = shared(&names).await;
    cluster.create("r.trimmed", RoomOptions { retain_messages: Some(2), ..RoomOptions::default() });
    cluster.create("r.quiet", RoomOptions { presence: false, ..RoomOptions::default() });
    cluster.create("r.empty", RoomOptions::default());
    for _ in 0..5 {
        for room in ["r.full", "r.trimmed", "r.quiet"] {
            cluster.append(cluster.shard_of(room), room, json!("x"));
        }
    }
    cluster.append(cluster.shard_of("s"), "s", json!("not asked for"));
    let mut members = Vec::new();
    for (node, user) in [(&first, "ann"), (&second, "bob"), (&second, "cat")] {
        let mut socket = node.client("/v1/ws").await;
        socket.ok("hello", json!({ "user": user })).await;
        socket.ok("join", json!({ "room": "r.full" })).await;
        members.push(socket);
    }
    let owner = |room: &str| if cluster.is_owned_by(cluster.shard_of(room), first.id()) { 1 } else { 2 };
    let mut expected = vec![
        row("r.empty", owner("r.empty"), (1, 1), 0, &[]),
        row("r.full", owner("r.full"), (1, 6), 3, &[1, 2, 3]),
        row("r.quiet", owner("r.quiet"), (1, 6), 0, &[1, 2, 3]),
        row("r.trimmed", owner("r.trimmed"), (4, 6), 0, &[4, 5]),
    ];
    expected[2][5] = Value::Null;
    let ask = json!({ "prefix": "r.", "page": 3 });
    let (near, far) = if owner("r.full") == 1 { (&first, &second) } else { (&second, &first) };
    for way in Way::ALL {
        let mut socket = way.open(near, far, "r.full", "dan").await;
        let list = socket.ok("rooms", ask.clone()).await;
        assert_eq!((rows(&list), list.get("next")), (expected.clone(), None), "{way:?}");
        // Room by room it is the same.
        let (mut paged, mut after) = (Vec::new(), Value::Null);
        for _ in 0..4 {
            let page = json!({ "prefix": "r.", "page": 3, "limit": 1, "after": after });
            let page = socket.ok("rooms", page).await;
            paged.extend(rows(&page));
            after = page["next"].clone();
        }
        assert_eq!(paged, expected, "{way:?}");
    }
    for node in [&first, &second] {
        let list = node.rest().get("/v1/rooms?prefix=r.&page=3").await.body;
        assert_eq!(rows(&list), expected);
        assert_eq!(list["rooms"][1]["items"][0]["from"], "somebody");
        // Without a page there are no messages.
        let bare = node.rest().get("/v1/rooms?prefix=r.").await.body;
        assert!(bare["rooms"].as_array().unwrap().iter().all(|room| room["items"] == json!([])), "{bare}");
    }
    drop(members);
}

#[tokio::test]
async fn list_that_makes_no_sense_is_refused_by_every_way() {
    let (_cluster, first, second) = two_nodes().await;
    // The test's client of protobuf sends nothing that makes no sense.
    for way in Way::ALL.into_iter().filter(|way| *way != Way::FarProto) {
        let mut socket = way.open(&first, &second, "a", "ann").await;
        for ask in [json!({ "limit": 0 }), json!({ "limit": 1_001 }), json!({ "page": 101 })] {
            assert_eq!(socket.code("rooms", ask.clone()).await, "bad_request", "{ask} {way:?}");
        }
        assert_eq!(socket.ok("rooms", json!({ "after": "zzz" })).await["rooms"], json!([]), "{way:?}");
    }
    for query in ["limit=0", "limit=1001", "page=101", "limit=x"] {
        let answer = second.rest().get(&format!("/v1/rooms?{query}")).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "bad_request"), "{query}");
    }
}

/// Whoever deletes it by whatever way: it is gone everywhere, with its members, cursors and holds.
#[tokio::test]
async fn room_that_is_deleted_is_gone_for_everybody_at_every_node() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let nodes = (&owner, &other);
        let mut readers = Vec::new();
        for reader in Way::ALL {
            readers.push((reader, reader.join(nodes, "a", "ann", json!({})).await.0));
        }
        let mut deleter = way.open(&owner, &other, "a", "bob").await;
        assert_eq!(deleter.publish(Some("a"), json!(1)).await, 1);
        deleter.ok("commit", json!({ "room": "a", "consumer": "c", "offset": 1 })).await;
        let mut hold = one(json!(2));
        hold["room"] = "a".into();
        hold["hold_ms"] = 60_000.into();
        let held = hold["messages"][0]["id"].clone();
        deleter.ok("publish", hold).await;
        for (_, reader) in &mut readers {
            assert_eq!(reader.offsets(1).await, [1]);
        }
        let former = owner.rest().get("/v1/rooms/a").await.body["life"].take();
        let wrong = json!({ "room": "a", "life": "0-1-99" });
        assert_eq!(deleter.code("delete", wrong).await, "recreated", "{way:?}");
        deleter.ok("delete", json!({ "room": "a", "life": former })).await;

        for node in [&owner, &other] {
            let rest = node.rest();
            assert_eq!(rest.get("/v1/rooms").await.body["rooms"], json!([]), "{way:?}");
            for path in ["", "/messages", "/presence", "/cursors/c"] {
                let gone = rest.get(&format!("/v1/rooms/a{path}?route=proxy")).await;
                assert_eq!((gone.status, gone.code()), (StatusCode::NOT_FOUND, "not_found"), "{path}");
            }
            let again = rest.send(http::Method::DELETE, "/v1/rooms/a?route=proxy", "").await;
            assert_eq!(again.code(), "not_found");
        }
        // Their life is over, also when there is another one.
        for (reader, socket) in &mut readers {
            let mut publish = one(json!(3));
            publish["room"] = "a".into();
            assert_eq!(socket.code("publish", publish).await, "not_found", "{reader:?} {way:?}");
        }
        assert_eq!(other.rest().put("/v1/rooms/a?route=proxy").await.status, StatusCode::CREATED);
        for (reader, socket) in &mut readers {
            let mut publish = one(json!(3));
            publish["room"] = "a".into();
            assert_eq!(socket.code("publish", publish).await, "recreated", "{reader:?} {way:?}");
            assert!(socket.is_quiet_for(Duration::from_millis(5)).await, "{reader:?} {way:?}");
        }
        // Nothing of the former life is in the new one.
        let shown = owner.rest().get("/v1/rooms/a").await.body;
        assert_eq!((&shown["next"], &shown["members"]), (&json!(1), &json!(0)), "{shown}");
        let mut fresh = way.open(&owner, &other, "a", "bob").await;
        assert_eq!(
            fresh.ok("commit", json!({ "room": "a", "consumer": "c", "offset": 0 })).await["committed"],
            0
        );
        assert_eq!(fresh.code("confirm", json!({ "room": "a", "ids": [held] })).await, "not_found");
    }
}

#[tokio::test]
async fn room_is_full_for_all_nodes_together_and_after_its_owner_changed() {
    let cluster = Cluster::new(4);
    let settling = Duration::from_millis(300);
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let config = roomkeeper_gateway::GatewayConfig { presence_settling: settling, ..config() };
        nodes.push(Served::start(&cluster, config).await);
    }
    cluster.set_owner_of_all(nodes[0].id());
    cluster.create("a", RoomOptions { max_members: Some(6), ..RoomOptions::default() });
    let join = json!({ "room": "a", "from": "beginning" });
    let session = async |node: &Served, user: &str| {
        let mut socket = node.client("/v1/ws").await;
        socket.ok("hello", json!({ "user": user })).await;
        socket
    };
    let mut members = Vec::new();
    for n in 0..6 {
        let mut socket = session(&nodes[n % 3], &format!("user{n}")).await;
        let ok = socket.ok("join", join.clone()).await;
        assert_eq!(ok["members"], n + 1);
        members.push(socket);
    }
    for (owner, other) in [(0, 1), (0, 2)] {
        for way in Way::ALL {
            let mut late = way.open(&nodes[owner], &nodes[other], "a", "late").await;
            let error = late.call("join", join.clone()).await.unwrap_err();
            assert_eq!((&error["code"], &error["retry"]), (&json!("rate_limited"), &json!(true)), "{way:?}");
            // It may write all the same, and is no member for that.
            late.publish(Some("a"), json!(1)).await;
        }
    }
    assert_eq!(nodes[1].rest().get("/v1/rooms").await.body["rooms"][0]["members"], 6);

    // The next owner counts those who come back.
    cluster.set_owner(cluster.shard_of("a"), Some(nodes[2].id()));
    for socket in &mut members {
        while socket.push().await.unwrap().get("moved").is_none() {}
        socket.ok("join", join.clone()).await;
    }
    let mut late = session(&nodes[1], "late").await;
    assert_eq!(late.code("join", join.clone()).await, "rate_limited");
    tokio::time::sleep(settling).await;
    assert_eq!(nodes[0].rest().get("/v1/rooms").await.body["rooms"][0]["members"], 6);
    members[4].ok("leave", json!({ "room": "a" })).await;
    late.ok("join", join).await;
}

/// Where users are taken at their word they still have rooms of their own.
#[tokio::test]
async fn room_of_a_user_is_out_of_reach_for_others_by_every_way() {
    let deeds = |room: &str| {
        let mut publish = one(json!(1));
        publish["room"] = room.into();
        let mut hold = one(json!(1));
        (hold["room"], hold["hold_ms"]) = (room.into(), 60_000.into());
        let with = |fields: Value| {
            let mut fields = fields;
            fields["room"] = room.into();
            fields
        };
        [
            ("join", with(json!({}))),
            ("publish", publish),
            ("publish", hold),
            ("signal", with(json!({ "data": 1 }))),
            ("history", with(json!({ "from": "beginning" }))),
            ("commit", with(json!({ "consumer": "c", "offset": 0 }))),
            ("presence", with(json!({}))),
            ("confirm", with(json!({ "ids": [uuid()] }))),
            ("create", with(json!({}))),
            ("create", with(json!({ "placement": "least_loaded" }))),
            ("delete", with(json!({}))),
        ]
    };
    let (cluster, [owner, other, third]) = three_nodes().await;
    let room = "~ann:notes";
    cluster.append(cluster.shard_of(room), room, json!("private"));
    for way in [Way::Session, Way::FarSession, Way::FarProto] {
        let mut bob = way.open(&owner, &other, room, "bob").await;
        // There or not, it is the same to others.
        for room in [room, "~ann:absent"] {
            for (deed, fields) in deeds(room) {
                assert_eq!(bob.code(deed, fields).await, "forbidden", "{deed} in {room}: {way:?}");
            }
        }
        assert_eq!(bob.ok("rooms", json!({ "prefix": "~" })).await["rooms"], json!([]), "{way:?}");
        assert!(bob.is_quiet_for(QUIET).await);
        let mut ann = way.open(&owner, &other, room, "ann").await;
        let listed = ann.ok("rooms", json!({ "prefix": "~" })).await;
        assert_eq!(listed["rooms"].as_array().map(Vec::len), Some(1), "{listed}");
        assert_eq!(listed["rooms"][0]["room"], room);
        ann.ok("join", json!({ "room": room, "from": "beginning" })).await;
        assert_eq!(ann.offsets(1).await, [1], "{way:?}");
        for (deed, fields) in deeds("~ann:fresh") {
            let done = ann.call(deed, fields).await;
            let allowed = done.as_ref().err().is_none_or(|error| error["code"] != "forbidden");
            assert!(allowed, "{deed}: {way:?}: {done:?}");
        }
    }
    for node in [&owner, &other, &third] {
        let rest = node.rest().with("roomkeeper-user", "bob");
        for path in ["", "/messages", "/presence", "/cursors/c"] {
            let answer = rest.get(&format!("/v1/rooms/{room}{path}?route=proxy")).await;
            assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "forbidden"), "{path}");
        }
        let publish = rest.post(&format!("/v1/rooms/{room}/messages?route=proxy"), one(json!(1))).await;
        assert_eq!(publish.code(), "forbidden");
        for method in [http::Method::PUT, http::Method::DELETE] {
            let answer = rest.send(method.clone(), &format!("/v1/rooms/{room}?route=proxy"), "").await;
            assert_eq!(answer.code(), "forbidden", "{method}");
        }
        let rest = node.rest().with("roomkeeper-user", "ann");
        let shown = rest.get(&format!("/v1/rooms/{room}?route=proxy")).await.body;
        assert_eq!(shown["next"], 2, "{shown}");
    }
}
