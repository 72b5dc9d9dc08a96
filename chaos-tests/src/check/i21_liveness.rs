//! I21, liveness: every room is writable again soon after everything done to the cluster is undone, and every
//! operation ends, in a time that the run names.

use std::time::Duration;

use roomkeeper_types::RoomName;

use super::Findings;
use crate::history::{At, History, Phase, ReadOutcome, Room};

/// From the end of the last fault to an ack in every room.
const WRITABLE_WITHIN: Duration = Duration::from_secs(5);

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    let limit = history.info.op_limit_us.map(Duration::from_micros);
    for (name, room) in &history.rooms {
        look_at_ends(&mut findings, name, room, limit);
        if let Some(healed) = history.phase(Phase::Healed) {
            look_at_recovery(&mut findings, name, room, healed);
        }
    }
    findings
}

fn look_at_ends(findings: &mut Findings, name: &RoomName, room: &Room, limit: Option<Duration>) {
    let sends = room.sends.iter().map(|send| (send.invoke.op, "publish", send.invoked, send.ended));
    let reads = room.reads.iter().map(|read| {
        let ended = if matches!(read.outcome, ReadOutcome::Open) { None } else { read.ended };
        (read.op, "read", read.invoked, ended)
    });
    let placed = room.holds.iter().flat_map(|hold| &hold.placed);
    let placed = placed.map(|asked| (asked.op, "hold", asked.invoked, asked.ended));
    let words = room.holds.iter().flat_map(|hold| &hold.words);
    let words = words.map(|(_, asked)| (asked.op, "word on a hold", asked.invoked, asked.ended));
    let commits = room.commits.iter().map(|commit| &commit.asked);
    let commits = commits.map(|asked| (asked.op, "commit", asked.invoked, asked.ended));
    for (op, what, began, ended) in sends.chain(reads).chain(placed).chain(words).chain(commits) {
        findings.look(1);
        match ended.map(|ended| ended.since(began)) {
            None => findings.wrong(name, Some(began), || format!("{what} {op} never ended")),
            Some(took) if limit.is_some_and(|limit| took > limit) => {
                findings.wrong(name, Some(began), || format!("{what} {op} took {took:?}"));
            }
            Some(_) => {}
        }
    }
}

fn look_at_recovery(findings: &mut Findings, name: &RoomName, room: &Room, healed: At) {
    // A room without load can show nothing.
    if room.sends.iter().all(|send| send.invoked < healed) {
        return;
    }
    findings.look(1);
    let acks = room.sends.iter().filter_map(|send| Some(send.acked()?.0));
    match acks.filter(|at| *at >= healed).min() {
        None => findings.wrong(name, Some(healed), || "nothing was acked after all was undone".to_owned()),
        Some(first) if first.since(healed) > WRITABLE_WITHIN => findings.wrong(name, Some(first), || {
            format!("the first ack came {:?} after all was undone", first.since(healed))
        }),
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    #[test]
    fn operations_that_end_and_acks_after_the_healing_are_fine() {
        let mut story = Story::right();
        story.phase(Phase::Healed);
        let op = story.send(0, &[9]);
        story.ok(op, 1, &[5]);
        assert_fine(&check(&story.load()), 6);
    }

    #[test]
    fn operation_that_never_ends_or_takes_too_long_is_found() {
        let mut open = Story::right();
        open.send(0, &[9]);
        assert_found(&check(&open.load()), "never ended");
        let mut slow = Story::right();
        slow.info.op_limit_us = Some(10_000_000);
        let op = slow.read();
        slow.wait(Duration::from_secs(11));
        slow.read_ok(op, 1, 5);
        assert_found(&check(&slow.load()), "took 11");
    }

    #[test]
    fn room_that_stays_silent_after_the_healing_is_found() {
        let mut story = Story::right();
        story.phase(Phase::Healed);
        let op = story.send(0, &[9]);
        let mut late = story.clone();
        story.info(op);
        assert_found(&check(&story.load()), "nothing was acked after all was undone");
        late.wait(Duration::from_secs(6));
        late.ok(op, 1, &[5]);
        assert_found(&check(&late.load()), "after all was undone");
    }
}
