//! Durable consumers over real sockets: whatever happens to processes, connections and owners, every message is
//! processed, none of them is skipped, and the server is never further ahead than it was allowed to be.

#![allow(clippy::unwrap_used, reason = "a panic is a test's failure")]

mod support;

use std::time::Duration;

use futures::StreamExt;
use roomkeeper_client::protocol::From;
use roomkeeper_client::types::{ConsumerId, Offset};
use roomkeeper_client::{Error, Event, Room, SubscribeOptions, Subscription};
use support::{FakeCluster, PATIENCE, messages, open};
use tokio::time::timeout;

fn consumer() -> ConsumerId {
    "mailer".parse().unwrap()
}

fn with_credit(credit: u64) -> SubscribeOptions {
    SubscribeOptions { credit: Some(credit), ..SubscribeOptions::consumer(consumer()) }
}

/// The offsets of the next messages.
async fn offsets(subscription: &mut Subscription) -> Vec<Offset> {
    loop {
        let event = timeout(PATIENCE, subscription.next()).await.expect("events go on").expect("no end");
        if let Event::Items(items) = event.unwrap() {
            return items.iter().map(|item| item.offset).collect();
        }
    }
}

/// Nothing more comes.
async fn is_quiet(subscription: &mut Subscription) -> bool {
    timeout(Duration::from_millis(200), subscription.next()).await.is_err()
}

async fn publish(room: &Room, count: u32) {
    let mut tickets = Vec::new();
    for n in 0..count {
        tickets.push(room.publish_pipelined(messages(n)).await.unwrap());
    }
    for ticket in tickets {
        timeout(PATIENCE, ticket).await.expect("acks go on").unwrap();
    }
}

/// What a process does that is killed after `life` messages, each of them processed and committed. Stops where
/// all `count` messages are there.
async fn process(cluster: &FakeCluster, life: usize, count: u64, done: &mut Vec<u64>) {
    let (_client, room) = open(cluster, |_| {});
    let mut subscription = room.subscribe(with_credit(20)).await.unwrap();
    let mut left = life;
    while done.len() < count as usize {
        for offset in offsets(&mut subscription).await {
            if left == 0 {
                return;
            }
            left -= 1;
            done.push(offset.get());
            let cursor = timeout(PATIENCE, subscription.commit(offset)).await.expect("an answer").unwrap();
            assert_eq!(cursor, offset);
        }
    }
}

#[tokio::test]
async fn consumer_killed_between_messages_processes_each_once_in_order() {
    const COUNT: u64 = 1_000;
    let cluster = FakeCluster::start(2).await;
    let (_client, publisher) = open(&cluster, |_| {});
    let publishing = tokio::spawn(async move { publish(&publisher, COUNT as u32).await });
    let mut done = Vec::new();
    for life in 0..50 {
        process(&cluster, life % 30, COUNT, &mut done).await;
        if life % 10 == 5 {
            cluster.kill_and_move_to(life / 10 % 2);
        }
    }
    process(&cluster, usize::MAX, COUNT, &mut done).await;
    publishing.await.unwrap();
    assert_eq!(done, (1..=COUNT).collect::<Vec<_>>());
    assert!(cluster.most_ahead() <= 20, "{} ahead", cluster.most_ahead());
}

/// Not killed, but its connections are, and owners move, while it lags behind with its commits.
#[tokio::test]
async fn consumer_in_trouble_gets_each_once_and_no_more_than_its_credit() {
    const COUNT: u32 = 1_200;
    let cluster = FakeCluster::start(3).await;
    let (client, room) = open(&cluster, |_| {});
    let publisher = client.room(support::room());
    let publishing = tokio::spawn(async move { publish(&publisher, COUNT).await });
    let mut subscription = room.subscribe(with_credit(50)).await.unwrap();
    let mut seen = Vec::new();
    let mut trouble = 0;
    while seen.len() < COUNT as usize {
        seen.extend(offsets(&mut subscription).await);
        let last = *seen.last().unwrap();
        if last.get() / 100 > trouble {
            trouble = last.get() / 100;
            match trouble % 4 {
                0 => cluster.move_to(1),
                1 => cluster.drop_connections(),
                2 => cluster.lose_an_answer(),
                _ => cluster.kill_and_move_to(2),
            }
        }
        // Ten messages late, so that some of what was sent is always not committed.
        let late = Offset(last.get().saturating_sub(10));
        if late.get() > 0 {
            timeout(PATIENCE, subscription.commit(late)).await.expect("an answer").unwrap();
        }
    }
    publishing.await.unwrap();
    assert_eq!(seen, (1..=COUNT.into()).map(Offset).collect::<Vec<_>>());
    assert!(cluster.most_ahead() <= 50, "{} ahead", cluster.most_ahead());
    assert!(client.metrics().counts().reconnects >= 6);
}

