//! What a replay found, as a table and as JSON.

use std::time::Duration;

use roomkeeper_client::Counts;
use roomkeeper_client::types::{Offset, RoomName};
use serde::Serialize;

use super::company::Members;
use super::compare::Differences;
use super::verify::Replicas;
use crate::cli::print;

/// One room.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RoomReport {
    pub(crate) room: RoomName,
    pub(crate) lines: u64,
    pub(crate) nicks: u64,
    /// Lines acked.
    pub(crate) acked: u64,
    /// The offset that its next message will get, once it was read back.
    pub(crate) next: Option<Offset>,
    /// How its history differs from its log.
    pub(crate) history: Differences,
    /// How what each subscriber saw differs from its log.
    pub(crate) subscribers: Vec<Differences>,
    /// Its members, where they were asked for and it could be played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) members: Option<Members>,
    /// Its copies; none where the room could not be played.
    pub(crate) replicas: Option<Replicas>,
    /// Why it could not be played or read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl RoomReport {
    /// The room is its log, for every reader and on every replica.
    pub(crate) fn is_fine(&self) -> bool {
        self.error.is_none()
            && self.history.is_none()
            && self.subscribers.iter().all(Differences::is_none)
            && self.members.as_ref().is_none_or(Members::is_fine)
            && self.replicas.as_ref().is_some_and(Replicas::is_equal)
    }

    /// The first thing that is not, in words.
    fn first(&self) -> Option<String> {
        let subscriber = || {
            let mut seen = (1..).zip(&self.subscribers);
            seen.find_map(|(n, seen)| seen.first.as_ref().map(|first| format!("subscriber {n}: {first}")))
        };
        let replica = || self.replicas.as_ref().and_then(|replicas| replicas.first.clone());
        let member = || self.members.as_ref().and_then(|members| members.first.clone());
        let first = self.error.clone().or_else(|| self.history.first.clone());
        first.or_else(subscriber).or_else(member).or_else(replica)
    }
}

/// All rooms.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// Every room is its log.
    pub(crate) equal: bool,
    pub(crate) rooms: Vec<RoomReport>,
    pub(crate) lines: u64,
    pub(crate) acked: u64,
    /// Over all rooms and all their readers.
    pub(crate) differences: Differences,
    /// Of the publishing alone.
    pub(crate) seconds: f64,
    pub(crate) acks_per_second: u64,
    pub(crate) reconnects: u64,
    pub(crate) redirects: u64,
    /// Publishes sent again because their answer was lost.
    pub(crate) republished: u64,
}

impl Report {
    pub(crate) fn new(rooms: Vec<RoomReport>, time: Duration, counts: Counts) -> Self {
        let mut differences = Differences::default();
        for room in &rooms {
            differences.add(&room.history);
            room.subscribers.iter().for_each(|seen| differences.add(seen));
        }
        let acked = rooms.iter().map(|room| room.acked).sum();
        Self {
            equal: rooms.iter().all(RoomReport::is_fine),
            lines: rooms.iter().map(|room| room.lines).sum(),
            acked,
            differences,
            seconds: time.as_secs_f64(),
            acks_per_second: print::rate(acked, time),
            reconnects: counts.reconnects,
            redirects: counts.redirects,
            republished: counts.republished,
            rooms,
        }
    }

    /// Whether some room could not be played or read at all.
    pub(crate) fn has_errors(&self) -> bool {
        self.rooms.iter().any(|room| room.error.is_some())
    }

    /// Prints a row per room and a sentence.
    pub(crate) fn show(&self) {
        let heads = [
            "ROOM",
            ">LINES",
            ">NICKS",
            ">ACKED",
            ">LOST",
            ">DOUBLED",
            ">ORDER",
            ">BYTES",
            "SUBSCRIBERS",
            "MEMBERS",
            "REPLICAS",
        ];
        let mut table = print::table(heads);
        for room in &self.rooms {
            let history = &room.history;
            let fine = room.subscribers.iter().filter(|seen| seen.is_none()).count();
            let replicas = room.replicas.as_ref();
            table.add_row([
                room.room.to_string(),
                print::number(room.lines),
                room.nicks.to_string(),
                print::number(room.acked),
                history.missing.to_string(),
                (history.doubled + history.foreign).to_string(),
                (history.out_of_order + history.moved + history.gaps).to_string(),
                history.changed.to_string(),
                format!("{fine}/{} equal", room.subscribers.len()),
                room.members.as_ref().map_or("-".to_owned(), |of| format!("{}/{}", of.present, of.expected)),
                replicas.map_or("-".to_owned(), |r| format!("{}/{} equal", r.equal, r.expected)),
            ]);
        }
        print::show(&table);
        println!();
        for room in self.rooms.iter().filter(|room| !room.is_fine()) {
            println!("{}: {}", room.room, room.first().unwrap_or_else(|| "no replica was found".to_owned()));
        }
        println!("{}", self.sentence());
    }

