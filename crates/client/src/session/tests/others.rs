//! Who is there, signals, holds and tokens.

use super::*;

fn present() -> SubscribeOptions {
    SubscribeOptions { presence: Some(true), ..From::Latest.into() }
}

fn members(names: &[&str]) -> Vec<Member> {
    let member = |name: &&str| Member { user: name.parse().unwrap(), device: None, since: Timestamp(1) };
    names.iter().map(member).collect()
}

fn answer(story: &mut Story, id: CommandId, names: &[&str]) {
    story.reply(id, Ok(Reply::Presence(PresenceOk { members: members(names) })));
}

fn presence(joined: &[&str], left: &[&str], count: u64) -> PresencePush {
    let (joined, left) = (members(joined), members(left));
    PresencePush { room: room(), joined, left, count, settled: true, members: None }
}

fn told_presence(text: &str) -> Told {
    Told::Presence(text.to_owned())
}

#[test]
fn members_are_asked_for_after_the_join_and_followed_over_reconnects() {
    let mut story = Story::joined_with(present(), 1);
    assert_eq!(story.sent(), [(3, "presence".to_owned())]);
    answer(&mut story, 3, &["ann", "bob"]);
    story.pushed(Push::Presence(presence(&["cid"], &["bob"], 2)));
    story.lose();
    story.connect(1);
    let id = story.sent()[0].0;
    answer(&mut story, id, &["ann", "dan"]);
    assert_eq!(
        story.told(),
        [
            told_presence("+ann,bob - =ann,bob"),
            told_presence("+cid -bob =ann,cid"),
            Told::Resumed,
            told_presence("+dan -cid =ann,dan")
        ]
    );
}

#[test]
fn members_do_not_flap_while_a_new_owner_gathers_them() {
    let mut story = Story::joined_with(present(), 1);
    story.said();
    answer(&mut story, 3, &["ann", "bob", "cid"]);
    story.told();
    story.lose();
    story.session.connected(None);
    story.said();
    story.greeted(1);
    story.joined_at(2, 1, 2);
    assert_eq!(story.said(), ["presence"]);
    answer(&mut story, 3, &["ann"]);
    let unsettled = PresencePush { settled: false, ..presence(&["bob"], &[], 2) };
    story.pushed(Push::Presence(unsettled));
    let told = story.told();
    assert!(
        told.iter().all(|told| !format!("{told:?}").contains('-') || format!("{told:?}").contains("- ="))
    );
    let picture = PresencePush { members: Some(members(&["ann", "bob"])), ..presence(&[], &[], 2) };
    story.pushed(Push::Presence(picture));
    assert_eq!(story.told(), [told_presence("+ -cid =ann,bob")]);
}

#[test]
fn members_that_nobody_may_ask_for_are_not_asked_for_again() {
    let mut story = Story::joined_with(present(), 1);
    assert_eq!(story.sent(), [(3, "presence".to_owned())]);
    story.refused(3, ErrorCode::Unavailable);
    assert_eq!(story.told(), [], "a question is worth no reconnect");
    story.pass(Duration::from_secs(2));
    assert_eq!(story.sent(), [(4, "presence".to_owned())]);
    story.refused(4, ErrorCode::Forbidden);
    story.pushed(Push::Presence(presence(&["bob"], &[], 2)));
    story.pass(Duration::from_secs(3));
    assert_eq!(story.said(), [] as [String; 0]);
    assert_eq!(story.told(), []);
}

#[test]
fn members_are_no_matter_to_those_who_did_not_ask() {
    let mut story = Story::joined_with(From::Latest.into(), 1);
    story.pushed(Push::Presence(presence(&["bob"], &[], 2)));
    assert_eq!(story.told(), []);
    assert_eq!(story.said(), [] as [String; 0]);
}

#[test]
fn signals_and_holds_are_told_in_their_order_among_messages() {
    let mut story = Story::joined_with(From::Latest.into(), 1);
    story.push([1]);
    story.pushed(Push::Signal { room: room(), from: user(), data: Data::json_string("typing") });
    let held = Item { offset: Offset(0), ..item(9) };
    story.pushed(Push::Held { room: room(), items: vec![held], expires: Timestamp(5) });
    story.push([2]);
    story.pushed(Push::RolledBack { room: room(), ids: vec![MessageId([9; 16])] });
    assert_eq!(
        story.told(),
        [Told::Items(vec![1]), Told::Signal, Told::Held(9), Told::Items(vec![2]), Told::RolledBack(9)]
    );
}

fn signal(story: &mut Story, waiter: u32) {
    let signal = roomkeeper_protocol::Signal { room: RoomRef::default(), data: Data::json_string("typing") };
    story.session.call(Command::Signal(signal), waiter, story.now + Duration::from_secs(30));
}

#[test]
fn signal_is_sent_once_at_most() {
    let mut story = Story::new();
    signal(&mut story, 1);
    story.session.connected(None);
    assert_eq!(story.said(), ["hello", "signal"], "nobody has heard it yet");
    signal(&mut story, 2);
    story.publish(3);
    story.said();
    story.refused(3, ErrorCode::Unavailable);
    assert_eq!(story.told(), [Told::Failed(2, "unavailable")]);
    story.lose();
    assert_eq!(story.told(), [Told::Failed(1, "other")]);
    story.session.connected(None);
    assert_eq!(story.said(), ["hello", "publish 3"]);
}

#[test]
fn signal_rate_limited_was_not_heard_and_is_sent_again() {
    let mut story = Story::new();
    story.session.connected(None);
    signal(&mut story, 1);
    assert_eq!(story.said(), ["hello", "signal"]);
    story.refused(2, ErrorCode::RateLimited);
    story.pass(Duration::from_millis(200));
    assert_eq!(story.said(), ["signal"]);
}

/// The token that a command carries.
fn tokens(story: &mut Story) -> Vec<Option<String>> {
    let mut tokens = Vec::new();
    while let Some(request) = story.session.transmit(story.now) {
        if let Command::Hello(hello) = &request.command {
            tokens.push(hello.token.as_ref().map(|token| token.secret().to_owned()));
        }
    }
    tokens
}

#[test]
fn token_is_replaced_while_connected_and_taken_anew_for_each_connection() {
    let mut story = Story::new();
    story.subscribe(From::Beginning, 90);
    story.session.connected(Some("first".into()));
    assert_eq!(tokens(&mut story), [Some("first".to_owned())]);
    story.greeted_until(1, 7_000);
    story.joined(2, 1);
    story.push([1]);
    story.session.renew("second".into());
    assert_eq!(story.sent(), [(3, "hello".to_owned())]);
    story.greeted_until(3, 9_000);
    story.push([2]);
    assert_eq!(
        story.told(),
        [
            Told::Expires(7_000),
            Told::Joined(90),
            Told::Items(vec![1]),
            Told::Expires(9_000),
            Told::Items(vec![2])
        ]
    );
    story.lose();
    story.session.connected(Some("third".into()));
    assert_eq!(tokens(&mut story), [Some("third".to_owned())]);
}

#[test]
fn token_refused_ends_everything() {
    let mut story = Story::new();
    story.publish(1);
    story.session.connected(Some("old".into()));
    story.said();
    story.refused(1, ErrorCode::Unauthorized);
    assert_eq!(story.told(), [Told::Failed(1, "unauthorized"), Told::GivenUp]);
}
