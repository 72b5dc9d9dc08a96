//! What I1 and I14 have in common: acked messages that the final log does not have.

use roomkeeper_types::{Offset, RoomName};

use super::Findings;
use crate::history::{At, Log, Room};

/// Looks for the messages of all acks that came at a time of interest.
pub(super) fn look(findings: &mut Findings, name: &RoomName, room: &Room, wanted: impl Fn(At) -> bool) {
    let Some(log) = &room.log else { return };
    let stored = room.stored();
    for send in &room.sends {
        let Some((at, epoch, _)) = send.acked().filter(|(at, ..)| wanted(*at)) else { continue };
        for (content, offset) in send.placed() {
            findings.look(1);
            match stored.get(&content.id) {
                Some(stands) if *stands == offset => {}
                Some(stands) => findings.wrong(name, Some(at), || {
                    format!("{} was acked at {offset} and stands at {stands}", content.id)
                }),
                None if offset < log.first => {}
                None => findings.wrong(name, Some(at), || {
                    let part = part(log, offset);
                    format!("{} is lost {part}, which was acked at {offset} in {epoch}", content.id)
                }),
            }
        }
    }
}

/// Which part of the log a lost offset belongs to: a lost end is what an election gone wrong leaves, a lost
/// beginning a bad snapshot, a lost middle damaged files.
fn part(log: &Log, offset: Offset) -> &'static str {
    let head = log.items.last().map_or(log.first, |item| item.offset.next());
    match log.items.first() {
        _ if offset >= head => "at the end",
        Some(first) if offset < first.offset => "at the beginning",
        _ => "in the middle",
    }
}
