//! What happens to calls and to a plain subscription when connections end and rooms move.

use roomkeeper_protocol::HistoryOk;

use super::*;
use crate::calls::RATE_PAUSE;

#[test]
fn connect_first_greets_then_joins_then_publishes() {
    let mut story = Story::new();
    story.publish(1);
    story.subscribe(From::Latest, 90);
    story.publish(2);
    assert_eq!(story.said(), [] as [String; 0], "nothing goes out without a connection");
    story.session.connected(None);
    assert_eq!(story.said(), ["hello", "join latest", "publish 1", "publish 2"]);
}

#[test]
fn connection_lost_publishes_the_unanswered_again_in_order() {
    let mut story = Story::new();
    story.session.connected(None);
    for n in 1..=4 {
        story.publish(n);
    }
    assert_eq!(story.said(), ["hello", "publish 1", "publish 2", "publish 3", "publish 4"]);
    story.stored(2, 1);
    story.session.disconnected(lost());
    story.publish(5);
    story.session.connected(None);
    let again = story.sent();
    assert_eq!(
        again,
        [
            (1, "hello".into()),
            (2, "publish 2".into()),
            (3, "publish 3".into()),
            (4, "publish 4".into()),
            (5, "publish 5".into())
        ]
    );
    assert_eq!(story.session.take_republished(), 3);
    for (id, offset) in [(2, 2), (3, 3), (4, 4), (5, 5)] {
        story.stored(id, offset);
    }
    let told = story.told();
    assert_eq!(told, (1..=5).map(|n| Told::Stored(n, n.into())).collect::<Vec<_>>());
    assert!(!story.session.has_work());
}

#[test]
fn connection_lost_resumes_with_exactly_the_missed_messages() {
    let mut story = Story::new();
    story.subscribe(From::Latest, 90);
    story.session.connected(None);
    assert_eq!(story.said(), ["hello", "join latest"]);
    story.joined(2, 7);
    story.push([7, 8]);
    story.session.disconnected(lost());
    story.session.connected(None);
    assert_eq!(story.said(), ["hello", "join o9"]);
    story.joined(2, 9);
    // A new owner that starts a little too early changes nothing.
    story.push([8, 9, 10]);
    story.push([11]);
    assert_eq!(
        story.told(),
        [Told::Joined(90), Told::Items(vec![7, 8]), Told::Resumed, Told::Items(vec![9, 10, 11])]
    );
}

