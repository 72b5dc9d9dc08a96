//! A chat log read from a file, ready to be played into a room.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use roomkeeper_client::types::{RoomName, UserId};

use super::line::{parse, user};
use super::wire::{Ids, data};

/// The most bytes of one message's data.
const MESSAGE_MAX: usize = 64 << 10;

/// A log and the room it goes into.
#[derive(Debug)]
pub(crate) struct LogFile {
    /// The room.
    pub(crate) room: RoomName,
    /// The ids of its messages.
    pub(crate) ids: Ids,
    bytes: Vec<u8>,
    lines: Vec<Line>,
    /// Speakers, in the order they first speak.
    pub(crate) nicks: Vec<UserId>,
    /// Who sends all lines, whoever says them: the user of the token that they are sent with.
    sender: Option<UserId>,
}

/// One line: where it stands in the file, and who says it when.
#[derive(Debug)]
struct Line {
    start: usize,
    end: usize,
    nick: usize,
    /// Seconds since the log's first midnight.
    second: Option<u32>,
}

impl LogFile {
    /// Reads a log.
    ///
    /// # Errors
    /// The file cannot be read, has no lines, or has one that is too long for a message.
    pub(crate) fn read(path: &Path, room: RoomName) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::new(bytes, room).with_context(|| format!("cannot play {}", path.display()))
    }

    /// Splits a log into its lines. A last line without a line feed is one too.
    pub(crate) fn new(bytes: Vec<u8>, room: RoomName) -> Result<Self> {
        let mut log = Self {
            ids: Ids::of(&room),
            room,
            bytes: Vec::new(),
            lines: Vec::new(),
            nicks: Vec::new(),
            sender: None,
        };
        let mut known: HashMap<&[u8], usize> = HashMap::new();
        let mut days = Days::default();
        let mut start = 0;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = piece.strip_suffix(b"\n").unwrap_or(piece);
            let number = log.lines.len() + 1;
            if data(line).bytes().len() > MESSAGE_MAX {
                bail!("line {number} does not fit into a message of {MESSAGE_MAX} bytes");
            }
            let spoken = parse(line);
            let nick = *known.entry(spoken.by).or_insert_with(|| {
                log.nicks.push(user(spoken.by));
                log.nicks.len() - 1
            });
            let second = spoken.second.map(|second| days.since_start(second));
            log.lines.push(Line { start, end: start + line.len(), nick, second });
            start += piece.len();
        }
        if log.lines.is_empty() {
            bail!("the file is empty");
        }
        if u32::try_from(log.lines.len()).is_err() {
            bail!("the file has more than {} lines", u32::MAX);
        }
        log.bytes = bytes;
        Ok(log)
    }

    /// Lines in the file.
    pub(crate) fn len(&self) -> u32 {
        // `new` refuses more.
        u32::try_from(self.lines.len()).unwrap_or(u32::MAX)
    }

    /// The bytes of a line, counted from 0.
    pub(crate) fn line(&self, number: u32) -> Option<&[u8]> {
        let line = self.lines.get(number as usize)?;
        Some(&self.bytes[line.start..line.end])
    }

    /// Who says a line.
    pub(crate) fn nick(&self, number: u32) -> Option<&UserId> {
        self.nicks.get(self.lines.get(number as usize)?.nick)
    }

    /// The same log, all lines of which are sent by this user.
    pub(crate) fn sent_by(self, sender: Option<UserId>) -> Self {
        Self { sender, ..self }
    }

    /// By whom a line is sent.
    pub(crate) fn sender(&self, number: u32) -> Option<&UserId> {
        self.sender.as_ref().or(self.nick(number))
    }

    /// By whom any of its lines is sent.
    pub(crate) fn senders(&self) -> BTreeSet<UserId> {
        match &self.sender {
            Some(sender) => BTreeSet::from([sender.clone()]),
            None => self.nicks.iter().cloned().collect(),
        }
    }

    /// When a line was said, in seconds since the log's first midnight.
    pub(crate) fn second(&self, number: u32) -> Option<u32> {
        self.lines.get(number as usize)?.second
    }
}

