//! What rooms are created with that nobody said anything else of, on real nodes.
//!
//! The claim: **`[gateway.room_defaults]` holds for every room however it comes to be**, from its first message on, and stays
//! with the room when its owner is killed.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use std::time::{Duration, Instant};

use chaos_tests::cluster::{Cluster, Setup};
use chaos_tests::probe::{Http, Socket, socket_url};
use roomkeeper_types::{MessageId, RoomName};
use serde_json::{Value, json};
use tokio::time::sleep;

const SETTINGS: [(&str, &str); 3] = [
    ("ROOMKEEPER_GATEWAY_ROOM_DEFAULTS_RETAIN", "1h"),
    ("ROOMKEEPER_GATEWAY_ROOM_DEFAULTS_RETAIN_MESSAGES", "3"),
    ("ROOMKEEPER_GATEWAY_ROOM_DEFAULTS_MAX_MEMBERS", "40"),
];
/// How long anything may take to go on after a fault.
const LIMIT: Duration = Duration::from_secs(30);

fn messages(count: usize) -> Value {
    let message = |n| json!({ "id": MessageId::generate().to_string(), "data": n });
    json!({ "messages": (0..count).map(message).collect::<Vec<_>>() })
}

fn in_room(room: &str, mut fields: Value) -> Value {
    fields["room"] = room.into();
    fields
}

/// What the first running node is told of a room by its owner, once there is one.
async fn shown(cluster: &Cluster, room: &str) -> Value {
    let begun = Instant::now();
    let node = (0..cluster.size()).find(|k| cluster.runs(*k)).unwrap();
    loop {
        let path = format!("/v1/rooms/{room}?route=proxy");
        let answer = Http::new(cluster.url(node)).unwrap().get(&path).await.unwrap();
        if answer.status != 503 {
            assert_eq!(answer.status, 200, "{room}: {answer:?}");
            return answer.body;
        }
        assert!(begun.elapsed() < LIMIT, "{room}: {answer:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn room_has_the_configured_options_however_it_is_created_and_keeps_them() {
    let mut cluster = Cluster::start_with_settings(Setup::plain(3), &SETTINGS).await.unwrap();
    let plain = Http::new(cluster.url(0)).unwrap();
    let mut session = Socket::open(&socket_url(&cluster.url(1), "/v1/ws"), &[]).await.unwrap();
    let path = |room: &str| format!("/v1/rooms/{room}/messages?route=proxy");
    assert_eq!(plain.post(&path("posted"), &messages(1)).await.unwrap().status, 200);
    session.ok("publish", in_room("published", messages(1))).await.unwrap();
    let hold = json!({ "hold_ms": 600_000, "messages": messages(1)["messages"] });
    session.ok("publish", in_room("held", hold)).await.unwrap();
    session.ok("join", json!({ "room": "joined" })).await.unwrap();
    session.ok("create", json!({ "room": "created" })).await.unwrap();
    let other = json!({ "room": "other", "options": { "retain_messages": 7 } });
    session.ok("create", other).await.unwrap();

    let rooms = ["posted", "published", "held", "joined", "created"];
    let options = |retain_messages: u64| json!({ "retain_ms": 3_600_000, "retain_messages": retain_messages, "presence": true, "max_members": 40 });
    for room in rooms {
        assert_eq!(shown(&cluster, room).await["options"], options(3), "{room}");
    }
    assert_eq!(shown(&cluster, "other").await["options"], options(7));

    // In force with the very publish that creates it, and with whoever owns it after that.
    let five = plain.post(&path("five"), &messages(5)).await.unwrap();
    assert_eq!(five.body["offsets"], json!([1, 2, 3, 4, 5]));
    let first = |room: &Value| (room["first"].clone(), room["next"].clone());
    assert_eq!(first(&shown(&cluster, "five").await), (json!(3), json!(6)));
    let owner = cluster.owner_of(&"five".parse::<RoomName>().unwrap()).await.unwrap();
    cluster.kill9(owner).await.unwrap();
    assert_eq!(shown(&cluster, "five").await["options"], options(3));
    let next = cluster.owner_of(&"five".parse::<RoomName>().unwrap()).await.unwrap();
    let more = Http::new(cluster.url(next)).unwrap().post(&path("five"), &messages(2)).await.unwrap();
    assert_eq!(more.body["offsets"], json!([6, 7]), "{more:?}");
    assert_eq!(first(&shown(&cluster, "five").await), (json!(5), json!(8)));
    cluster.start_node(owner).await.unwrap();
    for room in rooms {
        assert_eq!(shown(&cluster, room).await["options"], options(3), "{room}");
    }
}
