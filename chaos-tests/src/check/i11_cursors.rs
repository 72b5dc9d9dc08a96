//! What I11 says of cursors. A cursor is never lower than anything that was answered before it was asked for, and
//! never higher than anything that was asked for until it was answered: commits whose end nobody knows may count or
//! not. Who follows it begins right behind it, and no message is left out between one follower and the next.

use std::collections::BTreeSet;

use roomkeeper_types::{ConsumerId, Offset, RoomName};

use super::Findings;
use crate::history::{At, Room, Sub};

/// Somebody was told where a cursor is.
struct Told {
    asked: At,
    told: At,
    cursor: Offset,
    by: String,
}

pub(super) fn look(findings: &mut Findings, name: &RoomName, room: &Room) {
    let consumers: BTreeSet<&ConsumerId> = room.commits.iter().map(|commit| &commit.consumer).collect();
    let followed = room.subs.iter().filter_map(|sub| Some(&sub.following.as_ref()?.consumer));
    for consumer in consumers.into_iter().chain(followed).collect::<BTreeSet<_>>() {
        look_at_cursor(findings, name, room, consumer);
        look_at_followers(findings, name, room, consumer);
    }
}

/// Everything that was told of a cursor.
fn told(room: &Room, consumer: &ConsumerId) -> Vec<Told> {
    let commits = room.commits.iter().filter(|commit| commit.consumer == *consumer).filter_map(|commit| {
        let (told, cursor) = commit.asked.done()?;
        let by = format!("commit {}", commit.asked.op);
        Some(Told { asked: commit.asked.invoked, told, cursor: *cursor, by })
    });
    let joins = room.subs.iter().filter_map(|sub| {
        let following = sub.following.as_ref().filter(|following| following.consumer == *consumer)?;
        let by = format!("the join of {}", sub.sub);
        Some(Told { asked: sub.asked?, told: sub.joined, cursor: following.committed, by })
    });
    let last = room.cursors.get(consumer).map(|cursor| {
        let end = At(u64::MAX);
        Told { asked: end, told: end, cursor: *cursor, by: "the last look".to_owned() }
    });
    commits.chain(joins).chain(last).collect()
}

fn look_at_cursor(findings: &mut Findings, name: &RoomName, room: &Room, consumer: &ConsumerId) {
    let mut told = told(room, consumer);
    findings.look(told.len());
    let moment = |told: &Told| (told.told != At(u64::MAX)).then_some(told.told);
    // Not lower than any answer before it was asked for.
    let mut answers: Vec<(At, Offset)> = told.iter().map(|told| (told.told, told.cursor)).collect();
    answers.sort_unstable();
    told.sort_by_key(|told| told.asked);
    let (mut lowest, mut next) = (Offset(0), 0);
    for told in &told {
        while let Some((_, cursor)) = answers.get(next).filter(|(at, _)| *at < told.asked) {
            lowest = lowest.max(*cursor);
            next += 1;
        }
        if told.cursor < lowest {
            findings.wrong(name, moment(told), || {
                format!("the cursor of {consumer} was at {lowest}, and {} by {}", told.cursor, told.by)
            });
        }
    }
    // Not higher than any commit until it was told.
    let commits = room.commits.iter().filter(|commit| commit.consumer == *consumer);
    let mut asked: Vec<(At, Offset)> = commits
        .filter(|commit| commit.asked.may_be_done())
        .map(|commit| (commit.asked.invoked, commit.offset))
        .collect();
    asked.sort_unstable();
    told.sort_by_key(|told| told.told);
    let (mut highest, mut next) = (Offset(0), 0);
    for told in &told {
        while let Some((_, offset)) = asked.get(next).filter(|(at, _)| *at <= told.told) {
            highest = highest.max(*offset);
            next += 1;
        }
        if told.cursor > highest {
            findings.wrong(name, moment(told), || {
                format!(
                    "the cursor of {consumer} is at {} by {}, and nobody committed more than {highest}",
                    told.cursor, told.by
                )
            });
        }
    }
    for commit in room.commits.iter().filter(|commit| commit.consumer == *consumer) {
        if let Some((at, cursor)) = commit.asked.done().filter(|(_, cursor)| **cursor < commit.offset) {
            findings.wrong(name, Some(at), || {
                format!("the commit of {} by {consumer} was answered with {cursor}", commit.offset)
            });
        }
    }
}

