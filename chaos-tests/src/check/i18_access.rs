//! I18, nobody is told what its token does not allow: a guest that may read some rooms is refused everything else, is
//! never sent anything of another room, by whichever node and through whichever relay, and nothing at all once its token
//! has run out, but the answer to what was under way; then its socket is closed, unless its node could not do so.

use std::time::Duration;

use super::Findings;
use crate::history::access::{Guest, GuestAsked};
use crate::history::{At, History};

/// How long a token may live on.
const WITHIN: Duration = Duration::from_secs(2);
/// Answers that say nothing about what is allowed: nobody was there to ask.
const NOBODY: [&str; 3] = ["unavailable", "timeout", "internal"];
/// The refusals of what is not allowed, and of whom is nobody any more.
const REFUSALS: [&str; 2] = ["forbidden", "unauthorized"];

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for guest in &history.guests {
        look_at_answers(&mut findings, guest);
        look_at_told(&mut findings, guest);
        look_at_end(&mut findings, history, guest);
    }
    findings
}

fn look_at_answers(findings: &mut Findings, guest: &Guest) {
    let id = guest.guest.guest;
    for (at, GuestAsked { room, command, since, code, .. }) in &guest.asked {
        findings.look(1);
        let is_refusal =
            code.as_deref().is_some_and(|code| REFUSALS.contains(&code) || NOBODY.contains(&code));
        if !guest.may(room, command) && !is_refusal {
            findings.wrong(room, Some(*at), || {
                let answer = code.as_deref().unwrap_or("ok");
                format!("guest {id} may not {command} and was answered {answer}")
            });
        }
        if guest.may(room, command) && code.as_deref() == Some("forbidden") {
            findings.wrong(room, Some(*at), || format!("guest {id} may {command} and was refused it"));
        }
        if *since > guest.guest.expires.after(WITHIN) && !is_refusal {
            findings.wrong(room, Some(*at), || {
                format!("guest {id} could {command} {:?} after its token ran out", overdue(guest, *since))
            });
        }
    }
}

fn look_at_told(findings: &mut Findings, guest: &Guest) {
    let id = guest.guest.guest;
    for (at, told) in &guest.told {
        findings.look(1);
        if !guest.guest.rooms.contains(&told.room) {
            findings.wrong(&told.room, Some(*at), || {
                format!("guest {id} was sent a {} push, and may not read the room", told.push)
            });
        }
        if *at > guest.guest.expires.after(WITHIN) {
            findings.wrong(&told.room, Some(*at), || {
                let late = overdue(guest, *at);
                format!("guest {id} was sent a {} push {late:?} after its token ran out", told.push)
            });
        }
    }
}

fn look_at_end(findings: &mut Findings, history: &History, guest: &Guest) {
    let id = guest.guest.guest;
    let end = guest.end.as_ref().map(|(at, _)| *at);
    let (due, until) = (guest.guest.expires.after(WITHIN), end.unwrap_or(history.end));
    if until <= due {
        return;
    }
    findings.look(1);
    // A node that sleeps or is cut off closes nothing.
    let hurt = history.faults.iter().any(|fault| {
        fault.begun <= until && fault.ended.is_none_or(|ended| ended.after(WITHIN) >= guest.guest.expires)
    });
    if !hurt {
        findings.wrong_of_run(Some(until), || {
            format!("guest {id} still had its socket {:?} after its token ran out", overdue(guest, until))
        });
    }
}

fn overdue(guest: &Guest, at: At) -> Duration {
    at.since(guest.guest.expires)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    #[test]
    fn guest_that_reads_its_room_and_is_refused_the_rest_is_fine() {
        let mut story = Story::right();
        let guest = story.guest(100);
        story.guest_asked(guest, "general", "join", None);
        story.guest_told(guest, "general");
        for command in ["join", "publish", "history"] {
            story.guest_asked(guest, "elsewhere", command, Some("forbidden"));
        }
        story.guest_asked(guest, "general", "publish", Some("forbidden"));
        story.guest_asked(guest, "elsewhere", "join", Some("unavailable"));
        story.wait(Duration::from_millis(100));
        story.guest_closed(guest, Some(4500));
        assert_fine(&check(&story.load()), 7);
    }

    #[test]
    fn guest_that_is_let_do_or_told_too_much_is_found() {
        for (room, command) in [("elsewhere", "join"), ("elsewhere", "history"), ("general", "publish")] {
            let mut story = Story::right();
            let guest = story.guest(100);
            story.guest_asked(guest, room, command, None);
            assert_found(&check(&story.load()), "and was answered ok");
        }
        let mut told = Story::right();
        let guest = told.guest(100);
        told.guest_told(guest, "elsewhere");
        assert_found(&check(&told.load()), "may not read the room");
        // Not even whether the room is there.
        let mut oracle = Story::right();
        let guest = oracle.guest(100);
        oracle.guest_asked(guest, "elsewhere", "history", Some("not_found"));
        assert_found(&check(&oracle.load()), "was answered not_found");
    }

    #[test]
    fn guest_that_is_refused_what_it_may_is_found() {
        let mut story = Story::right();
        let guest = story.guest(100);
        story.guest_asked(guest, "general", "join", Some("forbidden"));
        assert_found(&check(&story.load()), "may join and was refused it");
    }

    #[test]
    fn token_that_lives_on_is_found_by_answers_pushes_and_its_socket() {
        let over = || {
            let mut story = Story::right();
            let guest = story.guest(100);
            story.wait(Duration::from_secs(3));
            (story, guest)
        };
        let (mut asked, guest) = over();
        asked.guest_asked(guest, "general", "history", None);
        assert_found(&check(&asked.load()), "could history");
        let (mut told, guest) = over();
        told.guest_told(guest, "general");
        assert_found(&check(&told.load()), "push 2.9");
        let (mut kept, guest) = over();
        kept.guest_closed(guest, None);
        assert_found(&check(&kept.load()), "still had its socket");
    }

    #[test]
    fn answer_to_what_was_under_way_may_come_late() {
        let mut story = Story::right();
        let guest = story.guest(100);
        story.guest_asked(guest, "general", "join", None);
        let mut lines = story.load();
        for (at, _) in &mut lines.guests[0].asked {
            *at = at.after(Duration::from_secs(5));
        }
        assert_fine(&check(&lines), 1);
    }

    #[test]
    fn socket_on_a_node_that_was_hurt_may_end_late() {
        let mut story = Story::right();
        let guest = story.guest(100);
        story.wait(Duration::from_secs(3));
        story.fault("pause", &[0]);
        story.guest_closed(guest, None);
        assert_fine(&check(&story.load()), 1);
    }
}
