//! The server is never more ahead than it was told to be, whatever happens to connections.

use roomkeeper_protocol::{Commit, CommitOk};

use super::*;

fn reads(credit: u64) -> SubscribeOptions {
    SubscribeOptions { credit: Some(credit), ..From::Beginning.into() }
}

fn commits(credit: u64) -> SubscribeOptions {
    SubscribeOptions { credit: Some(credit), ..SubscribeOptions::consumer("mailer".parse().unwrap()) }
}

#[test]
fn credit_without_a_consumer_is_granted_for_what_was_read_half_a_window_at_a_time() {
    let mut story = Story::joined_with(reads(10), 1);
    story.push(1..=10);
    assert_eq!(story.said(), [] as [String; 0], "delivered is not read");
    story.session.read(Offset(4));
    assert_eq!(story.said(), [] as [String; 0]);
    story.session.read(Offset(5));
    assert_eq!(story.said(), ["credit 5"]);
    story.session.read(Offset(10));
    assert_eq!(story.said(), ["credit 5"]);
}

#[test]
fn credit_of_one_is_granted_for_each() {
    let mut story = Story::joined_with(reads(1), 1);
    for offset in 1..=3 {
        story.push([offset]);
        story.session.read(Offset(offset));
        assert_eq!(story.said(), ["credit 1"]);
    }
}

#[test]
fn credit_after_a_reconnect_is_what_is_left_of_it() {
    let mut story = Story::joined_with(reads(10), 1);
    story.push(1..=8);
    story.session.read(Offset(5));
    assert_eq!(story.said(), ["credit 5"]);
    story.lose();
    assert_eq!(story.connect(9), "join o9 credit 7", "8 have come, 5 of them were read: 15 may have come");
    story.session.read(Offset(8));
    story.session.read(Offset(9));
    assert_eq!(story.said(), [] as [String; 0]);
    story.session.read(Offset(10));
    assert_eq!(story.said(), ["credit 5"]);
}

#[test]
fn credit_used_up_before_a_reconnect_stays_used_up() {
    let mut story = Story::joined_with(reads(4), 1);
    story.push(1..=4);
    story.lose();
    story.session.connected(None);
    assert_eq!(story.said(), ["hello", "join o5 credit 0"]);
    // Read while the join is on its way.
    story.session.read(Offset(4));
    assert_eq!(story.said(), [] as [String; 0]);
    story.joined(2, 5);
    assert_eq!(story.said(), ["credit 4"]);
}

#[test]
fn consumer_begins_behind_its_cursor_and_commits_make_room_at_the_server() {
    let mut story = Story::new();
    story.subscribe(commits(3), 90);
    assert_eq!(story.connect(41), "join committed credit 3");
    story.push(41..=43);
    story.session.read(Offset(43));
    assert_eq!(story.said(), [] as [String; 0], "no credit is granted for what is only read");
    story.commit("mailer", 41);
    assert_eq!(story.said(), ["commit o41"]);
    story.reply(3, Ok(Reply::Commit(CommitOk { committed: Offset(41) })));
    story.push([44]);
    assert_eq!(
        story.told(),
        [Told::Joined(90), Told::Items(vec![41, 42, 43]), Told::Joined(70), Told::Items(vec![44])]
    );
}

/// The server sends again what is not committed, as it has to for a consumer that was killed; one that lives
/// on gets nothing twice.
#[test]
fn consumer_after_a_reconnect_goes_on_behind_what_was_processed_without_doubles() {
    let mut story = Story::joined_with(commits(5), 1);
    story.push(1..=5);
    story.commit("mailer", 2);
    assert_eq!(story.said(), ["commit o2"]);
    story.lose();
    story.session.connected(None);
    assert_eq!(story.said(), ["hello", "join o3 credit 5", "commit o2"], "the commit had no answer");
    story.joined(2, 3);
    story.push(3..=7);
    story.told();
    story.lose();
    assert_eq!(story.connect(3), "join o3 credit 5");
    story.push(3..=7);
    story.push([8]);
    assert_eq!(story.told(), [Told::Resumed, Told::Items(vec![8])]);
}

#[test]
fn commit_of_another_consumer_or_beyond_what_came_is_not_what_was_processed() {
    let mut story = Story::joined_with(commits(5), 1);
    story.push(1..=3);
    story.commit("other", 3);
    story.lose();
    assert_eq!(story.connect(1), "join o1 credit 5");
    story.push(1..=3);
    story.commit("mailer", 99);
    story.lose();
    assert_eq!(story.connect(4), "join o4 credit 5");
}

#[test]
fn consumer_without_credit_is_granted_what_it_reads() {
    let mut story = Story::new();
    story.subscribe(SubscribeOptions::consumer("mailer".parse().unwrap()), 90);
    assert_eq!(story.connect(1), "join committed credit 1024");
    story.push(1..=600);
    story.session.read(Offset(600));
    assert_eq!(story.said(), ["credit 600"]);
}

#[test]
fn commit_names_the_life_that_was_joined_until_the_next_join_is_answered() {
    let mut story = Story::joined_with(commits(5), 1);
    story.push([1]);
    story.lose();
    story.commit("mailer", 1);
    story.session.connected(None);
    let mut lives = Vec::new();
    while let Some(request) = story.session.transmit(story.now) {
        match &request.command {
            Command::Commit(Commit { room, .. }) => lives.push(room.life),
            Command::Join(join) => lives.push(join.room.life),
            _ => {}
        }
    }
    assert_eq!(lives, [Some(LIFE), Some(LIFE)]);
}

#[test]
fn credit_refused_ends_the_subscription_as_it_would_stand_still() {
    let mut story = Story::joined_with(reads(2), 1);
    story.push([1, 2]);
    story.session.read(Offset(2));
    assert_eq!(story.said(), ["credit 2"]);
    story.refused(3, ErrorCode::Forbidden);
    assert_eq!(story.told(), [Told::Items(vec![1, 2]), Told::Over(Some("forbidden"))]);
}