    /// The members of all rooms together.
    fn members(&self) -> Option<Members> {
        let sum = |a: Members, b: &Members| Members {
            expected: a.expected + b.expected,
            present: a.present + b.present,
            strangers: a.strangers + b.strangers,
            told: a.told + b.told,
            lingering: a.lingering + b.lingering,
            first: a.first.or_else(|| b.first.clone()),
        };
        let mut rooms = self.rooms.iter().filter_map(|room| room.members.as_ref());
        let first = rooms.next()?.clone();
        Some(rooms.fold(first, sum))
    }

    fn sentence(&self) -> String {
        let Differences { missing, doubled, out_of_order, changed, moved, foreign, gaps, .. } =
            self.differences;
        let unequal =
            self.rooms.iter().filter(|room| !room.replicas.as_ref().is_some_and(Replicas::is_equal));
        let copies = match unequal.count() {
            0 => "the replicas of every room are equal".to_owned(),
            n => format!("{} with replicas that are not equal", print::count(n as u64, "room")),
        };
        let members = match self.members() {
            Some(Members { expected, present, strangers, told, .. }) => format!(
                "; {} of {} members there and {strangers} others, {} told of",
                print::number(present as u64),
                print::number(expected as u64),
                print::number(told)
            ),
            None => String::new(),
        };
        let verdict = if self.equal { "EQUAL" } else { "DIFFERENT" };
        format!(
            "{verdict}: {}, {} in {:.1} s ({}/s), {}, {} published again; {missing} lost, {} doubled, \
             {} out of order, {changed} changed, for any reader{members}; {copies}",
            print::count(self.rooms.len() as u64, "room"),
            print::count(self.acked, "line") + " acked",
            self.seconds,
            print::number(self.acks_per_second),
            print::count(self.reconnects, "reconnect"),
            print::number(self.republished),
            doubled + foreign,
            out_of_order + moved + gaps,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> RoomReport {
        RoomReport {
            room: "replay.ubuntu".parse().unwrap(),
            lines: 1_499,
            nicks: 94,
            acked: 1_499,
            next: Some(Offset(1_500)),
            history: Differences::default(),
            subscribers: vec![Differences::default(); 2],
            members: None,
            replicas: Some(Replicas { expected: 3, equal: 3, first: None }),
            error: None,
        }
    }

    fn report(room: RoomReport) -> Report {
        Report::new(vec![room], Duration::from_secs(2), Counts::default())
    }

    #[test]
    fn report_of_equal_rooms_says_so() {
        let report = report(room());
        assert!(report.equal && !report.has_errors());
        let sentence = report.sentence();
        assert!(sentence.starts_with("EQUAL: 1 room, 1,499 lines acked in 2.0 s (750/s)"), "{sentence}");
        assert!(
            sentence.contains("0 lost, 0 doubled, 0 out of order, 0 changed, for any reader"),
            "{sentence}"
        );
    }

    #[test]
    fn report_is_different_for_any_reader_or_replica() {
        let lost =
            Differences { missing: 1, first: Some("line 3 is missing".into()), ..Differences::default() };
        let history = RoomReport { history: lost.clone(), ..room() };
        let subscriber = RoomReport { subscribers: vec![Differences::default(), lost], ..room() };
        let behind = Some(Replicas { expected: 3, equal: 2, first: Some("n3 has no copy".into()) });
        let replica = RoomReport { replicas: behind, ..room() };
        let unplayed = RoomReport { error: Some("cannot reach".into()), ..room() };
        let members = Members {
            expected: 95,
            present: 94,
            strangers: 0,
            told: 94,
            lingering: 0,
            first: Some("ann has joined and is not named".into()),
        };
        let members = RoomReport { members: Some(members), ..room() };
        assert!(
            report(members.clone()).sentence().contains("; 94 of 95 members there and 0 others, 94 told of;")
        );
        for (room, words) in [
            (members, "ann has joined and is not named"),
            (history, "line 3 is missing"),
            (subscriber, "subscriber 2: line 3 is missing"),
            (replica, "n3 has no copy"),
            (unplayed, "cannot reach"),
        ] {
            assert_eq!(room.first().as_deref(), Some(words));
            let report = report(room);
            assert!(!report.equal);
            assert!(report.sentence().starts_with("DIFFERENT"));
        }
    }
}
