//! Readers that retention overtakes: whatever way they came, and however the room came to keep less, they are told,
//! and what they have had by then has no gap.

use std::time::Duration;

use http::StatusCode;
use roomkeeper_room::RoomOptions;
use serde_json::{Value, json};

use crate::common::{Client, Cluster, Served, Way, two_nodes, uuid};

/// Messages that a room of these tests gets, and bytes of each: more than a feed keeps in memory.
const COUNT: u64 = 300;
const BYTES: usize = 8_000;

/// Why a room keeps only its last messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retention {
    Count,
    Bytes,
    Age,
}

impl Retention {
    const ALL: [Self; 3] = [Self::Count, Self::Bytes, Self::Age];

    fn options(self) -> RoomOptions {
        let usual = RoomOptions::default();
        match self {
            Self::Count => RoomOptions { retain_messages: Some(5), ..usual },
            Self::Bytes => RoomOptions { retain_bytes: Some(5 * BYTES as u64 + 100), ..usual },
            Self::Age => RoomOptions { retain_ms: Some(1), ..usual },
        }
    }

    /// A room that is created so.
    fn create(self, cluster: &Cluster, room: &str) {
        cluster.create(room, self.options());
    }

    /// Appends so many messages, after which the room keeps five, or, by age, none.
    async fn fill(self, cluster: &Cluster, room: &str, count: u64) {
        let shard = cluster.shard_of(room);
        let data = json!("x".repeat(BYTES));
        for _ in 0..count {
            cluster.append(shard, room, data.clone());
            // A relay that is kept from its work for long is lost.
            tokio::task::yield_now().await;
        }
        if self == Self::Age {
            tokio::time::sleep(Duration::from_millis(5)).await;
            cluster.sweep(shard);
        }
    }

    /// The first offset that is kept of so many.
    fn first_of(self, count: u64) -> u64 {
        count + 1 - if self == Self::Age { 0 } else { 5 }
    }
}

/// Offsets of what is pushed until the client is told to join again.
async fn until_moved(client: &mut Client) -> Vec<u64> {
    let mut offsets = Vec::new();
    loop {
        let push = client.push().await.unwrap();
        if push.get("moved").is_some() {
            assert_eq!(push["moved"]["room"], "a", "{push}");
            return offsets;
        }
        let items = push["messages"]["items"].as_array().unwrap_or_else(|| panic!("{push}"));
        offsets.extend(items.iter().map(|item| item["offset"].as_u64().unwrap()));
    }
}

/// The same socket, or, where that was closed, another one: joins behind the last message that it had, and is told
/// that this is trimmed; then where the log begins.
async fn join_again(way: Way, nodes: (&Served, &Served), client: Client, next: u64, first: u64) -> Client {
    let mut client = match way {
        Way::Room | Way::ProxiedRoom => {
            let (pushes, _, ended) = client.rest().await;
            assert_eq!((pushes, ended.0), (Vec::new(), Some(4300)), "{way:?}");
            way.open(nodes.0, nodes.1, "a", "ann").await
        }
        _ => client,
    };
    for from in [json!({ "offset": next }), json!({ "range": [next, 400] })] {
        let error = client.call("join", json!({ "room": "a", "from": from })).await.unwrap_err();
        assert_eq!((&error["code"], &error["first"]), (&json!("trimmed"), &json!(first)), "{way:?}");
        assert_eq!(error["retry"], false);
    }
    let ok = client.ok("join", json!({ "room": "a", "from": { "offset": first } })).await;
    assert_eq!((&ok["first"], &ok["from"]), (&json!(first), &json!(first)), "{way:?}");
    client
}

