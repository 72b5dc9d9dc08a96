//! What nodes say of themselves: the events in their logs, taken over into a history at the end of a run. Logs
//! survive a `kill -9`, unlike what the admin listener would answer.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use roomkeeper_types::{Epoch, ShardId};

use super::event::{Change, Event, NodeIndex};
use super::recorder::Recorder;

/// The tracing target of a node's events, as its log shows it.
const MARK: &str = " roomkeeper::events: ";

/// Takes over the events of one node's log. Lines that are none are skipped, and so is a node without a log.
///
/// # Errors
/// The log cannot be read.
pub fn take_over(recorder: &Recorder, node: NodeIndex, log: &Path) -> Result<()> {
    if !log.exists() {
        return Ok(());
    }
    let file = File::open(log).with_context(|| format!("cannot open {}", log.display()))?;
    for line in BufReader::new(file).split(b'\n') {
        let line = line.with_context(|| format!("cannot read {}", log.display()))?;
        let line = String::from_utf8_lossy(&line);
        if let Some((wall_us, event)) = parse(node, &line) {
            recorder.record_at(recorder.at_wall(wall_us), event);
        }
    }
    Ok(())
}

/// The event of a line such as
/// `2026-11-20T22:05:13.123456Z  INFO roomkeeper::events: event kind=Election shard="s3" epoch="e2" …`, and its
/// wall clock.
fn parse(node: NodeIndex, line: &str) -> Option<(u64, Event)> {
    let (head, fields) = line.split_once(MARK)?;
    let wall = humantime::parse_rfc3339(head.split_whitespace().next()?).ok()?;
    let wall_us = u64::try_from(wall.duration_since(std::time::UNIX_EPOCH).ok()?.as_micros()).ok()?;
    let number = |key, prefix| field(fields, key)?.strip_prefix(prefix)?.parse::<u64>().ok();
    let shard = number("shard", 's').and_then(|shard| u32::try_from(shard).ok()).map(ShardId);
    let epoch = number("epoch", 'e').map(Epoch);
    let own = |change| Some(Event::Own { shard: shard?, epoch: epoch?, node, change });
    let event = match field(fields, "kind")? {
        "Election" => own(Change::Gain)?,
        "StepDown" => own(Change::Lose)?,
        kind => {
            let reason = field(fields, "reason").unwrap_or_default().to_owned();
            Event::Said { node, kind: snake_case(kind), shard, reason }
        }
    };
    Some((wall_us, event))
}

/// The value of a field, without its quotes.
fn field<'l>(fields: &'l str, key: &str) -> Option<&'l str> {
    let start = fields.match_indices(key).map(|(at, _)| at).find(|at| {
        let before = fields[..*at].chars().next_back();
        before.is_none_or(|c| c == ' ') && fields[at + key.len()..].starts_with('=')
    })?;
    let value = &fields[start + key.len() + 1..];
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => value.split(' ').next(),
    }
}

/// `HandOver` as `hand_over`, which is what the admin listener calls it.
fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(c.to_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "2026-11-20T22:05:13.250000Z  INFO roomkeeper::events: event kind=Election shard=\"s3\" \
                        epoch=\"e12\" from=\"n1\" to=\"n2\" reason=\"elected\" duration=0ns";

    #[test]
    fn election_and_step_down_are_beginning_and_end_of_ownership() {
        let (wall_us, event) = parse(1, LINE).unwrap();
        assert_eq!(wall_us % 1_000_000, 250_000);
        let own = |change| Event::Own { shard: ShardId(3), epoch: Epoch(12), node: 1, change };
        assert_eq!(event, own(Change::Gain));
        assert_eq!(parse(1, &LINE.replace("Election", "StepDown")).unwrap().1, own(Change::Lose));
    }

    #[test]
    fn another_event_is_taken_over_in_its_words() {
        let line = LINE.replace("Election", "HandOver").replace("elected", "drain, node by node");
        let (_, event) = parse(0, &line).unwrap();
        let (kind, reason) = ("hand_over".to_owned(), "drain, node by node".to_owned());
        assert_eq!(event, Event::Said { node: 0, kind, shard: Some(ShardId(3)), reason });
    }

    #[test]
    fn line_that_is_no_event_is_skipped() {
        for line in ["", "noise", "2026-11-20T22:05:13.25Z  INFO roomkeeper::serve: ready", MARK] {
            assert_eq!(parse(0, line), None, "{line}");
        }
    }
}
