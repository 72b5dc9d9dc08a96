//! One line of a chat log: who says it, and when.
//!
//! Two formats, both byte strings rather than text, as old logs mix UTF-8 and Latin-1:
//!
//! ```text
//! [21:20] <nick> text                          a message; the text may be empty
//! [21:20]  * nick text                         an action
//! === nick [~host] has joined #ubuntu          a line of the channel itself
//! rust 2018-05-29 [21:20:37] <nick> text       the same with a channel, a date and seconds in front
//! ```

use roomkeeper_client::types::UserId;

/// Who says what nobody says: joins, parts, modes, and lines in no known format.
pub(crate) const CHANNEL: &str = "===";
/// Longest user name, in bytes.
const USER_MAX: usize = 128;

/// What replay needs to know of a line. Its bytes are published as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spoken<'a> {
    /// The speaker's name, or [`CHANNEL`].
    pub(crate) by: &'a [u8],
    /// Second of the day, where the line says it.
    pub(crate) second: Option<u32>,
}

/// Reads a line, without its line feed. Every line is one, whatever its format.
pub(crate) fn parse(line: &[u8]) -> Spoken<'_> {
    let channel = |second| Spoken { by: CHANNEL.as_bytes(), second };
    let Some((second, rest)) = clock(skip_channel_and_date(line)) else { return channel(None) };
    let rest = rest.trim_ascii_start();
    let by = match rest {
        [b'<', rest @ ..] => rest.split(|byte| *byte == b'>').next().filter(|by| by.len() < rest.len()),
        [b'*', b' ', rest @ ..] => rest.trim_ascii_start().split(|byte| *byte == b' ').next(),
        _ => None,
    };
    match by.map(<[u8]>::trim_ascii) {
        Some(by) if !by.is_empty() => Spoken { by, second: Some(second) },
        _ => channel(Some(second)),
    }
}

/// The name as a user name: what is not UTF-8 or not allowed becomes `?`.
pub(crate) fn user(by: &[u8]) -> UserId {
    let mut name: String = String::from_utf8_lossy(by)
        .chars()
        .map(|c| if c.is_control() || c == char::REPLACEMENT_CHARACTER { '?' } else { c })
        .collect();
    while name.len() > USER_MAX {
        name.pop();
    }
    name.parse().unwrap_or_else(|_| {
        // The rules for names are kept above; a name that breaks them all the same is the channel's.
        #[allow(clippy::expect_used, reason = "a constant that the tests parse")]
        CHANNEL.parse().expect("the channel's name is a user name")
    })
}

/// What follows `channel 2018-05-29 `, or all of the line.
fn skip_channel_and_date(line: &[u8]) -> &[u8] {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    match (words.next(), words.next(), words.next()) {
        (Some(_), Some(date), Some(rest)) if is_date(date) => rest,
        _ => line,
    }
}

fn is_date(word: &[u8]) -> bool {
    word.len() == 10
        && word.iter().enumerate().all(|(index, byte)| match index {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// `[HH:MM]` or `[HH:MM:SS]`, and what follows.
fn clock(line: &[u8]) -> Option<(u32, &[u8])> {
    let rest = line.strip_prefix(b"[")?;
    let end = rest.iter().position(|byte| *byte == b']')?;
    let (inside, rest) = (&rest[..end], &rest[end + 1..]);
    let mut parts = inside.split(|byte| *byte == b':').map(two_digits);
    let (hours, minutes) = (parts.next()??, parts.next()??);
    let seconds = match parts.next() {
        None => 0,
        Some(seconds) => seconds?,
    };
    let in_range = hours < 24 && minutes < 60 && seconds <= 60 && parts.next().is_none();
    in_range.then_some((hours * 3600 + minutes * 60 + seconds, rest))
}

fn two_digits(digits: &[u8]) -> Option<u32> {
    match digits {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(u32::from(a - b'0') * 10 + u32::from(b - b'0')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_of_each_format_names_its_speaker_and_second() {
        let at = |h: u32, m: u32, s: u32| Some(h * 3600 + m * 60 + s);
        for (line, by, second) in [
            (&b"[09:14] <crimsun> kleedrac: I'm afraid not"[..], &b"crimsun"[..], at(9, 14, 0)),
            (b"[09:14] <|QuaD-> totem", b"|QuaD-", at(9, 14, 0)),
            (b"[00:00] <a>", b"a", at(0, 0, 0)),
            (b"[00:00] <a> ", b"a", at(0, 0, 0)),
            (b"[23:59] <a> x > y <b> z", b"a", at(23, 59, 0)),
            (b"[07:00]  * Seveas waves", b"Seveas", at(7, 0, 0)),
            (b"rust 2018-05-29 [21:20:37] <steveklabnik> hi", b"steveklabnik", at(21, 20, 37)),
            (b"rust 2018-05-29 [21:20:37] * nick shrugs", b"nick", at(21, 20, 37)),
            (b"#rust-beginners 2018-05-29 [21:20:37] <n> ", b"n", at(21, 20, 37)),
            (b"[10:00] <caf\xe9> latin \xe9 text", b"caf\xe9", at(10, 0, 0)),
            (b"[10:00] < op> padded", b"op", at(10, 0, 0)),
        ] {
            assert_eq!(parse(line), Spoken { by, second }, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn line_of_the_channel_or_of_no_format_is_the_channels() {
        for (line, second) in [
            (&b"=== L0sT [~waa3@raptor.ukc.ac.uk]  has joined #ubuntu"[..], None),
            (b"", None),
            (b"\xff\xfe", None),
            (b"[25:00] <a> no such hour", None),
            (b"[1:00] <a> short", None),
            (b"[10:00:00:00] <a> long", None),
            (b"[10:00", None),
            (b"[10:00] <a no end", Some(36_000)),
            (b"[10:00] <> nobody", Some(36_000)),
            (b"[10:00] <\t> nobody", Some(36_000)),
            (b"[10:00] ", Some(36_000)),
            (b"rust 2018-05-29 === n has joined", None),
        ] {
            let expected = Spoken { by: CHANNEL.as_bytes(), second };
            assert_eq!(parse(line), expected, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn name_of_any_bytes_becomes_a_user_name() {
        assert_eq!(user(b"crimsun").as_str(), "crimsun");
        assert_eq!(user("dvořák".as_bytes()).as_str(), "dvořák");
        assert_eq!(user(b"caf\xe9").as_str(), "caf?");
        assert_eq!(user(b"a\x02b").as_str(), "a?b");
        assert_eq!(user(&[b'x'; 200]).as_str().len(), 128);
        assert_eq!(user("ř".repeat(100).as_bytes()).as_str().len(), 128);
        assert_eq!(user(b"").as_str(), CHANNEL);
    }
}
