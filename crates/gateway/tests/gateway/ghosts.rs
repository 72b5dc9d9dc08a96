//! Joins that come to nothing leave no member behind.

use std::collections::BTreeSet;
use std::time::Duration;

use roomkeeper_gateway::GatewayConfig;
use serde_json::{Value, json};

use crate::common::{Client, Cluster, Gate, Served, Way, config};

fn told() -> Value {
    json!({ "presence": true })
}

fn names(members: &Value) -> BTreeSet<&str> {
    let members = members.as_array().into_iter().flatten();
    members.map(|member| member["user"].as_str().unwrap()).collect()
}

/// Two nodes, of which the first owns everything, where members have a moment to come back after a failover.
async fn nodes() -> (Cluster, Served, Served) {
    let cluster = Cluster::new(4);
    let settings = GatewayConfig { presence_settling: Duration::from_millis(300), ..config() };
    let first = Served::start(&cluster, settings.clone()).await;
    let second = Served::start(&cluster, settings).await;
    cluster.set_owner_of_all(first.id());
    (cluster, first, second)
}

/// Reads on until a push of presence is as it is wanted.
async fn until(client: &mut Client, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let push = client.push().await.unwrap();
        if push["presence"].is_object() && wanted(&push["presence"]) {
            return push["presence"].clone();
        }
    }
}

/// The owner makes the client a member, and loses the room before it has answered.
#[tokio::test]
async fn member_whose_join_was_not_answered_by_an_owner_that_lost_the_room_is_none() {
    for way in Way::ALL {
        for next in ["itself", "another"] {
            let (cluster, owner, other) = nodes().await;
            let shard = cluster.shard_of("a");
            let (mut bob, _) = Way::Session.join((&owner, &other), "a", "bob", told()).await;
            until(&mut bob, |presence| presence["count"] == 1).await;
            let mut ann = way.open(&owner, &other, "a", "ann").await;
            cluster.set_owner_at_next_look(shard, None);
            let refused = ann.call("join", json!({ "room": "a" })).await.unwrap_err();
            assert_eq!(refused["code"], "unavailable", "{way:?}");

            let next = if next == "itself" { owner.id() } else { other.id() };
            cluster.set_owner(shard, Some(next));
            while bob.push().await.unwrap()["moved"].is_null() {}
            bob.ok("join", json!({ "room": "a", "presence": true })).await;
            let picture = until(&mut bob, |presence| presence["members"].is_array()).await;
            assert_eq!(names(&picture["members"]), BTreeSet::from(["bob"]), "{way:?} {picture}");
            assert_eq!(picture["count"], 1, "{way:?} {picture}");
            let asked = bob.ok("presence", json!({ "room": "a" })).await;
            assert_eq!(names(&asked["members"]), BTreeSet::from(["bob"]), "{way:?} {asked}");
            drop(ann);
        }
    }
}

/// The owner's answer is on its way to the client's node when the client goes.
#[tokio::test]
async fn member_whose_client_went_before_its_node_heard_of_the_join_leaves() {
    let (cluster, owner, other) = nodes().await;
    let (mut bob, _) = Way::Session.join((&owner, &other), "a", "bob", told()).await;
    let gate = Gate::before(&owner.url).await;
    cluster.set_url(owner.id(), gate.url.clone());
    for way in [Way::FarSession, Way::FarProto] {
        let mut ann = way.open(&owner, &other, "a", "ann").await;
        // There is a way to the owner.
        ann.publish(Some("a"), json!(1)).await;
        gate.back.hold();
        ann.send("join", json!({ "room": "a" })).await;
        until(&mut bob, |presence| names(&presence["joined"]).contains("ann")).await;
        drop(ann);
        until(&mut bob, |presence| names(&presence["left"]).contains("ann")).await;
        gate.back.let_go();
    }
}