fn look_at_followers(findings: &mut Findings, name: &RoomName, room: &Room, consumer: &ConsumerId) {
    // What this consumer was sent so far, without a gap in it as far as I6 says.
    let mut covered = Offset(0);
    for sub in &room.subs {
        let Some(following) = sub.following.as_ref().filter(|following| following.consumer == *consumer)
        else {
            continue;
        };
        findings.look(1);
        let Sub { place, .. } = sub;
        let first = room.log.as_ref().map_or(Offset::FIRST, |log| log.first);
        if place.from != following.committed.next().max(first) {
            findings.wrong(name, Some(sub.joined), || {
                let (sub, from) = (sub.sub, place.from);
                format!("{consumer} had committed {} and was put at {from} as {sub}", following.committed)
            });
        }
        if place.head.get() != following.committed.next().max(first).get() + following.unread {
            findings.wrong(name, Some(sub.joined), || {
                let (unread, head) = (following.unread, place.head);
                format!("{consumer} at {} was told of {unread} unread before {head}", following.committed)
            });
        }
        if place.from > covered.next().max(first) {
            findings.wrong(name, Some(sub.joined), || {
                format!("{consumer} was sent everything up to {covered}, then went on at {}", place.from)
            });
        }
        covered = sub.items().fold(covered, |covered, (_, item)| covered.max(item.offset));
    }
}

#[cfg(test)]
mod tests {
    use super::super::i11_no_regress::check;
    use super::super::sample::{Story, assert_fine, assert_found};

    #[test]
    fn consumer_that_goes_on_where_it_committed_is_fine() {
        let mut story = Story::right();
        let one = story.follow(0, 10);
        story.deliver(one, &[(1, 1), (2, 2), (3, 3)]);
        let op = story.commit(one, 2);
        story.committed(op, 2);
        let two = story.follow(2, 10);
        story.deliver(two, &[(3, 3), (4, 4)]);
        let op = story.commit(two, 4);
        story.committed(op, 4);
        story.cursor(4);
        // A reader, two commits, two joins, the last look, and two followers.
        assert_fine(&check(&story.load()), 8);
    }

    #[test]
    fn commit_that_ended_unknown_may_count_or_not() {
        for committed in [2, 3] {
            let mut story = Story::right();
            let one = story.follow(0, 10);
            story.deliver(one, &[(1, 1), (2, 2), (3, 3)]);
            let op = story.commit(one, 2);
            story.committed(op, 2);
            let op = story.commit(one, 3);
            story.unknown(op);
            story.follow(committed, 10);
            assert_fine(&check(&story.load()), 6);
        }
    }

    #[test]
    fn cursor_that_goes_back_is_found_by_join_commit_and_last_look() {
        let mut story = Story::right();
        let one = story.follow(0, 10);
        story.deliver(one, &[(1, 1), (2, 2), (3, 3)]);
        let op = story.commit(one, 3);
        story.committed(op, 3);
        let mut joined = story.clone();
        joined.follow(1, 10);
        assert_found(&check(&joined.load()), "was at o3, and o1 by the join of");
        let mut committed = story.clone();
        let op = committed.commit(one, 2);
        committed.committed(op, 2);
        assert_found(&check(&committed.load()), "was at o3, and o2 by commit");
        let mut last = story;
        last.cursor(2);
        assert_found(&check(&last.load()), "was at o3, and o2 by the last look");
    }

    #[test]
    fn cursor_that_nobody_moved_there_is_found() {
        let mut story = Story::right();
        let one = story.follow(0, 10);
        story.deliver(one, &[(1, 1), (2, 2)]);
        let op = story.commit(one, 2);
        story.refused(op, "bad_request");
        story.follow(2, 10);
        assert_found(&check(&story.load()), "is at o2 by the join of");
        let mut low = Story::right();
        let one = low.follow(0, 10);
        let op = low.commit(one, 2);
        low.committed(op, 1);
        assert_found(&check(&low.load()), "the commit of o2 by worker was answered with o1");
    }

    #[test]
    fn follower_put_elsewhere_or_beyond_what_was_sent_is_found() {
        let mut story = Story::right();
        let one = story.follow(0, 10);
        story.deliver(one, &[(1, 1)]);
        let op = story.commit(one, 3);
        story.committed(op, 3);
        let mut elsewhere = story.clone();
        elsewhere.follow_at(3, 3, 10);
        assert_found(&check(&elsewhere.load()), "had committed o3 and was put at o3");
        story.follow(3, 10);
        assert_found(&check(&story.load()), "was sent everything up to o1, then went on at o4");
    }
}