#[tokio::test]
async fn consumer_that_does_not_commit_stops_at_its_credit() {
    let cluster = FakeCluster::start(1).await;
    let (_client, publisher) = open(&cluster, |_| {});
    publish(&publisher, 30).await;
    let (_client, room) = open(&cluster, |_| {});
    let mut subscription = room.subscribe(with_credit(4)).await.unwrap();
    let (unread, committed) = (subscription.joined().unread, subscription.joined().committed);
    assert_eq!((unread, committed), (Some(30), Some(Offset(0))));
    assert_eq!(offsets(&mut subscription).await, (1..=4).map(Offset).collect::<Vec<_>>());
    assert!(is_quiet(&mut subscription).await);
    cluster.drop_connections();
    let event = timeout(PATIENCE, subscription.next()).await.unwrap();
    assert!(matches!(event, Some(Ok(Event::Reconnected(_)))), "{event:?}");
    assert!(is_quiet(&mut subscription).await, "a reconnect is no credit");
    assert_eq!(subscription.commit(Offset(3)).await.unwrap(), Offset(3));
    assert_eq!(offsets(&mut subscription).await, (5..=7).map(Offset).collect::<Vec<_>>());
    assert_eq!(subscription.commit(Offset(1)).await.unwrap(), Offset(3), "a cursor never goes back");
    assert_eq!(room.cursor(consumer()).await.unwrap(), Offset(3));
    assert_eq!(room.cursor("other".parse().unwrap()).await.unwrap(), Offset(0));
    let error = subscription.commit(Offset(99)).await.unwrap_err();
    assert!(error.to_string().contains("no such message"), "{error}");
}

#[tokio::test]
async fn commit_without_a_consumer_says_what_is_missing() {
    let cluster = FakeCluster::start(1).await;
    let (_client, room) = open(&cluster, |_| {});
    let subscription = room.subscribe(From::Latest).await.unwrap();
    assert!(matches!(subscription.commit(Offset(1)).await, Err(Error::NoConsumer)));
}

/// Behind a full buffer the commit's answer must still be found: its sender reads nothing until then.
#[tokio::test]
async fn commit_after_each_of_many_messages_does_not_wait_for_itself() {
    const COUNT: u64 = 3_000;
    let cluster = FakeCluster::start(1).await;
    let (_client, publisher) = open(&cluster, |_| {});
    publish(&publisher, COUNT as u32).await;
    for credit in [None, Some(1_000), Some(1)] {
        let name: ConsumerId = format!("slow-{}", credit.unwrap_or_default()).parse().unwrap();
        let (_client, room) = open(&cluster, |config| config.buffer = 1);
        let options = SubscribeOptions { credit, ..SubscribeOptions::consumer(name.clone()) };
        let mut subscription = room.subscribe(options).await.unwrap();
        let mut last = 0;
        while last < COUNT {
            for offset in offsets(&mut subscription).await {
                assert_eq!(offset.get(), last + 1);
                last = offset.get();
                timeout(PATIENCE, subscription.commit(offset)).await.expect("an answer").unwrap();
            }
        }
        assert_eq!(cluster.cursor(&name), Offset(COUNT));
    }
}

#[tokio::test]
async fn credit_without_a_consumer_flows_with_reading() {
    const COUNT: u64 = 500;
    let cluster = FakeCluster::start(1).await;
    let (_client, room) = open(&cluster, |_| {});
    publish(&room, COUNT as u32).await;
    let options = SubscribeOptions { credit: Some(16), ..From::Beginning.into() };
    let mut subscription = room.subscribe(options).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < COUNT as usize {
        let some = offsets(&mut subscription).await;
        assert!(some.len() <= 16, "{} at once", some.len());
        seen.extend(some);
        if seen.len() % 50 == 0 {
            cluster.drop_connections();
        }
    }
    assert_eq!(seen, (1..=COUNT).map(Offset).collect::<Vec<_>>());
}

#[tokio::test]
async fn message_that_the_server_skipped_is_synced_into_its_place() {
    let cluster = FakeCluster::start(1).await;
    cluster.ask_for_heartbeats(50);
    let (client, room) = open(&cluster, |_| {});
    let mut subscription = room.subscribe(From::Beginning).await.unwrap();
    let mut seen = Vec::new();
    for n in 0..20 {
        if n == 5 {
            cluster.skip_a_message();
        }
        room.publish(messages(n)).await.unwrap();
    }
    while seen.len() < 20 {
        seen.extend(offsets(&mut subscription).await);
    }
    assert_eq!(seen, (1..=20).map(Offset).collect::<Vec<_>>());
    let counts = client.metrics().counts();
    assert_eq!((counts.holes, counts.reconnects, cluster.synced()), (1, 0, 1));
    assert!(is_quiet(&mut subscription).await, "nothing is delivered again");
    assert_eq!(cluster.synced(), 1, "heartbeats that miss nothing get no sync");
}

#[tokio::test]
async fn message_skipped_at_the_end_is_synced_though_nothing_follows_it() {
    let cluster = FakeCluster::start(1).await;
    cluster.ask_for_heartbeats(50);
    let (client, room) = open(&cluster, |_| {});
    let mut subscription = room.subscribe(From::Beginning).await.unwrap();
    cluster.skip_a_message();
    room.publish(messages(1)).await.unwrap();
    assert_eq!(offsets(&mut subscription).await, [Offset(1)]);
    assert_eq!((client.metrics().counts().holes, cluster.synced()), (0, 1));
}