/// A reader with little credit, and what it hears when it gets more than the room keeps.
async fn overtaken(retention: Retention, way: Way, isolation: &str) {
    let case = format!("{retention:?} {way:?} {isolation}");
    let (cluster, owner, other) = two_nodes().await;
    retention.create(&cluster, "a");
    let fields = json!({ "from": "beginning", "credit": 2, "isolation": isolation });
    let (mut slow, _) = way.join((&owner, &other), "a", "ann", fields).await;
    let (mut quick, _) = way.join((&owner, &other), "a", "bob", json!({})).await;
    // By age nothing of it is there any more when the client may have it.
    for _ in 0..2 {
        cluster.append(cluster.shard_of("a"), "a", json!(1));
        quick.messages(1).await;
    }
    assert_eq!(slow.offsets(2).await, [1, 2], "{case}");
    retention.fill(&cluster, "a", COUNT - 2).await;
    slow.ok("credit", json!({ "room": "a", "more": 1_000 })).await;
    assert!(until_moved(&mut slow).await.is_empty(), "{case}");
    let first = retention.first_of(COUNT);
    let mut slow = join_again(way, (&owner, &other), slow, 3, first).await;
    let kept = usize::try_from(COUNT + 1 - first).unwrap();
    assert!(slow.offsets(kept).await.into_iter().eq(first..=COUNT), "{case}");
    cluster.append(cluster.shard_of("a"), "a", json!(1));
    assert_eq!(slow.offsets(1).await, [COUNT + 1], "{case}");
}

#[tokio::test]
async fn slow_subscriber_that_is_overtaken_is_told_and_then_what_is_trimmed() {
    for way in Way::ALL {
        for retention in Retention::ALL {
            overtaken(retention, way, "committed").await;
        }
        // One who sees holds is served whole by the room's owner, also through a relay.
        overtaken(Retention::Count, way, "uncommitted").await;
    }
}

/// Nobody grants anything here: the client does not read its socket.
#[tokio::test]
async fn subscriber_that_does_not_read_gets_all_up_to_a_gap_that_it_is_told() {
    for way in [Way::Room, Way::Session, Way::FarSession] {
        let (cluster, owner, other) = two_nodes().await;
        Retention::Count.create(&cluster, "a");
        let (mut slow, _) = way.join((&owner, &other), "a", "ann", json!({})).await;
        let mut writer = owner.client("/v1/ws").await;
        let text = "x".repeat(60_000);
        let mut count = 0;
        for _ in 0..50 {
            let batch: Vec<_> = (0..10).map(|_| json!({ "id": uuid(), "data": text })).collect();
            writer.ok("publish", json!({ "room": "a", "messages": batch })).await;
            count += 10;
        }
        let had = until_moved(&mut slow).await;
        let next = had.len() as u64 + 1;
        assert!(!had.is_empty() && next < count - 5, "{way:?}: {next}");
        assert!(had.into_iter().eq(1..next), "{way:?}");
        join_again(way, (&owner, &other), slow, next, count - 4).await;
    }
}

#[tokio::test]
async fn page_of_a_resume_is_whole_or_told_to_be_trimmed() {
    for way in Way::ALL {
        let (cluster, owner, other) = two_nodes().await;
        cluster.create("a", RoomOptions { retain_messages: Some(COUNT), ..RoomOptions::default() });
        let shard = cluster.shard_of("a");
        Retention::Count.fill(&cluster, "a", COUNT).await;
        // The first page is read while all is there, the next one is not asked for before it is not.
        let fields = json!({ "from": "beginning", "credit": 10 });
        let (mut client, _) = way.join((&owner, &other), "a", "ann", fields).await;
        assert!(client.offsets(10).await.into_iter().eq(1..=10), "{way:?}");
        for _ in 0..10 {
            cluster.append(shard, "a", json!(1));
        }
        // Ten are trimmed, and ten were had.
        client.ok("credit", json!({ "room": "a", "more": 10 })).await;
        assert!(client.offsets(10).await.into_iter().eq(11..=20), "{way:?}");
        for _ in 0..11 {
            cluster.append(shard, "a", json!(1));
        }
        // A page from which only the first offset is gone.
        client.ok("credit", json!({ "room": "a", "more": 10 })).await;
        assert!(until_moved(&mut client).await.is_empty(), "{way:?}");
        join_again(way, (&owner, &other), client, 21, 22).await;
    }
}

