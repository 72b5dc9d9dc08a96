//! Rooms that a node follows for its session sockets: a message crosses to it once, and each client gets what it
//! would get from the owner itself.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Client, Cluster, Gate, Served, config, three_nodes, two_nodes, uuid};

/// The owner of everything, the way to it, and a node that relays.
async fn relayed() -> (Cluster, Served, Gate, Served) {
    let (cluster, owner, relay) = two_nodes().await;
    let gate = Gate::before(&owner.url).await;
    cluster.set_url(owner.id(), gate.url.clone());
    (cluster, owner, gate, relay)
}

async fn joined(node: &Served, room: &str, from: Value) -> Client {
    let mut socket = node.client("/v1/ws").await;
    socket.ok("join", json!({ "room": room, "from": from })).await;
    socket
}

/// Publishes so many messages of so many bytes, ten in a batch.
async fn publish(writer: &mut Client, room: &str, count: usize, bytes: usize) {
    let text = "x".repeat(bytes);
    for _ in 0..count / 10 {
        let batch: Vec<_> = (0..10).map(|_| json!({ "id": uuid(), "data": text })).collect();
        writer.ok("publish", json!({ "room": room, "messages": batch })).await;
    }
}

#[tokio::test]
async fn message_crosses_to_a_node_once_however_many_of_its_clients_want_it() {
    const CLIENTS: usize = 50;
    const COUNT: usize = 200;
    const BYTES: usize = 4_000;
    let (_cluster, owner, gate, relay) = relayed().await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(joined(&relay, "a", json!("latest")).await);
    }
    let before = gate.back.passed();
    let mut writer = owner.client("/v1/ws").await;
    publish(&mut writer, "a", COUNT, BYTES).await;
    for client in &mut clients {
        assert!(client.offsets(COUNT).await.into_iter().eq(1..=COUNT as u64));
    }
    let crossed = gate.back.passed() - before;
    assert!((COUNT * BYTES..COUNT * (BYTES + 400)).contains(&crossed), "{crossed} bytes");
    for client in &mut clients {
        assert!(client.rest_is_quiet().await);
    }
}

