//! Members, signals, holds and tokens over real sockets.

#![allow(clippy::unwrap_used, reason = "a panic is a test's failure")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::StreamExt;
use roomkeeper_client::protocol::{Data, ErrorCode, From, Isolation};
use roomkeeper_client::types::{MessageId, Offset};
use roomkeeper_client::{ClientConfig, Error, Event, Presence, SubscribeOptions, Subscription, TokenSource};
use support::{FakeCluster, PATIENCE, id, messages, open};
use tokio::time::timeout;

async fn next(subscription: &mut Subscription) -> Event {
    timeout(PATIENCE, subscription.next()).await.expect("an event").expect("no end").unwrap()
}

fn present() -> SubscribeOptions {
    SubscribeOptions { presence: Some(true), ..From::Latest.into() }
}

fn named(user: &str, device: Option<&str>) -> impl FnOnce(&mut ClientConfig) {
    let (user, device) = (user.parse().unwrap(), device.map(str::to_owned));
    move |config| (config.user, config.device) = (Some(user), device)
}

/// The members once they are these, whatever is told before.
async fn members_become(subscription: &mut Subscription, expected: &[&str]) {
    loop {
        if let Event::Presence(presence) = next(subscription).await
            && names(&presence) == expected
        {
            return;
        }
    }
}

fn names(presence: &Presence) -> Vec<String> {
    let name = |member: &roomkeeper_client::protocol::Member| match &member.device {
        Some(device) => format!("{}/{device}", member.user),
        None => member.user.to_string(),
    };
    presence.members.iter().map(name).collect()
}

#[tokio::test]
async fn members_are_right_over_joins_leaves_and_lost_connections() {
    let cluster = FakeCluster::start(2).await;
    let (_ann, ann) = open(&cluster, named("ann", None));
    let mut watching = ann.subscribe(present()).await.unwrap();
    members_become(&mut watching, &["ann"]).await;
    let (_phone, phone) = open(&cluster, named("bob", Some("phone")));
    let on_phone = phone.subscribe(present()).await.unwrap();
    let (_desk, desk) = open(&cluster, named("bob", Some("desk")));
    let at_desk = desk.subscribe(present()).await.unwrap();
    members_become(&mut watching, &["ann", "bob/desk", "bob/phone"]).await;
    let (_cid, cid) = open(&cluster, named("cid", None));
    let hidden = cid.subscribe(From::Latest).await.unwrap();
    drop((on_phone, phone));
    members_become(&mut watching, &["ann", "bob/desk"]).await;

    cluster.kill_and_move_to(1);
    // Their former connections go at moments of their own.
    let both_again = async { while ann.presence().await.unwrap().len() != 2 {} };
    timeout(PATIENCE, both_again).await.expect("both come back");
    drop((at_desk, desk, hidden));
    members_become(&mut watching, &["ann"]).await;
}

#[tokio::test]
async fn signal_reaches_who_is_there_and_is_not_sent_again() {
    let cluster = FakeCluster::start(1).await;
    let (client, room) = open(&cluster, |_| {});
    let other = client.room(support::room());
    let mut subscription = other.subscribe(From::Latest).await.unwrap();
    room.signal(Data::json_string("typing")).await.unwrap();
    match next(&mut subscription).await {
        Event::Signal { data, .. } => assert_eq!(data, Data::json_string("typing")),
        other => panic!("{other:?}"),
    }
    cluster.lose_an_answer();
    let error = room.signal(Data::json_string("lost")).await.unwrap_err();
    assert!(error.is_unknown(), "{error}");
    assert!(matches!(next(&mut subscription).await, Event::Signal { .. }));
    room.publish(messages(1)).await.unwrap();
    assert!(matches!(next(&mut subscription).await, Event::Items(_)), "the signal came once");
}

