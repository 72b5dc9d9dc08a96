//! Rooms over real sockets, against nodes that redirect, move the room, vanish and lose answers: whatever
//! happens, every message is stored once, in order, and every subscriber sees exactly the log.

#![allow(clippy::unwrap_used, reason = "a panic is a test's failure")]

mod support;

use std::time::{Duration, Instant};

use futures::StreamExt;
use roomkeeper_client::protocol::{Codec, From};
use roomkeeper_client::types::{MessageId, Offset};
use roomkeeper_client::{Client, ClientConfig, Error, Event, Route, Subscription};
use support::{FakeCluster, PATIENCE, id, messages, open, room};
use tokio::time::timeout;

/// The ids of the next `count` messages, which must be dense from offset 1.
async fn read(subscription: &mut Subscription, count: u32) -> Vec<MessageId> {
    let mut ids = Vec::new();
    while ids.len() < count as usize {
        let event = timeout(PATIENCE, subscription.next()).await.expect("events go on").expect("no end");
        if let Event::Items(items) = event.unwrap() {
            for item in items {
                assert_eq!(item.offset, Offset(ids.len() as u64 + 1));
                ids.push(item.id);
            }
        }
    }
    ids
}

/// One publisher with a window of 32 and two subscribers live through every kind of trouble in turn.
async fn live_through_trouble(codec: Codec, route: Route) {
    const ROUNDS: u32 = 24;
    const PER_ROUND: u32 = 100;
    let cluster = FakeCluster::start(3).await;
    let (client, publisher) = open(&cluster, |config| {
        config.codec = codec;
        config.route = route;
        config.window = 32;
    });
    let readers = [client.room(room()), client.room(room())];
    let mut subscriptions = Vec::new();
    for reader in &readers {
        subscriptions.push(reader.subscribe(From::Beginning).await.unwrap());
    }
    let reading = subscriptions.into_iter().map(|mut subscription| {
        tokio::spawn(async move { read(&mut subscription, ROUNDS * PER_ROUND).await })
    });
    let reading: Vec<_> = reading.collect();

    let mut tickets = Vec::new();
    for n in 0..ROUNDS * PER_ROUND {
        if n % PER_ROUND == PER_ROUND / 2 {
            match (n / PER_ROUND) % 6 {
                0 => cluster.move_to(1),
                1 => cluster.drop_connections(),
                2 => cluster.lose_an_answer(),
                3 => cluster.kill_and_move_to(2),
                4 => cluster.refuse_a_publish(),
                _ => cluster.move_to(0),
            }
        }
        tickets.push(publisher.publish_pipelined(messages(n)).await.unwrap());
    }
    for (n, ticket) in tickets.into_iter().enumerate() {
        let ok = timeout(PATIENCE, ticket).await.expect("acks go on").unwrap();
        assert_eq!(ok.offsets, [Offset(n as u64 + 1)]);
    }

    let expected: Vec<MessageId> = (0..ROUNDS * PER_ROUND).map(id).collect();
    assert_eq!(cluster.stored(), expected);
    for reader in reading {
        assert_eq!(reader.await.unwrap(), expected);
    }
    let counts = client.metrics().counts();
    assert!(counts.reconnects >= 24 && counts.redirects > 0 && counts.republished > 0, "{counts:?}");
}

#[tokio::test]
async fn trouble_of_every_kind_over_proto_loses_and_doubles_nothing() {
    live_through_trouble(Codec::Proto, Route::Redirect).await;
}

#[tokio::test]
async fn trouble_of_every_kind_over_json_loses_and_doubles_nothing() {
    live_through_trouble(Codec::Json, Route::Redirect).await;
}

#[tokio::test]
async fn trouble_of_every_kind_with_redirect_frames_loses_and_doubles_nothing() {
    live_through_trouble(Codec::Json, Route::Frame).await;
}

#[tokio::test]
async fn answer_lost_publishes_again_and_stores_once() {
    let cluster = FakeCluster::start(1).await;
    let (client, room) = open(&cluster, |_| {});
    cluster.lose_an_answer();
    let ok = room.publish(messages(1)).await.unwrap();
    assert_eq!((ok.offsets, ok.duplicates), (vec![Offset(1)], vec![true]));
    assert_eq!(cluster.stored(), [id(1)]);
    assert_eq!(client.metrics().counts().republished, 1);
}

#[tokio::test]
async fn owner_missing_waits_for_the_next_one() {
    let cluster = FakeCluster::start(2).await;
    let (_client, room) = open(&cluster, |_| {});
    room.publish(messages(1)).await.unwrap();
    cluster.orphan();
    let ticket = room.publish_pipelined(messages(2)).await.unwrap();
    cluster.kill_and_move_to(1);
    timeout(PATIENCE, ticket).await.expect("an answer").unwrap();
    assert_eq!(cluster.stored(), [id(1), id(2)]);
}

/// A stopped owner keeps its connections open and says nothing, and so it does to whoever is redirected to it
/// meanwhile. Neither may cost more than a moment.
#[tokio::test]
async fn owner_that_is_stopped_is_left_for_the_next_one() {
    let cluster = FakeCluster::start(3).await;
    let (_client, room) = open(&cluster, |_| {});
    let mut subscription = room.subscribe(From::Beginning).await.unwrap();
    room.publish(messages(1)).await.unwrap();
    cluster.freeze_and_move_to(1);
    let begun = Instant::now();
    room.publish(messages(2)).await.unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "left after {took:?}");
    assert_eq!(cluster.stored(), [id(1), id(2)]);
    assert_eq!(read(&mut subscription, 2).await, [id(1), id(2)]);
}