/// Turns times of day into times since the first midnight: going back by half a day or more means that
/// another day has begun.
#[derive(Debug, Default)]
struct Days {
    days: u32,
    last: u32,
}

impl Days {
    const DAY: u32 = 86_400;

    fn since_start(&mut self, second: u32) -> u32 {
        if second + Self::DAY / 2 <= self.last {
            self.days += 1;
        }
        self.last = second;
        self.days * Self::DAY + second
    }
}

/// The rooms of some files: prefix, dot, the file's name without its ending, in the grammar of room names.
/// Files of the same name get rooms of their own.
///
/// # Errors
/// The prefix is no beginning of a room name.
pub(crate) fn rooms_for(paths: &[PathBuf], prefix: &str) -> Result<Vec<RoomName>> {
    let mut taken: HashMap<String, u32> = HashMap::new();
    paths
        .iter()
        .map(|path| {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | ':' | '-');
            let stem: String = stem.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
            // Room for a number behind it.
            let mut name = format!("{prefix}.{stem}");
            name.truncate(name.floor_char_boundary(RoomName::MAX_LEN - 6));
            let count = taken.entry(name.clone()).or_default();
            *count += 1;
            if *count > 1 {
                name = format!("{name}.{count}");
            }
            name.parse().with_context(|| format!("cannot name a room '{name}': choose another --room-prefix"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(bytes: &[u8]) -> LogFile {
        LogFile::new(bytes.to_vec(), "r".parse().unwrap()).unwrap()
    }

    #[test]
    fn file_splits_into_every_line_as_it_is() {
        let log = log(b"[09:14] <a> one\r\n\n=== x has joined\n[09:15] <caf\xe9> \xe9\n[09:16] <a> last");
        let lines: Vec<&[u8]> = (0..log.len()).filter_map(|n| log.line(n)).collect();
        let expected: [&[u8]; 5] =
            [b"[09:14] <a> one\r", b"", b"=== x has joined", b"[09:15] <caf\xe9> \xe9", b"[09:16] <a> last"];
        assert_eq!(lines, expected);
        let nicks: Vec<&str> = (0..log.len()).filter_map(|n| Some(log.nick(n)?.as_str())).collect();
        assert_eq!(nicks, ["a", "===", "===", "caf?", "a"]);
        assert_eq!(log.nicks.len(), 3);
    }

    #[test]
    fn clock_past_midnight_goes_on() {
        let log = log(b"[23:58] <a> x\n[00:01] <a> y\n[00:00] <b> slightly back\n=== z\n[23:59] <a> w\n");
        let seconds: Vec<Option<u32>> = (0..log.len()).map(|n| log.second(n)).collect();
        let day = 86_400;
        assert_eq!(seconds, [Some(86_280), Some(day + 60), Some(day), None, Some(day + 86_340)]);
    }

    #[test]
    fn file_without_lines_or_with_one_too_long_is_refused() {
        assert!(LogFile::new(Vec::new(), "r".parse().unwrap()).is_err());
        let error = LogFile::new(vec![b'x'; MESSAGE_MAX], "r".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
    }

    #[test]
    fn rooms_are_named_after_files_each_once() {
        let paths = ["logs/ubuntu-2004.txt", "more/ubuntu-2004.txt", "x/#rust café.log"].map(PathBuf::from);
        let rooms = rooms_for(&paths, "replay").unwrap();
        let names: Vec<&str> = rooms.iter().map(RoomName::as_str).collect();
        assert_eq!(names, ["replay.ubuntu-2004", "replay.ubuntu-2004.2", "replay.-rust-caf-"]);
        assert!(rooms_for(&paths, "no spaces").is_err());
        assert_eq!(rooms_for(&[PathBuf::from("x".repeat(300))], "replay").unwrap()[0].as_str().len(), 122);
    }
}
