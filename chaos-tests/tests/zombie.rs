//! An owner stopped with SIGSTOP for ten seconds while another node takes over, then continued.
//!
//! The claim (I13): **what is asked after the new owner's first ack is neither acked nor served in the old epoch**,
//! though it waits in the sockets of the old owner, which wakes without knowing that it slept. What was taken on
//! is answered by the new owner, or not at all; subscribers are told to move and are sent nothing more.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use std::time::{Duration, Instant};

use chaos_tests::cluster::Cluster;
use chaos_tests::probe::{End, Http, Socket, socket_url};
use roomkeeper_types::{MessageId, RoomName};
use serde_json::{Value, json};
use tokio::time::sleep;

/// How long the owner is stopped.
const STOPPED: Duration = Duration::from_secs(10);
/// How long the others may take until they ack.
const TAKEN_OVER: Duration = Duration::from_secs(8);

fn message(data: u64) -> Value {
    json!({ "messages": [{ "id": MessageId::generate().to_string(), "data": data }] })
}

/// Publishes until it is acked: the same message, however often.
async fn publish(http: &Http, room: &RoomName, message: &Value) -> Value {
    let (path, begun) = (format!("/v1/rooms/{room}/messages?route=proxy"), Instant::now());
    loop {
        match http.post(&path, message).await {
            Ok(answer) if answer.status == 200 => return answer.body,
            other => assert!(begun.elapsed() < TAKEN_OVER, "{other:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn open(base: &str, room: &RoomName) -> Socket {
    Socket::open(&socket_url(base, &format!("/v1/rooms/{room}/ws")), &[]).await.unwrap()
}

/// The data of a list of items.
fn data(items: &Value) -> Vec<u64> {
    items.as_array().unwrap().iter().map(|item| item["data"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owner_stopped_for_ten_seconds_serves_nothing_of_its_epoch() {
    let mut cluster = Cluster::start(3).await.unwrap();
    let room: RoomName = "zombie".parse().unwrap();
    let owner = cluster.owner_of(&room).await.unwrap();
    let other = Http::new(cluster.url(cluster.other_than_owner_of(&room).await.unwrap())).unwrap();
    let zombie = Http::new(cluster.url(owner)).unwrap();
    let mut subscriber = open(&cluster.url(owner), &room).await;
    let mut publisher = open(&cluster.url(owner), &room).await;
    let mut reader = open(&cluster.url(owner), &room).await;
    subscriber.ok("join", json!({})).await.unwrap();
    let epoch = publisher.ok("publish", message(1)).await.unwrap()["epoch"].as_u64().unwrap();
    assert_eq!(data(&json!(subscriber.messages("zombie", 1).await.unwrap())), [1]);

    let stopped = Instant::now();
    cluster.pause(owner).unwrap();
    let second = publish(&other, &room, &message(2)).await;
    assert!(second["epoch"].as_u64().unwrap() > epoch, "{second}");
    println!("the next owner acked {:?} after the stop", stopped.elapsed());
    // From here on nothing may be acked or served in the old epoch: all of this waits in its sockets.
    let asking = async {
        let path = format!("/v1/rooms/{room}/messages?route=proxy");
        tokio::join!(
            publisher.call("publish", message(3)),
            reader.call("history", json!({ "from": "beginning" })),
            zombie.get(&path),
        )
    };
    let waking = async {
        sleep(STOPPED.saturating_sub(stopped.elapsed())).await;
        cluster.resume(owner).unwrap();
    };
    let ((published, read, listed), ()) = tokio::join!(asking, waking);

    match published.unwrap() {
        Ok(ok) => {
            assert!(ok["epoch"].as_u64().unwrap() > epoch, "{ok}");
            assert_eq!(ok["offsets"], json!([3]));
        }
        Err(error) => assert_eq!(error["code"], "unavailable", "{error}"),
    }
    match read.unwrap() {
        Ok(ok) => assert_eq!(data(&ok["items"])[..2], [1, 2]),
        Err(error) => assert_eq!(error["code"], "unavailable", "{error}"),
    }
    let listed = listed.unwrap();
    match listed.status {
        200 => assert_eq!(data(&listed.body["items"])[..2], [1, 2]),
        status => assert_eq!(status, 503, "{}", listed.body),
    }
    let (pushes, end) = subscriber.rest().await.unwrap();
    assert!(pushes.iter().all(|push| push.get("moved").is_some()), "{pushes:?}");
    assert_eq!((pushes.len(), end), (1, End::Code(4300)), "{pushes:?}");
    publish(&other, &room, &message(4)).await;
}