#[tokio::test]
async fn moved_with_a_time_to_wait_waits() {
    let cluster = FakeCluster::start(2).await;
    let (_client, room) = open(&cluster, |_| {});
    let mut subscription = room.subscribe(From::Latest).await.unwrap();
    cluster.ask_to_wait(300);
    let begun = Instant::now();
    cluster.move_to(1);
    let mut next = async || timeout(PATIENCE, subscription.next()).await.expect("an event").unwrap().unwrap();
    assert!(matches!(next().await, Event::Moved(_)));
    assert!(matches!(next().await, Event::Reconnected(_)));
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
}

/// A node that drains closes what it does not own with 4301: to be opened again elsewhere.
#[tokio::test]
async fn close_for_draining_comes_back_and_resumes() {
    let cluster = FakeCluster::start(2).await;
    let (client, room) = open(&cluster, |_| {});
    let mut subscription = room.subscribe(From::Beginning).await.unwrap();
    let mut tickets = Vec::new();
    for n in 0..200 {
        tickets.push(room.publish_pipelined(messages(n)).await.unwrap());
        if n % 50 == 25 {
            cluster.close_connections(4301);
        }
    }
    for (n, ticket) in tickets.into_iter().enumerate() {
        let ok = timeout(PATIENCE, ticket).await.expect("acks go on").unwrap();
        assert_eq!(ok.offsets, [Offset(n as u64 + 1)]);
    }
    assert_eq!(read(&mut subscription, 200).await, (0..200).map(id).collect::<Vec<_>>());
    assert!(client.metrics().counts().reconnects > 0);
}

#[tokio::test]
async fn redirects_in_a_circle_end_with_the_deadline() {
    let cluster = FakeCluster::start_circular(3).await;
    let (_client, room) = open(&cluster, |config| config.deadline = Duration::from_millis(400));
    let error = timeout(PATIENCE, room.publish(messages(1))).await.expect("an answer").unwrap_err();
    match error {
        Error::Deadline { last: Some(last), .. } => {
            assert!(matches!(*last, Error::TooManyRedirects { hops: 4, .. }), "{last}");
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn nobody_there_ends_with_the_deadline_and_says_who_was_asked() {
    let mut config = ClientConfig::new(["http://127.0.0.1:9"]);
    config.deadline = Duration::from_millis(300);
    let room = Client::new(config).unwrap().room(room());
    let error = timeout(PATIENCE, room.connect()).await.expect("an answer").unwrap_err();
    assert!(error.is_retryable());
    assert!(error.to_string().contains("cannot reach http://127.0.0.1:9"), "{error}");
}

#[tokio::test]
async fn close_code_above_4500_gives_up_for_good() {
    let cluster = FakeCluster::start(1).await;
    let (_client, room) = open(&cluster, |_| {});
    let mut subscription = room.subscribe(From::Latest).await.unwrap();
    cluster.close_connections(4501);
    let event = timeout(PATIENCE, subscription.next()).await.expect("an event");
    assert!(matches!(event, Some(Err(Error::Closed { code: 4501, .. }))), "{event:?}");
    assert!(subscription.next().await.is_none());
    assert!(matches!(room.publish(messages(1)).await, Err(Error::Closed { code: 4501, .. })));
}

#[tokio::test]
async fn close_code_unknown_below_4500_comes_back() {
    let cluster = FakeCluster::start(1).await;
    let (client, room) = open(&cluster, |_| {});
    let mut subscription = room.subscribe(From::Beginning).await.unwrap();
    cluster.close_connections(4399);
    let event = timeout(PATIENCE, subscription.next()).await.expect("an event");
    assert!(matches!(event, Some(Ok(Event::Reconnected(_)))), "{event:?}");
    room.publish(messages(1)).await.unwrap();
    assert_eq!(read(&mut subscription, 1).await, [id(1)]);
    assert_eq!(client.metrics().counts().reconnects, 1);
}

#[tokio::test]
async fn reader_that_starts_late_still_sees_everything_once() {
    let cluster = FakeCluster::start(1).await;
    let (client, publisher) = open(&cluster, |config| config.buffer = 1);
    let reader = client.room(room());
    let mut subscription = reader.subscribe(From::Beginning).await.unwrap();
    let mut tickets = Vec::new();
    for n in 0..3000 {
        tickets.push(publisher.publish_pipelined(messages(n)).await.unwrap());
        if n % 1000 == 500 {
            cluster.drop_connections();
        }
    }
    for ticket in tickets {
        ticket.await.unwrap();
    }
    assert_eq!(read(&mut subscription, 3000).await, (0..3000).map(id).collect::<Vec<_>>());
}

/// More answers than the client reads in one go must not fall between two goes.
#[tokio::test]
async fn window_wider_than_one_read_gets_every_answer() {
    let cluster = FakeCluster::start(1).await;
    let (client, room) = open(&cluster, |config| config.window = 2000);
    cluster.orphan();
    let mut tickets = Vec::new();
    for n in 0..2000 {
        tickets.push(room.publish_pipelined(messages(n)).await.unwrap());
    }
    cluster.kill_and_move_to(0);
    for ticket in tickets {
        timeout(PATIENCE, ticket).await.expect("an answer").unwrap();
    }
    assert_eq!(client.metrics().counts().reconnects, 0);
}

#[tokio::test]
async fn handles_dropped_end_the_connection_after_the_last_answer() {
    let cluster = FakeCluster::start(1).await;
    let (_client, room) = open(&cluster, |_| {});
    let ticket = room.publish_pipelined(messages(1)).await.unwrap();
    drop(room);
    timeout(PATIENCE, ticket).await.expect("an answer").unwrap();
    assert_eq!(cluster.stored(), [id(1)]);
}