#[tokio::test]
async fn join_and_history_from_what_is_trimmed_name_the_first_that_is_kept() {
    for retention in Retention::ALL {
        let (cluster, owner, other) = two_nodes().await;
        retention.create(&cluster, "a");
        cluster.append(cluster.shard_of("a"), "a", json!(1));
        for way in Way::ALL {
            let mut client = way.open(&owner, &other, "a", "ann").await;
            client.ok("commit", json!({ "room": "a", "consumer": "c", "offset": 1 })).await;
        }
        retention.fill(&cluster, "a", 19).await;
        let first = retention.first_of(20);
        let trimmed = |answer: Result<Value, Value>| {
            let error = answer.unwrap_err();
            assert_eq!(
                (&error["code"], &error["first"]),
                (&json!("trimmed"), &json!(first)),
                "{retention:?}"
            );
        };
        for way in Way::ALL {
            let mut client = way.open(&owner, &other, "a", "ann").await;
            // The cursor is in the middle of what is gone; 2 would come next.
            let committed = json!({ "room": "a", "from": "committed", "consumer": "c" });
            trimmed(client.call("join", committed).await);
            for from in [json!({ "offset": 1 }), json!({ "offset": first - 1 }), json!({ "range": [2, 20] })]
            {
                trimmed(client.call("join", json!({ "room": "a", "from": from })).await);
                trimmed(client.call("history", json!({ "room": "a", "from": from })).await);
            }
            let history = json!({ "room": "a", "from": "beginning" });
            let next = client.ok("history", history).await["next"].take();
            assert_eq!(next, json!(21), "{retention:?} {way:?}");
            // A consumer that has not come anywhere yet misses nothing that it had.
            let fresh = json!({ "room": "a", "from": "committed", "consumer": "fresh" });
            let ok = client.ok("join", fresh).await;
            assert_eq!((&ok["from"], &ok["unread"]), (&json!(first), &json!(21 - first)), "{way:?}");
        }
        for node in [&owner, &other] {
            let rest = node.rest();
            for query in ["from=1", "from=1&limit=1", "from=2&to=20"] {
                let answer = rest.get(&format!("/v1/rooms/a/messages?route=proxy&{query}")).await;
                assert_eq!((answer.status, answer.code()), (StatusCode::GONE, "trimmed"), "{query}");
                assert_eq!(answer.body["error"]["first"], json!(first), "{query}");
            }
            let page = format!("/v1/rooms/a/messages?route=proxy&from={first}");
            let answer = rest.get(&page).await;
            assert_eq!((answer.status, &answer.body["next"]), (StatusCode::OK, &json!(21)));
            assert_eq!(rest.get("/v1/rooms/a?route=proxy").await.body["first"], json!(first));
        }
    }
}

#[tokio::test]
async fn next_page_of_a_history_that_was_trimmed_meanwhile_is_refused() {
    let (cluster, owner, other) = two_nodes().await;
    cluster.create("a", RoomOptions { retain_messages: Some(20), ..RoomOptions::default() });
    let shard = cluster.shard_of("a");
    for _ in 0..20 {
        cluster.append(shard, "a", json!(1));
    }
    let rest = other.rest();
    let page = |from: &Value| format!("/v1/rooms/a/messages?route=proxy&limit=5&from={from}");
    let first = rest.get(&page(&json!(1))).await.body;
    assert_eq!((first["items"].as_array().unwrap().len(), &first["next"]), (5, &json!(6)));
    for _ in 0..6 {
        cluster.append(shard, "a", json!(1));
    }
    let second = rest.get(&page(&first["next"])).await;
    assert_eq!((second.code(), &second.body["error"]["first"]), ("trimmed", &json!(7)));
    drop(owner);
}

#[tokio::test]
async fn sync_has_what_is_still_kept_and_goes_on() {
    for way in Way::ALL {
        let (cluster, owner, other) = two_nodes().await;
        Retention::Count.create(&cluster, "a");
        let (mut client, _) = way.join((&owner, &other), "a", "ann", json!({})).await;
        let shard = cluster.shard_of("a");
        for offset in 1..=10 {
            cluster.append(shard, "a", json!(1));
            assert_eq!(client.offsets(1).await, [offset], "{way:?}");
        }
        let none = json!({ "rooms": { "a": { "seen": [] } } });
        client.ok("heartbeat", none.clone()).await;
        client.ok("heartbeat", none).await;
        let push = client.push().await.unwrap();
        let offsets = push["sync"]["items"].as_array().unwrap().iter().map(|item| item["offset"].clone());
        assert!(offsets.eq((6..=10).map(|offset| json!(offset))), "{way:?}: {push}");
        cluster.append(shard, "a", json!(1));
        assert_eq!(client.offsets(1).await, [11], "{way:?}");
    }
}
