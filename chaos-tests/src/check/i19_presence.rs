//! I19, presence converges: once the cluster is quiet every node says exactly who has joined, and who stayed in the room
//! knows it too. Meanwhile nobody who stayed is announced as gone, whatever happened to owners: not by a new one before it
//! could come back, and not by the one that it is with, unless it lost its own socket, as with the node that it was on.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::time::Duration;

use roomkeeper_types::{Epoch, RoomName};

use super::Findings;
use crate::history::presence::{Company, Member};
use crate::history::{At, Ending, History, Phase, Room, Sub, SubEvent};

/// Who has heard nothing of the room for so long has lost it, and may count as gone: a new owner gives members 8 s.
const AWAY: Duration = Duration::from_secs(7);
/// Who lost its socket is back by then.
const BACK_WITHIN: Duration = Duration::from_secs(3);
/// Who leaves is gone by then.
const LEFT_WITHIN: Duration = Duration::from_secs(1);
/// Others who stayed know by then. They are told in batches, and ask again after some seconds what they missed.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in history.rooms.iter().filter(|(_, room)| !room.members.is_empty()) {
        for sub in &room.subs {
            look_at_flaps(&mut findings, name, room, sub);
            look_at_roster(&mut findings, name, room, sub);
        }
        if room.pictures.is_empty() && history.phase(Phase::Drain).is_some() {
            findings.wrong(name, None, || "no node said in the end who is there".to_owned());
        }
        look_at_pictures(&mut findings, name, room);
    }
    findings
}

/// Everything that a subscriber was told of who is there.
fn told(sub: &Sub) -> impl DoubleEndedIterator<Item = (At, &Company)> {
    sub.events.iter().filter_map(|(at, event)| match event {
        SubEvent::Company(company) => Some((*at, company)),
        _ => None,
    })
}

fn look_at_flaps(findings: &mut Findings, name: &RoomName, room: &Room, sub: &Sub) {
    for (at, company) in told(sub) {
        for who in &company.left {
            findings.look(1);
            let stays = room.members.iter().filter(|member| member.name == *who);
            if let Some(member) = stays.clone().find(|member| is_in(member, at, at))
                && room
                    .subs
                    .iter()
                    .find(|other| Some(other.sub) == member.sub)
                    .is_some_and(|own| is_flap(sub, own, at))
            {
                findings.wrong(name, Some(at), || {
                    format!("subscriber {} was told that {who} left, who was in the room", sub.sub)
                });
            }
        }
    }
}

/// Whether it had joined before the first moment, and was not about to leave before the second.
fn is_in(member: &Member, since: At, until: At) -> bool {
    member.joined.is_some_and(|joined| joined < since) && member.left.is_none_or(|left| left > until)
}

/// Whether it is wrong that a subscriber is told then that a member has left, which is that other subscription.
fn is_flap(told: &Sub, member: &Sub, at: At) -> bool {
    let before = member.events.partition_point(|(event, _)| *event < at);
    let heard = member.events[..before].last().map_or(member.joined, |(heard, _)| *heard);
    match epoch_at(member, at).cmp(&epoch_at(told, at)) {
        // A new owner, to whom the member has to come back first.
        Ordering::Less => at.since(heard) < AWAY,
        // Its own socket may have ended.
        Ordering::Equal => {
            let mut comes_back = member.resumes().filter(|(back, _)| *back >= at);
            at.since(heard) < AWAY && comes_back.next().is_none_or(|(back, _)| back.since(at) > BACK_WITHIN)
        }
        // Somebody who has not heard of the new owner yet.
        Ordering::Greater => false,
    }
}

/// The epoch of the owner that a subscription was with then.
fn epoch_at(sub: &Sub, at: At) -> Epoch {
    let resumed = sub.resumes().take_while(|(resumed, _)| *resumed < at).last();
    resumed.map_or(sub.place.epoch, |(_, place)| place.epoch)
}

fn look_at_pictures(findings: &mut Findings, name: &RoomName, room: &Room) {
    let known: BTreeSet<&str> = room.members.iter().map(|member| member.name.as_str()).collect();
    for picture in &room.pictures {
        findings.look(1);
        for who in picture.members.iter().filter(|who| known.contains(who.as_str())) {
            let mut stays = room.members.iter().filter(|member| member.name == *who);
            let may_be = |member: &Member| {
                member.asked <= picture.at
                    && member.left.is_none_or(|left| left.after(LEFT_WITHIN) >= picture.at)
            };
            if !stays.any(may_be) {
                findings.wrong(name, Some(picture.at), || {
                    format!("{} says that {who} is there, who has left", picture.node)
                });
            }
        }
        for member in room.members.iter().filter(|member| is_in(member, picture.at, picture.at)) {
            if !picture.members.contains(&member.name) {
                findings.wrong(name, Some(picture.at), || {
                    format!("{} does not say that {} is there", picture.node, member.name)
                });
            }
        }
    }
}

