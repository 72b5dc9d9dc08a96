//! I4, no aborted read: what was definitely refused, at every try, is shown to nobody.

use std::collections::HashMap;

use super::Findings;
use crate::history::{History, Outcome};

pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    for (name, room) in &history.rooms {
        // Per message: the refusal, or `None` once any try may have stored it.
        let mut refused = HashMap::new();
        for send in &room.sends {
            for content in &send.invoke.messages {
                let why = match &send.outcome {
                    Outcome::Fail(why) => Some(why),
                    Outcome::Ok { .. } | Outcome::Info(_) | Outcome::Open => None,
                };
                let known = refused.entry(content.id).or_insert(why);
                *known = known.and(why);
            }
        }
        findings.look(refused.values().flatten().count());
        for (seen, witness) in room.shown() {
            if let Some(Some(why)) = refused.get(&seen.id) {
                findings.wrong(name, None, || {
                    format!("{} at {} was refused ({why}) and shown to {witness}", seen.id, seen.offset)
                });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Story, assert_fine, assert_found};
    use super::*;

    #[test]
    fn refused_message_shown_to_nobody_is_fine() {
        let mut story = Story::right();
        let op = story.send(0, &[9]);
        story.fail(op);
        assert_fine(&check(&story.load()), 1);
    }

    #[test]
    fn refused_message_in_the_log_is_found() {
        let mut story = Story::right().with_log(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 9)]);
        let op = story.send(0, &[9]);
        story.fail(op);
        assert_found(&check(&story.load()), "was refused (no) and shown to the final log");
    }

    #[test]
    fn message_refused_at_one_try_only_may_be_stored() {
        let mut story = Story::right().with_log(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 9)]);
        let op = story.send(0, &[9]);
        story.info(op);
        let again = story.send_again(0, 2, &[9]);
        story.fail(again);
        assert_fine(&check(&story.load()), 0);
    }
}
