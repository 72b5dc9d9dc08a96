//! Publishes of several messages: all or none of them is stored, and one that is refused says of each message that is a
//! reason for it which it is, and why; by every socket, codec and way, and by plain HTTP.

use http::StatusCode;
use serde_json::{Value, json};

use crate::common::{Client, Served, Way, two_nodes, uuid};

/// A room that knows some ids, and one who watches it.
struct Site {
    owner: Served,
    other: Served,
    /// Of messages that are stored, with the data 1 to 3.
    stored: Vec<String>,
    /// Of messages that are held, with the data 1 and 2.
    held: Vec<String>,
    /// Of messages that were held and rolled back, with the same data.
    dropped: Vec<String>,
    watcher: Client,
}

fn message(id: &str, data: impl Into<Value>) -> Value {
    json!({ "id": id, "data": data.into() })
}

fn numbered(ids: &[String]) -> Value {
    (1..).zip(ids).map(|(n, id)| message(id, n)).collect()
}

fn new_ids(count: usize) -> Vec<String> {
    (0..count).map(|_| uuid()).collect()
}

/// A publish that is refused.
struct Refused {
    what: &'static str,
    messages: Value,
    expect: Option<u64>,
    code: &'static str,
    status: StatusCode,
    /// Places and ids of the messages that are the reason.
    items: Vec<(u64, String)>,
}

impl Site {
    async fn new() -> Self {
        let (_cluster, owner, other) = two_nodes().await;
        let (stored, held, dropped) = (new_ids(3), new_ids(2), new_ids(2));
        let mut ann = Way::Session.open(&owner, &other, "a", "ann").await;
        ann.ok("publish", json!({ "room": "a", "messages": numbered(&stored) })).await;
        for ids in [&held, &dropped] {
            let hold = json!({ "room": "a", "hold_ms": 60_000, "messages": numbered(ids) });
            ann.ok("publish", hold).await;
        }
        ann.ok("rollback", json!({ "room": "a", "ids": dropped })).await;
        let mut watcher = owner.room("a").await;
        watcher.ok("join", json!({ "isolation": "uncommitted" })).await;
        let open = watcher.push().await.unwrap();
        assert_eq!(open["held"]["items"].as_array().map(Vec::len), Some(2), "{open}");
        Self { owner, other, stored, held, dropped, watcher }
    }

    fn table(&self) -> Vec<Refused> {
        let Self { stored, held, dropped, .. } = self;
        let new = new_ids(3);
        let big = "x".repeat(70_000);
        let case = |what, messages, code, items: &[(u64, &String)]| Refused {
            what,
            messages,
            expect: None,
            code,
            status: match code {
                "bad_request" => StatusCode::BAD_REQUEST,
                "gone" => StatusCode::GONE,
                "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::CONFLICT,
            },
            items: items.iter().map(|(index, id)| (*index, (*id).clone())).collect(),
        };
        vec![
            case(
                "ids with other data among new ones",
                json!([
                    message(&new[0], 1),
                    message(&stored[1], 7),
                    message(&new[1], 1),
                    message(&stored[0], 7)
                ]),
                "conflict",
                &[(1, &stored[1]), (3, &stored[0])],
            ),
            case(
                "a batch of which a part is known",
                json!([
                    message(&stored[0], 1),
                    message(&new[0], 1),
                    message(&stored[1], 2),
                    message(&new[1], 1)
                ]),
                "conflict",
                &[(1, &new[0]), (3, &new[1])],
            ),
            case("messages that are held", numbered(held), "conflict", &[(0, &held[0]), (1, &held[1])]),
            case(
                "messages of which one is stored and one is held",
                json!([message(&stored[0], 1), message(&held[0], 1)]),
                "conflict",
                &[(1, &held[0])],
            ),
            case(
                "messages that were dropped",
                numbered(dropped),
                "gone",
                &[(0, &dropped[0]), (1, &dropped[1])],
            ),
            case(
                "an id that stands twice",
                json!([message(&new[0], 1), message(&new[1], 1), message(&new[0], 1)]),
                "bad_request",
                &[(2, &new[0])],
            ),
            case(
                "messages that are too large",
                json!([message(&new[0], big.clone()), message(&new[1], 1), message(&new[2], big)]),
                "too_large",
                &[(0, &new[0]), (2, &new[2])],
            ),
            Refused { expect: Some(9), ..case("another next offset", numbered(&new), "conflict", &[]) },
        ]
    }

    /// Everything that the room has, as its owner says.
    async fn room(&self) -> Value {
        let local = self.owner.rest().get("/v1/rooms/a?replica=local").await.body;
        json!([local["hash"], local["next"]])
    }
}

impl Refused {
    fn body(&self) -> Value {
        let mut body = json!({ "messages": self.messages });
        if let Some(expect) = self.expect {
            body["expect"] = expect.into();
        }
        body
    }