#[tokio::test]
async fn hold_is_seen_by_those_who_ask_and_by_all_when_confirmed() {
    let cluster = FakeCluster::start(1).await;
    let (client, room) = open(&cluster, |_| {});
    let committed = client.room(support::room());
    let mut committed = committed.subscribe(From::Latest).await.unwrap();
    let minute = Duration::from_secs(60);
    assert!(room.hold(messages(1), minute).await.unwrap().held);

    let curious = client.room(support::room());
    let options = SubscribeOptions { isolation: Isolation::Uncommitted, ..From::Latest.into() };
    let mut curious = curious.subscribe(options).await.unwrap();
    let ids = |event| match event {
        Event::Held { items, .. } => items.iter().map(|item| item.id).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(ids(next(&mut curious).await), [id(1)]);
    room.hold(messages(2), minute).await.unwrap();
    assert_eq!(ids(next(&mut curious).await), [id(2)]);

    // The answer is lost: asked again, the offsets are the same.
    cluster.lose_an_answer();
    assert_eq!(room.confirm(vec![id(2)]).await.unwrap().offsets, [Offset(1)]);
    room.rollback(vec![id(1)]).await.unwrap();
    room.rollback(vec![id(1)]).await.unwrap();
    let offsets = |event| match event {
        Event::Items(items) => items.iter().map(|item| (item.offset, item.id)).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(offsets(next(&mut committed).await), [(Offset(1), id(2))]);
    let mut told = Vec::new();
    while told.len() < 2 {
        match next(&mut curious).await {
            Event::Items(items) => told.push(items[0].id),
            Event::RolledBack(ids) => told.push(ids[0]),
            _ => {}
        }
    }
    assert_eq!(told, [id(2), id(1)]);
    let code = |result: Result<_, Error>| result.map(drop).unwrap_err().code();
    assert_eq!(
        code(room.rollback(vec![id(2)]).await.map(|()| Vec::<MessageId>::new())),
        Some(ErrorCode::TooLate)
    );
    let gone = room.confirm(vec![id(1)]).await.unwrap_err();
    assert_eq!(gone.code(), Some(ErrorCode::Gone));
}

#[tokio::test]
async fn publish_rate_limited_waits_and_is_stored() {
    let cluster = FakeCluster::start(1).await;
    let (_client, room) = open(&cluster, |_| {});
    cluster.limit_a_publish();
    cluster.limit_a_publish();
    let ok = room.publish(messages(1)).await.unwrap();
    assert_eq!(ok.offsets, [Offset(1)]);
}

#[tokio::test]
async fn token_is_renewed_before_it_runs_out_and_the_connection_goes_on() {
    let cluster = FakeCluster::start(1).await;
    cluster.ask_for_token("token 0", Duration::from_secs(2));
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let source = TokenSource::fresh(move || {
        let n = count.fetch_add(1, Ordering::SeqCst);
        async move { Ok::<_, String>(format!("token {n}")) }
    });
    let (client, room) = open(&cluster, |config| config.token = Some(source));
    let mut subscription = room.subscribe(From::Beginning).await.unwrap();
    for n in 1..=3 {
        cluster.ask_for_token(&format!("token {n}"), Duration::from_secs(2));
        room.publish(messages(n)).await.unwrap();
        assert!(matches!(next(&mut subscription).await, Event::Items(_)));
        let renewed = async {
            while asked.load(Ordering::SeqCst) <= n {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, renewed).await.expect("the next token is asked for");
    }
    room.publish(messages(9)).await.unwrap();
    assert_eq!(client.metrics().counts().reconnects, 0);
}

#[tokio::test]
async fn token_that_runs_out_for_good_ends_with_the_servers_words() {
    let cluster = FakeCluster::start(1).await;
    cluster.ask_for_token("secret", Duration::from_millis(300));
    let (_client, room) = open(&cluster, |config| config.token = Some("wrong".into()));
    let error = room.publish(messages(1)).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::Unauthorized), "{error}");
    let (_client, room) = open(&cluster, |config| config.token = Some("secret".into()));
    let mut subscription = room.subscribe(From::Latest).await.unwrap();
    let ended = timeout(PATIENCE, subscription.next()).await.expect("an end");
    assert!(matches!(ended, Some(Err(Error::Closed { code: 4500, .. }))), "{ended:?}");
}

/// As on a laptop that slept: the token ran out while nobody could renew it.
#[tokio::test]
async fn token_that_ran_out_is_replaced_by_a_fresh_one_on_the_next_connection() {
    let cluster = FakeCluster::start(1).await;
    cluster.ask_for_token("good", Duration::from_millis(300));
    let source = TokenSource::fresh(|| async { Ok::<_, String>("good".to_owned()) });
    let (client, room) = open(&cluster, |config| config.token = Some(source));
    let mut subscription = room.subscribe(From::Beginning).await.unwrap();
    loop {
        if let Event::Reconnected(_) = next(&mut subscription).await {
            break;
        }
    }
    room.publish(messages(1)).await.unwrap();
    assert!(client.metrics().counts().reconnects >= 1);
}

#[tokio::test]
async fn token_source_that_has_none_says_so_in_the_end() {
    let cluster = FakeCluster::start(1).await;
    let source = TokenSource::fresh(|| async { Err::<String, _>("the vault is sealed") });
    let (_client, room) = open(&cluster, |config| {
        config.token = Some(source);
        config.deadline = Duration::from_millis(300);
    });
    let error = room.publish(messages(1)).await.unwrap_err();
    assert!(error.to_string().contains("the vault is sealed"), "{error}");
}