/// Who left in peace, and was told that all is settled, knew who is there.
fn look_at_roster(findings: &mut Findings, name: &RoomName, room: &Room, sub: &Sub) {
    let Ending::Left(end) = sub.end else { return };
    let Some((_, company)) = told(sub).next_back().filter(|(_, company)| company.settled) else { return };
    let since = At(end.0.saturating_sub(TOLD_WITHIN.as_micros().try_into().unwrap_or(u64::MAX)));
    for member in &room.members {
        findings.look(1);
        let is_told = company.members.contains(&member.name);
        if !is_told && is_in(member, since, end) {
            findings.wrong(name, Some(end), || {
                format!("subscriber {} does not know that {} is there", sub.sub, member.name)
            });
        }
        let again = |other: &Member| other.name == member.name && other.left.is_none_or(|left| left > since);
        if is_told && !room.members.iter().any(again) {
            findings.wrong(name, Some(end), || {
                format!("subscriber {} does not know that {} has left", sub.sub, member.name)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    const LONG: Duration = Duration::from_secs(4);

    /// `ann/a` stays and hears of the room, `bob/b` comes and goes.
    fn story() -> (Story, crate::history::Id) {
        let mut story = Story::right();
        let sub = story.subscribe(1, 5);
        story.enter("ann/a", Some(sub));
        let guest = story.enter("bob/b", None);
        story.company(sub, "bob/b", "", "ann/a bob/b");
        story.exit(guest);
        story.company(sub, "", "bob/b", "ann/a");
        story.wait(LONG);
        (story, sub)
    }

    #[test]
    fn members_who_come_stay_and_go_are_fine() {
        let (mut story, sub) = story();
        story.phase(Phase::Drain);
        story.picture(1, "ann/a someone/else");
        story.picture(2, "ann/a");
        story.leave(sub);
        // Bob's leaving, two pictures, and two members that Ann knows of.
        assert_fine(&check(&story.load()), 5);
    }

    #[test]
    fn flap_is_found_unless_the_member_had_lost_the_room() {
        let (mut story, sub) = story();
        story.company(sub, "", "ann/a", "");
        assert_found(&check(&story.load()), "was told that ann/a left, who was in the room");
        let mut away = Story::right();
        let (sub, other) = (away.subscribe(1, 5), away.subscribe(1, 5));
        away.enter("ann/a", Some(sub));
        away.deliver(sub, &[(1, 1)]);
        away.wait(Duration::from_secs(9));
        away.company(other, "", "ann/a", "");
        assert_fine(&check(&away.load()), 1);
    }

    #[test]
    fn member_whose_own_socket_ended_may_be_announced_as_gone() {
        let (mut story, sub) = story();
        let other = story.subscribe(1, 5);
        story.deliver(sub, &[(1, 1)]);
        story.company(other, "", "ann/a", "");
        let mut back = story.clone();
        assert_found(&check(&story.load()), "was told that ann/a left");
        back.resume(sub, 1, 5);
        back.company(other, "ann/a", "", "ann/a");
        assert_eq!(check(&back.load()).violations(), []);
    }

    #[test]
    fn new_owner_that_announces_who_is_not_back_yet_is_found() {
        let (mut story, sub) = story();
        let other = story.subscribe(1, 5);
        story.deliver(sub, &[(1, 1)]);
        story.resume_in(other, 2);
        story.company(other, "", "ann/a", "");
        story.resume_in(sub, 2);
        assert_found(&check(&story.load()), "was told that ann/a left");
    }

    #[test]
    fn ghost_and_missing_member_in_the_last_picture_are_found() {
        let (mut story, _) = story();
        let mut missing = story.clone();
        story.picture(2, "ann/a bob/b");
        assert_found(&check(&story.load()), "n2 says that bob/b is there, who has left");
        missing.picture(3, "");
        assert_found(&check(&missing.load()), "n3 does not say that ann/a is there");
    }

    #[test]
    fn member_who_has_just_left_may_still_be_shown_for_a_second() {
        let (mut story, _) = story();
        let member = story.enter("eve/e", None);
        story.exit(member);
        story.picture(1, "ann/a eve/e");
        let mut late = story.clone();
        assert_eq!(check(&story.load()).violations(), []);
        late.wait(Duration::from_secs(2));
        late.picture(1, "ann/a eve/e");
        assert_found(&check(&late.load()), "who has left");
    }

    #[test]
    fn run_without_a_last_picture_is_found() {
        let (mut story, _) = story();
        story.phase(Phase::Drain);
        assert_found(&check(&story.load()), "no node said in the end who is there");
    }

    #[test]
    fn subscriber_that_left_with_a_wrong_roster_is_found() {
        let (mut story, sub) = story();
        story.company(sub, "bob/b", "", "ann/a bob/b");
        story.wait(LONG);
        story.leave(sub);
        assert_found(&check(&story.load()), "does not know that bob/b has left");
        let mut untold = Story::right();
        let sub = untold.subscribe(1, 5);
        untold.enter("ann/a", Some(sub));
        untold.enter("bob/b", None);
        untold.company(sub, "ann/a", "", "ann/a");
        untold.wait(LONG);
        untold.leave(sub);
        assert_found(&check(&untold.load()), "does not know that bob/b is there");
    }
}
