//! Lists have only what their reader may see.

use serde_json::{Value, json};

use super::{nodes, open, rest, scope, token};
use crate::common::{Cluster, Served};

fn names(list: &Value) -> Vec<String> {
    let rooms = list["rooms"].as_array().unwrap_or_else(|| panic!("{list}"));
    rooms.iter().map(|room| room["room"].as_str().unwrap().to_owned()).collect()
}

async fn list(node: &Served, token: &str, query: &str) -> Value {
    let answer = rest(node, Some(token)).get(&format!("/v1/rooms{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

fn fill(cluster: &Cluster) {
    for n in 0..40 {
        for room in [format!("chat.{n:02}"), format!("log.{n:02}"), format!("~bob:{n:02}")] {
            cluster.append(cluster.shard_of(&room), &room, json!(1));
        }
    }
    cluster.append(cluster.shard_of("~ann:notes"), "~ann:notes", json!(1));
}

#[tokio::test]
async fn list_has_rooms_that_its_reader_may_subscribe_to_or_read_and_no_others() {
    let (cluster, owner, other) = nodes().await;
    fill(&cluster);
    // Two shards each, so that lists come from two nodes.
    cluster.set_owner(roomkeeper_types::ShardId(0), Some(other.id()));
    cluster.set_owner(roomkeeper_types::ShardId(1), Some(other.id()));
    let chat: Vec<String> = (0..40).map(|n| format!("chat.{n:02}")).collect();
    let log: Vec<String> = (0..40).map(|n| format!("log.{n:02}")).collect();
    let own = vec!["~ann:notes".to_owned()];
    let inner: Vec<String> = ["chat.07", "log.07"].map(str::to_owned).to_vec();
    let table = [
        (scope("chat.*", &["subscribe"]), [chat.clone(), own.clone()].concat()),
        (scope("log.*", &["history"]), [log.clone(), own.clone()].concat()),
        (scope("*", &["publish", "create", "delete", "presence"]), own.clone()),
        (scope("*.07", &["history"]), [inner, own.clone()].concat()),
        (scope("*", &["history"]), [chat, log, own.clone()].concat()),
        (json!([]), own),
    ];
    for node in [&owner, &other] {
        for (scopes, expected) in &table {
            let ann = token("ann", scopes.clone());
            let whole = list(node, &ann, "?limit=1000").await;
            assert_eq!(names(&whole), *expected, "{scopes}");
            let mut session = open(node, "/v1/ws", &ann).await;
            assert_eq!(names(&session.ok("rooms", json!({ "limit": 1000 })).await), *expected, "{scopes}");
            // Page by page it is the same, and no page ends at a room that is not seen.
            let (mut paged, mut after) = (Vec::new(), String::new());
            loop {
                let page = list(node, &ann, &format!("?limit=7&after={after}")).await;
                assert!(names(&page).len() <= 7);
                paged.extend(names(&page));
                match page["next"].as_str() {
                    Some(next) => after = next.to_owned(),
                    None => break,
                }
                assert!(expected.contains(&after), "{after} is told to ann");
            }
            assert_eq!(paged, *expected, "{scopes}");
        }
    }
}

#[tokio::test]
async fn prefix_of_a_list_and_of_its_readers_scopes_both_count() {
    let (cluster, owner, _) = nodes().await;
    fill(&cluster);
    let ann = token("ann", scope("chat.1*", &["history"]));
    let teens: Vec<String> = (10..20).map(|n| format!("chat.{n}")).collect();
    assert_eq!(names(&list(&owner, &ann, "?prefix=chat").await), teens);
    assert_eq!(names(&list(&owner, &ann, "?prefix=chat.1").await), teens);
    assert_eq!(names(&list(&owner, &ann, "?prefix=chat.17").await), ["chat.17"]);
    for prefix in ["chat.2", "log", "~bob", "x"] {
        assert!(names(&list(&owner, &ann, &format!("?prefix={prefix}")).await).is_empty(), "{prefix}");
    }
}