#[test]
fn connection_lost_again_and_again_loses_and_doubles_nothing() {
    let mut story = Story::new();
    story.subscribe(From::Beginning, 90);
    let mut seen = Vec::new();
    for round in 0..20u64 {
        story.session.connected(None);
        let join = story.said()[1].clone();
        let from = 1 + 3 * round;
        assert_eq!(join, if round == 0 { "join beginning".into() } else { format!("join o{from}") });
        story.joined(2, from);
        story.push(from.saturating_sub(2).max(1)..from + 3);
        story.session.disconnected(lost());
        for told in story.told() {
            match told {
                Told::Items(offsets) => seen.extend(offsets),
                Told::Joined(90) | Told::Resumed => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(seen, (1..=60).collect::<Vec<_>>());
}

#[test]
fn push_before_the_join_is_answered_is_not_this_subscriptions() {
    let mut story = Story::new();
    story.subscribe(From::Latest, 90);
    story.session.connected(None);
    story.said();
    story.push([3, 4]);
    story.joined(2, 9);
    story.push([9]);
    assert_eq!(story.told(), [Told::Joined(90), Told::Items(vec![9])]);
}

#[test]
fn room_recreated_while_away_ends_with_an_error_and_reaches_no_other_life() {
    let mut story = Story::new();
    story.subscribe(From::Beginning, 90);
    story.session.connected(None);
    story.said();
    story.joined(2, 1);
    story.push([1]);
    story.publish(1);
    assert_eq!(story.said(), ["publish 1"], "a joined socket is bound to its life");
    story.session.disconnected(lost());
    story.session.connected(None);
    assert_eq!(story.said(), ["hello", "join o2", "publish 1 of this life"]);
    story.refused(2, ErrorCode::Recreated);
    story.refused(3, ErrorCode::Recreated);
    assert_eq!(
        story.told(),
        [Told::Joined(90), Told::Items(vec![1]), Told::Over(Some("recreated")), Told::Failed(1, "recreated")]
    );
}

#[test]
fn publish_unknown_ends_the_connection_and_keeps_the_order() {
    let mut story = Story::new();
    story.session.connected(None);
    for n in 1..=3 {
        story.publish(n);
    }
    story.said();
    story.stored(2, 1);
    story.refused(3, ErrorCode::Unavailable);
    assert_eq!(story.told(), [Told::Stored(1, 1), Told::Reconnect]);
    story.session.disconnected(lost());
    story.session.connected(None);
    assert_eq!(story.said(), ["hello", "publish 2", "publish 3"]);
}

#[test]
fn publish_rate_limited_is_sent_again_after_a_pause() {
    let mut story = Story::new();
    story.session.connected(None);
    for n in 1..=3 {
        story.publish(n);
    }
    story.said();
    story.refused(2, ErrorCode::RateLimited);
    story.refused(3, ErrorCode::RateLimited);
    story.stored(4, 1);
    story.publish(4);
    assert_eq!(story.said(), [] as [String; 0]);
    story.now += RATE_PAUSE;
    assert_eq!(story.said(), ["publish 1", "publish 2", "publish 4"]);
    assert_eq!(story.told(), [Told::Stored(3, 1)]);
}

#[test]
fn publish_definitely_refused_fails_alone() {
    let mut story = Story::new();
    story.session.connected(None);
    story.publish(1);
    story.publish(2);
    story.said();
    story.refused(2, ErrorCode::Conflict);
    story.stored(3, 1);
    assert_eq!(story.told(), [Told::Failed(1, "conflict"), Told::Stored(2, 1)]);
}

#[test]
fn publish_late_fails_as_unknown_and_its_late_answer_is_ignored() {
    let mut story = Story::new();
    story.session.connected(None);
    story.publish(1);
    story.said();
    story.now += Duration::from_secs(29);
    story.publish(2);
    story.said();
    story.session.tick(story.now);
    assert_eq!(story.told(), []);
    story.now += Duration::from_secs(1);
    story.session.tick(story.now);
    assert_eq!(story.told(), [Told::Failed(1, "deadline")]);
    story.stored(2, 1);
    story.stored(3, 2);
    assert_eq!(story.told(), [Told::Stored(2, 2)]);
}

#[test]
fn publish_late_without_any_connection_names_the_cause() {
    let mut story = Story::new();
    story.publish(1);
    story.session.disconnected(lost());
    story.now += Duration::from_secs(30);
    story.session.tick(story.now);
    match story.session.effect() {
        Some(Effect::Answer(1, Err(error @ Error::Deadline { .. }))) => {
            assert!(error.is_unknown());
            assert!(error.to_string().contains("http://a:1"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_out_of_order_find_their_callers() {
    let mut story = Story::new();
    story.session.connected(None);
    let history = roomkeeper_protocol::History {
        room: RoomRef::default(),
        from: From::Beginning,
        limit: None,
        isolation: Default::default(),
    };
    story.session.call(Command::History(history), 50, story.now + Duration::from_secs(30));
    story.publish(1);
    story.publish(2);
    story.said();
    assert_eq!(story.session.kind_of(2), Some(CommandKind::History));
    assert_eq!(story.session.kind_of(4), Some(CommandKind::Publish));
    assert_eq!(story.session.kind_of(9), None);
    story.stored(4, 2);
    story.stored(3, 1);
    story.reply(2, Ok(Reply::History(HistoryOk { items: Vec::new(), next: Offset(1) })));
    assert_eq!(story.told(), [Told::Stored(2, 2), Told::Stored(1, 1), Told::Joined(50)]);
}

#[test]
fn moved_tells_the_subscriber_and_reconnects() {
    let mut story = Story::new();
    story.subscribe(From::Latest, 90);
    story.session.connected(None);
    story.said();
    story.joined(2, 1);
    story.told();
    let hint = OwnerHint {
        room: room(),
        node: Some(NodeId(2)),
        url: Some("http://b:1".into()),
        epoch: Epoch(2),
        shard: None,
        retry_after_ms: 0,
    };
    story.session.received(ServerFrame::Push(Push::Moved(hint)), story.now);
    assert_eq!(story.told(), [Told::Moved, Told::Reconnect]);
}

/// What the former owner answered before it said so counts; the rest goes to the next one, resumed where it was.
#[test]
fn moved_with_publishes_under_way_sends_them_to_the_next_owner_in_order() {
    let mut story = Story::new();
    story.subscribe(From::Latest, 90);
    story.session.connected(None);
    for n in 1..=3 {
        story.publish(n);
    }
    assert_eq!(story.said(), ["hello", "join latest", "publish 1", "publish 2", "publish 3"]);
    story.joined(2, 1);
    story.stored(3, 1);
    story.push([1]);
    let hint =
        OwnerHint { room: room(), node: None, url: None, epoch: Epoch(2), shard: None, retry_after_ms: 40 };
    story.session.received(ServerFrame::Push(Push::Moved(hint)), story.now);
    assert_eq!(
        story.told(),
        [Told::Joined(90), Told::Stored(1, 1), Told::Items(vec![1]), Told::Moved, Told::Reconnect]
    );
    story.session.disconnected(lost());
    assert!(!story.session.awaits_answer());
    story.publish(4);
    story.session.connected(None);
    let again =
        ["hello", "join o2", "publish 2 of this life", "publish 3 of this life", "publish 4 of this life"];
    assert_eq!(story.said(), again);
    assert!(story.session.awaits_answer());
    story.joined(2, 2);
    for id in 3..=5 {
        story.stored(id, u64::from(id) - 1);
    }
    let told = [Told::Resumed, Told::Stored(2, 2), Told::Stored(3, 3), Told::Stored(4, 4)];
    assert_eq!(story.told(), told);
}

#[test]
fn failure_for_good_answers_everyone_now_and_later() {
    let mut story = Story::new();
    story.session.connected(None);
    story.subscribe(From::Latest, 90);
    story.said();
    story.joined(2, 1);
    story.publish(1);
    story.session.fail(Error::Closed { code: 4501, reason: String::new() });
    story.publish(2);
    story.subscribe(From::Latest, 91);
    assert_eq!(
        story.told(),
        [
            Told::Joined(90),
            Told::Failed(1, "closed"),
            Told::Over(Some("closed")),
            Told::GivenUp,
            Told::Failed(2, "closed"),
            Told::Failed(91, "closed")
        ]
    );
}

#[test]
fn subscription_second_is_refused_until_the_first_has_gone() {
    let mut story = Story::new();
    story.session.connected(None);
    story.subscribe(From::Latest, 90);
    story.said();
    story.joined(2, 5);
    story.subscribe(From::Latest, 91);
    assert_eq!(story.told(), [Told::Joined(90), Told::Failed(91, "already subscribed")]);
    story.session.unsubscribe();
    story.subscribe(From::Beginning, 92);
    assert_eq!(story.said(), ["leave", "join beginning"]);
}

#[test]
fn subscription_of_a_range_ends_after_its_last_offset() {
    let mut story = Story::new();
    story.session.connected(None);
    story.subscribe(From::Range(Offset(2), Offset(3)), 90);
    assert_eq!(story.said(), ["hello", "join o2..=o3"]);
    story.joined(2, 2);
    story.push([2, 3]);
    assert_eq!(story.told(), [Told::Joined(90), Told::Items(vec![2, 3]), Told::Over(None)]);
}

#[test]
fn greeting_is_given_to_those_who_wait_and_those_who_come_later() {
    let mut story = Story::new();
    let deadline = story.now + Duration::from_secs(30);
    story.session.greet(1, deadline);
    assert!(story.session.has_work());
    story.session.connected(None);
    story.said();
    story.greeted(1);
    story.session.greet(2, deadline);
    assert_eq!(story.told(), [Told::Greeted(1), Told::Greeted(2)]);
    story.session.disconnected(lost());
    story.session.greet(3, deadline);
    story.session.tick(deadline);
    assert_eq!(story.told(), [Told::Failed(3, "deadline")]);
}

#[test]
fn command_too_large_fails_before_it_is_sent() {
    let mut story = Story::new();
    story.session.connected(None);
    story.publish(1);
    let sent = story.sent();
    let error = story.session.check_size(2 << 20).unwrap_err();
    story.session.refuse(sent[1].0, error);
    assert_eq!(story.told(), [Told::Failed(1, "too_large")]);
    assert!(story.session.check_size(1 << 20).is_ok());
}

#[test]
fn reply_to_no_command_ends_the_connection() {
    let mut story = Story::new();
    story.session.connected(None);
    story.said();
    story.refused(0, ErrorCode::BadRequest);
    assert_eq!(story.told(), [Told::Reconnect]);
}

#[test]
fn pauses_after_rate_limited_grow_until_something_succeeds() {
    let mut story = Story::new();
    story.session.connected(None);
    story.publish(1);
    story.said();
    let mut id = 2;
    for pause in [1, 2, 4, 8, 16, 16] {
        story.refused(id, ErrorCode::RateLimited);
        story.now += RATE_PAUSE * pause - Duration::from_millis(1);
        assert_eq!(story.said(), [] as [String; 0], "pause {pause}");
        story.now += Duration::from_millis(1);
        assert_eq!(story.said(), ["publish 1"]);
        id += 1;
    }
    story.stored(id, 1);
    story.publish(2);
    assert_eq!(story.said(), ["publish 2"]);
    story.refused(id + 1, ErrorCode::RateLimited);
    story.now += RATE_PAUSE;
    assert_eq!(story.said(), ["publish 2"]);
}