    /// The error names its items, and nothing else.
    fn check(&self, error: &Value, way: &str) {
        let what = self.what;
        assert_eq!(
            (&error["code"], &error["retry"]),
            (&json!(self.code), &json!(false)),
            "{what}: {way}: {error}"
        );
        let items = error["items"].as_array().cloned().unwrap_or_default();
        let named: Vec<(u64, String)> = items
            .iter()
            .map(|item| (item["index"].as_u64().unwrap(), item["id"].as_str().unwrap().to_owned()))
            .collect();
        assert_eq!(named, self.items, "{what}: {way}: {error}");
        assert!(items.iter().all(|item| item["reason"].as_str().is_some_and(|why| why.len() > 5)), "{error}");
        assert_eq!(error["next"], self.expect.map_or(Value::Null, |_| json!(4)), "{what}: {way}");
    }
}

#[tokio::test]
async fn publish_that_is_refused_names_each_message_that_is_why_and_stores_none() {
    let mut site = Site::new().await;
    let before = site.room().await;
    for way in Way::ALL {
        let mut client = way.open(&site.owner, &site.other, "a", "ann").await;
        // The test's client of protobuf sends nothing that is refused without the room.
        let is_sent =
            |refused: &Refused| way != Way::FarProto || !matches!(refused.code, "bad_request" | "too_large");
        for refused in site.table().into_iter().filter(is_sent) {
            let mut publish = refused.body();
            publish["room"] = "a".into();
            let error = client.call("publish", publish).await.unwrap_err();
            refused.check(&error, &format!("{way:?}"));
            assert_eq!(site.room().await, before, "{}: {way:?}", refused.what);
        }
    }
    for (node, route) in [(&site.owner, ""), (&site.other, "?route=proxy")] {
        let rest = node.rest().with("roomkeeper-user", "ann");
        for refused in site.table() {
            let answer = rest.post(&format!("/v1/rooms/a/messages{route}"), refused.body()).await;
            assert_eq!(answer.status, refused.status, "{}", refused.what);
            refused.check(&answer.body["error"], "plain HTTP");
            assert_eq!(site.room().await, before, "{}", refused.what);
        }
    }
    // Nobody was pushed anything of it, and the next message is the next one.
    let mut ann = Way::Session.open(&site.owner, &site.other, "a", "ann").await;
    assert_eq!(ann.publish(Some("a"), json!("next")).await, 4);
    assert_eq!(site.watcher.offsets(1).await, [4]);
    assert!(site.watcher.rest_is_quiet().await);
}

/// A known id is another message's, whichever of its sender and its data differs, in a batch as large as may be.
#[tokio::test]
async fn publish_with_one_message_of_somebody_else_names_it_among_a_thousand() {
    let site = Site::new().await;
    for way in Way::ALL {
        let mut bob = way.open(&site.owner, &site.other, "a", "bob").await;
        let mut messages: Vec<Value> = new_ids(999).iter().map(|id| message(id, 1)).collect();
        messages.insert(700, message(&site.stored[2], 3));
        let error = bob.call("publish", json!({ "room": "a", "messages": messages })).await.unwrap_err();
        let expected = json!([{ "index": 700, "id": site.stored[2], "reason": error["items"][0]["reason"] }]);
        assert_eq!((&error["code"], &error["items"]), (&json!("conflict"), &expected), "{way:?}");
    }
}

#[tokio::test]
async fn publish_on_condition_is_stored_whole_or_not_at_all_and_again_as_it_was() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let mut client = way.open(&owner, &other, "a", "ann").await;
        let ids = new_ids(4);
        let publish =
            |ids: &[String], expect: u64| json!({ "room": "a", "messages": numbered(ids), "expect": expect });
        // A room that a refused publish would create is not there.
        assert_eq!(client.code("publish", publish(&ids[..2], 2)).await, "conflict", "{way:?}");
        assert_eq!(client.code("history", json!({ "room": "a", "from": "beginning" })).await, "not_found");
        let first = client.ok("publish", publish(&ids[..2], 1)).await;
        assert_eq!(first["offsets"], json!([1, 2]), "{way:?}");
        // Two writers who saw the same: one of them is told.
        let error = client.call("publish", publish(&ids[2..], 1)).await.unwrap_err();
        assert_eq!((&error["code"], &error["next"]), (&json!("conflict"), &json!(3)), "{way:?}");
        assert_eq!(client.ok("publish", publish(&ids[2..], 3)).await["offsets"], json!([3, 4]));
        // What is stored is answered as stored, before the condition is looked at.
        let again = client.ok("publish", publish(&ids[..2], 1)).await;
        assert_eq!(
            (&again["offsets"], &again["duplicates"]),
            (&json!([1, 2]), &json!([true, true])),
            "{way:?}"
        );
    }
}
