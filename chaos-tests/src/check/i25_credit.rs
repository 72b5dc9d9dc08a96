//! I25, credit is kept to: a consumer is sent no message further above what it has committed than it gave credit
//! for. A commit on its way may count already.

use super::Findings;
use crate::history::{At, History, Room, Sub};

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        for sub in &room.subs {
            for (at, offset, limit) in against_limit(room, sub) {
                findings.look(1);
                if offset > limit {
                    findings.wrong(name, Some(at), || {
                        format!("subscriber {} was sent o{offset}, its credit ends at o{limit}", sub.sub)
                    });
                }
            }
        }
    }
    findings
}

/// Each message that a consumer was sent, and the highest one that it might have been; none for others.
pub(super) fn against_limit<'r>(
    room: &'r Room,
    sub: &'r Sub,
) -> impl Iterator<Item = (At, u64, u64)> + use<'r> {
    let credit = sub.following.as_ref().map(|following| following.credit);
    let is_mine = move |commit: &&crate::history::cursors::Commit| commit.sub == sub.sub && credit.is_some();
    let mut commits = room.commits.iter().filter(is_mine).peekable();
    let mut committed = sub.place.from.get().saturating_sub(1);
    sub.items().filter_map(move |(at, item)| {
        while let Some(commit) = commits.next_if(|commit| commit.asked.invoked <= at) {
            committed = committed.max(commit.offset.get());
        }
        Some((at, item.offset.get(), committed + credit?))
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    #[test]
    fn messages_within_the_credit_are_fine_and_a_commit_raises_it() {
        let mut story = Story::right();
        let sub = story.follow(0, 2);
        story.deliver(sub, &[(1, 1), (2, 2)]);
        story.commit(sub, 1);
        story.deliver(sub, &[(3, 3)]);
        assert_fine(&check(&story.load()), 3);
    }

    #[test]
    fn message_beyond_the_credit_is_found_also_before_the_commit_that_would_allow_it() {
        let mut story = Story::right();
        let sub = story.follow(0, 2);
        story.deliver(sub, &[(1, 1), (2, 2), (3, 3)]);
        story.commit(sub, 1);
        assert_found(&check(&story.load()), "was sent o3, its credit ends at o2");
    }

    #[test]
    fn commit_of_another_follower_gives_no_credit() {
        let mut story = Story::right();
        let (sub, other) = (story.follow(0, 2), story.follow(0, 2));
        story.commit(other, 2);
        story.deliver(sub, &[(1, 1), (2, 2), (3, 3)]);
        assert_found(&check(&story.load()), "its credit ends at o2");
    }
}
