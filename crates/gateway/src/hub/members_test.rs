use std::time::Duration;

use super::*;

fn id(user: &str) -> MemberId {
    MemberId { user: user.parse().unwrap(), device: None }
}

/// What a push says, in a line.
fn said(event: &Event) -> String {
    let Push::Presence(push) = event.push() else { panic!("not of presence") };
    let names = |members: &[Member]| members.iter().map(|m| m.user.as_str()).collect::<Vec<_>>().join(" ");
    let mut line = format!("+[{}] -[{}] {}", names(&push.joined), names(&push.left), push.count);
    if !push.settled {
        line += " unsettled";
    }
    if let Some(members) = &push.members {
        line += &format!(" all[{}]", names(members));
    }
    line
}

fn tell(members: &mut Members, told: &mut Told, now: Instant) -> Option<String> {
    members.announce();
    let (event, until) = members.tell(&"a".parse().unwrap(), *told, now)?;
    *told = until;
    Some(said(&event))
}

fn begun(settles_at: Option<Instant>) -> Members {
    let mut members = Members::default();
    assert!(members.begin(Epoch(1), settles_at));
    members
}

#[test]
fn subscriber_is_told_the_picture_and_then_what_changes() {
    let (mut members, mut told, now) = (begun(None), Told::default(), Instant::now());
    members.enter(&id("ann"), Timestamp(1), None).unwrap();
    assert_eq!(tell(&mut members, &mut told, now).unwrap(), "+[] -[] 1 all[ann]");
    assert_eq!(tell(&mut members, &mut told, now), None);
    members.enter(&id("bob"), Timestamp(2), None).unwrap();
    members.exit(&id("ann"), Epoch(1));
    assert_eq!(tell(&mut members, &mut told, now).unwrap(), "+[bob] -[ann] 1");
    assert_eq!(tell(&mut members, &mut told, now), None);
}

#[test]
fn member_that_comes_and_goes_between_two_looks_cancels_out() {
    let (mut members, mut told, now) = (begun(None), Told::default(), Instant::now());
    members.enter(&id("ann"), Timestamp(1), None).unwrap();
    tell(&mut members, &mut told, now);
    members.enter(&id("bob"), Timestamp(2), None).unwrap();
    members.exit(&id("bob"), Epoch(1));
    members.exit(&id("ann"), Epoch(1));
    members.enter(&id("ann"), Timestamp(3), None).unwrap();
    assert_eq!(tell(&mut members, &mut told, now).unwrap(), "+[] -[] 1");
}

#[test]
fn member_with_two_sockets_leaves_with_the_last() {
    let mut members = begun(None);
    members.enter(&id("ann"), Timestamp(1), Some(1)).unwrap();
    members.enter(&id("ann"), Timestamp(2), Some(1)).unwrap();
    assert_eq!(members.enter(&id("bob"), Timestamp(2), Some(1)), Err(Full(1)));
    members.exit(&id("ann"), Epoch(1));
    assert_eq!(members.count(), 1);
    members.exit(&id("ann"), Epoch(1));
    assert_eq!(members.count(), 0);
    members.exit(&id("ann"), Epoch(1));
    members.enter(&id("bob"), Timestamp(2), Some(1)).unwrap();
}

#[test]
fn new_owner_announces_nobody_until_it_has_settled() {
    let now = Instant::now();
    let settles = now + Duration::from_secs(8);
    let (mut members, mut told) = (begun(Some(settles)), Told::default());
    members.enter(&id("ann"), Timestamp(1), None).unwrap();
    assert_eq!(tell(&mut members, &mut told, now).unwrap(), "+[] -[] 1 unsettled");
    members.enter(&id("bob"), Timestamp(1), None).unwrap();
    members.exit(&id("bob"), Epoch(1));
    assert_eq!(tell(&mut members, &mut told, now), None);
    assert_eq!(tell(&mut members, &mut told, settles).unwrap(), "+[] -[] 1 all[ann]");
}

#[test]
fn later_ownership_begins_anew_and_exits_of_the_former_do_not_count() {
    let (mut members, mut told, now) = (begun(None), Told::default(), Instant::now());
    members.enter(&id("ann"), Timestamp(1), None).unwrap();
    tell(&mut members, &mut told, now);
    assert!(members.begin(Epoch(3), None));
    assert!(!members.begin(Epoch(3), None) && !members.begin(Epoch(2), None));
    members.enter(&id("ann"), Timestamp(2), None).unwrap();
    members.exit(&id("ann"), Epoch(1));
    assert_eq!(members.count(), 1);
    assert_eq!(tell(&mut members, &mut told, now).unwrap(), "+[] -[] 1 all[ann]");
}

#[test]
fn large_room_is_told_as_a_number() {
    let (mut members, mut told, now) = (begun(None), Told::default(), Instant::now());
    tell(&mut members, &mut told, now);
    for number in 0..=SHOWN_MAX {
        members.enter(&id(&format!("user{number}")), Timestamp(1), None).unwrap();
    }
    assert_eq!(tell(&mut members, &mut told, now).unwrap(), format!("+[] -[] {}", SHOWN_MAX + 1));
    assert_eq!(tell(&mut members, &mut Told::default(), now).unwrap(), format!("+[] -[] {}", SHOWN_MAX + 1));
    assert_eq!(members.list().len(), SHOWN_MAX + 1, "who asks is told all");
}

#[test]
fn subscriber_that_is_far_behind_is_told_the_picture() {
    let (mut members, mut told, now) = (begun(None), Told::default(), Instant::now());
    tell(&mut members, &mut told, now);
    for _ in 0..CHANGES_MAX {
        members.enter(&id("ann"), Timestamp(1), None).unwrap();
        members.exit(&id("ann"), Epoch(1));
    }
    members.enter(&id("bob"), Timestamp(1), None).unwrap();
    assert_eq!(tell(&mut members, &mut told, now).unwrap(), "+[] -[] 1 all[bob]");
}