#[tokio::test]
async fn message_of_a_room_that_nobody_wants_any_more_does_not_cross() {
    let (_cluster, owner, gate, relay) = relayed().await;
    let mut writer = owner.client("/v1/ws").await;
    let mut clients =
        [joined(&relay, "a", json!("latest")).await, joined(&relay, "a", json!("latest")).await];
    publish(&mut writer, "a", 10, 10_000).await;
    for client in &mut clients {
        assert_eq!(client.offsets(10).await, (1..=10).collect::<Vec<_>>());
    }
    clients[0].ok("leave", json!({ "room": "a" })).await;
    let [mut left, gone] = clients;
    drop(gone);
    // Clients that come back find it followed still; nobody does.
    let quiet = async {
        loop {
            let before = gate.back.passed();
            publish(&mut writer, "a", 10, 10_000).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            if gate.back.passed() - before < 5_000 {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), quiet).await.unwrap();
    assert!(left.rest_is_quiet().await);
}

#[tokio::test]
async fn join_from_an_old_offset_reads_the_owners_log_and_goes_on_with_what_comes() {
    const OLD: usize = 2_000;
    const NEW: usize = 500;
    let (_cluster, owner, _gate, relay) = relayed().await;
    let mut writer = owner.client("/v1/ws").await;
    publish(&mut writer, "a", OLD, 500).await;
    let mut early = joined(&relay, "a", json!("latest")).await;
    let joining = async {
        let mut late = Vec::new();
        for from in [1, 777, 1_999] {
            late.push((from, joined(&relay, "a", json!({ "offset": from })).await));
        }
        for (from, late) in &mut late {
            let count = OLD + NEW + 1 - *from;
            assert!(late.offsets(count).await.into_iter().eq(*from as u64..=(OLD + NEW) as u64), "{from}");
        }
        late
    };
    let (_, mut late) = tokio::join!(publish(&mut writer, "a", NEW, 500), joining);
    assert!(early.offsets(NEW).await.into_iter().eq(OLD as u64 + 1..=(OLD + NEW) as u64));
    for (_, late) in &mut late {
        assert!(late.rest_is_quiet().await);
    }
}

#[tokio::test]
async fn join_of_a_range_or_with_credit_ends_where_it_should() {
    let (_cluster, owner, _gate, relay) = relayed().await;
    let mut writer = owner.client("/v1/ws").await;
    publish(&mut writer, "a", 10, 10).await;
    let mut range = joined(&relay, "a", json!({ "range": [3, 12] })).await;
    let mut credit = relay.client("/v1/ws").await;
    credit.ok("join", json!({ "room": "a", "from": { "offset": 9 }, "credit": 5 })).await;
    let mut none = relay.client("/v1/ws").await;
    none.ok("join", json!({ "room": "a", "from": "beginning", "credit": 0 })).await;
    publish(&mut writer, "a", 10, 10).await;
    assert_eq!(range.offsets(10).await, (3..=12).collect::<Vec<_>>());
    assert_eq!(credit.offsets(5).await, (9..=13).collect::<Vec<_>>());
    for socket in [&mut range, &mut credit, &mut none] {
        assert!(socket.is_quiet_for(Duration::from_millis(100)).await);
    }
}

/// A client that joins again where it was each time its room moves.
async fn follow_through(mut socket: Client, room: &str, last: u64) -> usize {
    let (mut next, mut moves) = (1, 0);
    while next <= last {
        let push = socket.push().await.unwrap();
        if push["moved"].is_object() {
            moves += 1;
            let from = json!({ "room": room, "from": { "offset": next } });
            while let Err(error) = socket.call("join", from.clone()).await {
                assert_eq!(error["code"], "unavailable", "{error}");
            }
            continue;
        }
        for item in push["messages"]["items"].as_array().unwrap() {
            assert_eq!(item["offset"], next, "{push}");
            next += 1;
        }
    }
    assert!(socket.rest_is_quiet().await);
    moves
}

#[tokio::test]
async fn clients_of_a_room_whose_owner_changes_under_load_get_exactly_what_they_missed() {
    const COUNT: usize = 600;
    let (cluster, [first, second, third]) = three_nodes().await;
    let shard = cluster.shard_of("a");
    let mut clients = Vec::new();
    for _ in 0..10 {
        let client = joined(&first, "a", json!("beginning")).await;
        clients.push(tokio::spawn(follow_through(client, "a", COUNT as u64)));
    }
    let writing = tokio::spawn(async move {
        // Its publishes go to each next owner by themselves.
        let mut writer = third.client("/v1/ws").await;
        for _ in 0..COUNT {
            writer.publish(Some("a"), json!("x".repeat(300))).await;
        }
        third
    });
    // To and fro between others, and once to the clients' own node.
    let moving = async {
        for owner in [2, 3, 2, 1, 2, 3].map(roomkeeper_types::NodeId) {
            tokio::time::sleep(Duration::from_millis(60)).await;
            cluster.set_owner(shard, Some(owner));
        }
    };
    moving.await;
    writing.await.unwrap();
    for client in clients {
        assert!(client.await.unwrap() >= 1, "its room moved");
    }
    drop((first, second));
}

#[tokio::test]
async fn slow_client_holds_up_no_other_and_gets_all() {
    const COUNT: usize = 3_000;
    let (_cluster, owner, _gate, relay) = relayed().await;
    // Nothing of it is read until the others have all.
    let mut slow = joined(&relay, "a", json!("latest")).await;
    let mut quick = [joined(&relay, "a", json!("latest")).await, joined(&relay, "a", json!("latest")).await];
    let mut writer = owner.client("/v1/ws").await;
    let reading = async {
        for client in &mut quick {
            assert!(client.offsets(COUNT).await.into_iter().eq(1..=COUNT as u64));
        }
    };
    tokio::join!(publish(&mut writer, "a", COUNT, 8_000), reading);
    assert!(slow.offsets(COUNT).await.into_iter().eq(1..=COUNT as u64));
}

#[tokio::test]
async fn room_that_is_deleted_and_created_anew_is_another_one() {
    let (_cluster, owner, _gate, relay) = relayed().await;
    let mut writer = owner.client("/v1/ws").await;
    let mut former = joined(&relay, "a", json!("latest")).await;
    publish(&mut writer, "a", 10, 10).await;
    assert_eq!(former.offsets(10).await, (1..=10).collect::<Vec<_>>());
    writer.ok("delete", json!({ "room": "a" })).await;
    writer.publish(Some("a"), json!("anew")).await;
    let mut present = joined(&relay, "a", json!("beginning")).await;
    publish(&mut writer, "a", 20, 10).await;
    assert_eq!(present.offsets(21).await, (1..=21).collect::<Vec<_>>());
    assert!(former.rest_is_quiet().await, "its room is over");
    former.ok("join", json!({ "room": "a", "from": { "offset": 21 } })).await;
    assert_eq!(former.messages(1).await[0]["offset"], 21);
}

/// What comes unasked proves nothing: a node that was stopped for a while finds its sockets full of it, and somebody
/// else may own the room by then.
#[tokio::test]
async fn messages_are_not_handed_out_while_their_owner_gives_no_answer() {
    let (cluster, owner, gate, relay) = relayed().await;
    let shard = cluster.shard_of("a");
    let mut socket = joined(&relay, "a", json!("latest")).await;
    cluster.append(shard, "a", json!(1));
    let mut seen = socket.offsets(1).await;
    let mut stored = 1;
    gate.there.hold();
    let suspended = async {
        while seen.len() + 10 > stored {
            stored += 1;
            cluster.append(shard, "a", json!(stored));
            while !socket.is_quiet_for(Duration::from_millis(50)).await {
                seen.extend(socket.offsets(1).await);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), suspended).await.expect("nothing more is handed out");
    gate.there.let_go();
    seen.extend(socket.offsets(stored - seen.len()).await);
    assert!(seen.into_iter().eq(1..=stored as u64));
    drop(owner);
}

#[tokio::test]
async fn link_to_an_owner_that_is_silent_is_lost_and_its_clients_go_on_elsewhere() {
    let (cluster, owner, gate, relay) = relayed().await;
    let third = Served::start(&cluster, config()).await;
    let shard = cluster.shard_of("a");
    let mut socket = joined(&relay, "a", json!("latest")).await;
    cluster.append(shard, "a", json!(1));
    assert_eq!(socket.offsets(1).await, [1]);
    gate.close();
    cluster.append(shard, "a", json!(2));
    // Nobody tells the relay of another owner.
    let moved = socket.push().await.unwrap();
    assert_eq!(moved["moved"]["room"], "a", "{moved}");
    cluster.set_owner(shard, Some(third.id()));
    let again = socket.ok("join", json!({ "room": "a", "from": { "offset": 2 } })).await;
    assert_eq!(again["owner"], 3);
    cluster.append(shard, "a", json!(3));
    assert_eq!(socket.offsets(2).await, [2, 3]);
    drop(owner);
}

#[tokio::test]
async fn owner_that_stops_is_told_to_all_clients_of_its_rooms() {
    let (cluster, owner, _gate, relay) = relayed().await;
    let shard = cluster.shard_of("a");
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(joined(&relay, "a", json!("latest")).await);
    }
    owner.stop().await;
    for client in &mut clients {
        let moved = client.push().await.unwrap();
        assert_eq!(moved["moved"]["room"], "a", "{moved}");
    }
    cluster.set_owner(shard, Some(relay.id()));
    cluster.append(shard, "a", json!(1));
    for client in &mut clients {
        client.ok("join", json!({ "room": "a", "from": "beginning" })).await;
        assert_eq!(client.offsets(1).await, [1]);
    }
}
