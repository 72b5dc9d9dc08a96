//! Heartbeats say what is there, and what they show to be missing is put in its place.

use super::*;

/// Heartbeats are due every 3.5 to 7 s.
const LONGEST: Duration = Duration::from_secs(7);

fn joined() -> Story {
    Story::joined_with(From::Beginning.into(), 1)
}

#[test]
fn heartbeat_says_what_is_there_and_only_while_joined() {
    let mut story = joined();
    story.push([1, 2]);
    story.pass(LONGEST);
    assert_eq!(story.said(), ["heartbeat upto o2 seen []"]);
    story.push([3]);
    story.pass(LONGEST * 3);
    let said = story.said();
    assert!((3..=6).contains(&said.len()), "{said:?}");
    assert!(said.iter().all(|text| text == "heartbeat upto o3 seen []"), "{said:?}");
    story.lose();
    story.pass(LONGEST * 2);
    story.session.connected(None);
    assert_eq!(story.said(), ["hello", "join o4"]);
}

#[test]
fn heartbeat_refused_or_not_answered_changes_nothing() {
    let mut story = joined();
    story.pass(LONGEST);
    let sent = story.session.kind_of(3);
    assert_eq!(sent, None);
    assert_eq!(story.sent(), [(3, "heartbeat upto o0 seen []".to_owned())]);
    story.refused(3, ErrorCode::Unavailable);
    story.pass(LONGEST);
    let id = story.sent()[0].0;
    story.refused(id, ErrorCode::RateLimited);
    assert_eq!(story.told(), []);
    story.publish(1);
    assert_eq!(story.said(), ["publish 1"], "nothing is paused");
}

#[test]
fn sync_of_the_last_messages_is_delivered_and_what_is_known_is_not() {
    let mut story = joined();
    story.push([1, 2]);
    story.sync([2, 3, 4]);
    story.push([3, 4, 5]);
    assert_eq!(story.told(), [Told::Items(vec![1, 2, 3, 4, 5])]);
}

#[test]
fn hole_is_told_in_the_heartbeat_and_filled_by_its_sync_in_order() {
    let mut story = joined();
    story.push([1, 2]);
    story.push([5, 6]);
    story.push([7]);
    assert_eq!(story.told(), [Told::Items(vec![1, 2]), Told::Hole(3)]);
    story.pass(LONGEST);
    assert_eq!(story.said(), ["heartbeat upto o2 seen [5, 6, 7]"]);
    story.sync([3]);
    assert_eq!(story.told(), [Told::Items(vec![3])]);
    story.push([8]);
    assert_eq!(story.told(), []);
    story.sync([4]);
    assert_eq!(story.told(), [Told::Items(vec![4, 5, 6, 7, 8])]);
    story.pass(LONGEST);
    assert_eq!(story.said(), ["heartbeat upto o8 seen []"]);
}

#[test]
fn hole_that_nothing_fills_is_filled_by_another_join() {
    let mut story = joined();
    story.push([1]);
    story.push([3]);
    story.pass(LONGEST * 3);
    assert_eq!(story.told(), [Told::Items(vec![1]), Told::Hole(2), Told::Reconnect]);
    story.lose();
    assert_eq!(story.connect(2), "join o2");
    story.push([2, 3, 4]);
    assert_eq!(story.told(), [Told::Resumed, Told::Items(vec![2, 3, 4])]);
}

#[test]
fn hole_that_is_there_again_after_another_join_is_an_error() {
    let mut story = joined();
    story.push([1]);
    story.push([3]);
    story.pass(LONGEST * 3);
    story.told();
    story.lose();
    story.connect(2);
    story.push([3]);
    assert_eq!(story.told(), [Told::Resumed, Told::Over(Some("gap"))]);
    assert_eq!(story.said().last().unwrap(), "leave");
    story.push([4]);
    assert_eq!(story.told(), []);
}

#[test]
fn hole_with_too_much_behind_it_is_not_waited_for() {
    let mut story = joined();
    story.push(2..=1_500);
    story.pass(Duration::from_millis(100));
    assert_eq!(story.told(), [Told::Hole(1), Told::Reconnect]);
    story.lose();
    assert_eq!(story.connect(1), "join o1");
}

#[test]
fn hole_is_an_error_at_once_for_those_who_look_for_it() {
    let mut story = Story::new();
    story.session.settings.fill_holes = false;
    story.subscribe(From::Beginning, 90);
    story.connect(1);
    story.push([1, 2]);
    story.push([4]);
    assert_eq!(story.told(), [Told::Joined(90), Told::Items(vec![1, 2]), Told::Over(Some("gap"))]);
}
