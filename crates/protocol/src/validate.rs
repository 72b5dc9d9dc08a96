//! The ranges and combinations that commands must keep to: the one copy of these rules, whatever codec or
//! REST form a command came by. The codecs only see to shapes: that a number is a number, a name a name.

use std::collections::HashSet;
use std::hash::Hash;

use roomkeeper_types::{Offset, RoomName, Token};

use crate::{
    Command, Commit, Create, Credit, Data, Error, ErrorCode, From, Heartbeat, Hello, History, HoldRef, Join,
    Limits, NewMessage, Publish, RefusedItem, Rooms, Signal,
};

/// Largest number that a client may send or be sent: JSON numbers are exact below 2^53.
const NUMBER_MAX: u64 = Offset::MAX.0;
/// Longest beginning of a room name, bytes.
const NAME_MAX: usize = 128;
/// Longest device, session and client name, bytes.
const LABEL_MAX: usize = 256;
/// Longest token, bytes.
const TOKEN_MAX: usize = 16 << 10;
/// Longest hold: one day.
const HOLD_MS_MAX: u64 = 86_400_000;
/// Longest wait for a publish's ack: one minute.
const TIMEOUT_MS_MAX: u64 = 60_000;
/// Most items or rooms of one answer.
const LIMIT_MAX: u64 = 1_000;
/// Most messages shown with each room of a list.
const PAGE_MAX: u64 = 100;
/// Most messages that a heartbeat lists of one room.
const SEEN_MAX: usize = 1_000;

/// Checks a command's ranges and combinations.
///
/// # Errors
/// `bad_request` that names the field and says what is expected; `too_large` for what `limits` refuses.
pub fn validate(command: &Command, limits: &Limits) -> Result<(), Error> {
    match command {
        Command::Hello(hello) => check_hello(hello),
        Command::Join(join) => check_join(join),
        Command::Publish(publish) => check_publish(publish, limits),
        Command::Signal(signal) => check_signal(signal, limits),
        Command::History(history) => check_history(history),
        Command::Commit(commit) => check_commit(commit),
        Command::Credit(credit) => check_credit(credit),
        Command::Heartbeat(heartbeat) => check_heartbeat(heartbeat),
        Command::Rooms(rooms) => check_rooms(rooms),
        Command::Create(create) => check_create(create),
        Command::Confirm(hold) | Command::Rollback(hold) => check_hold(hold, limits),
        // Their fields are names, which parse or do not.
        Command::Leave(_) | Command::Presence(_) | Command::Delete(_) => Ok(()),
    }
}

fn check_hello(hello: &Hello) -> Result<(), Error> {
    length("token", hello.token.as_ref().map(Token::secret), 1, TOKEN_MAX)?;
    length("device", hello.device.as_deref(), 1, LABEL_MAX)?;
    length("session", hello.session.as_deref(), 1, LABEL_MAX)?;
    length("client", hello.client.as_deref(), 1, LABEL_MAX)
}

fn check_join(join: &Join) -> Result<(), Error> {
    check_from(join.from)?;
    range("credit", join.credit, 0, NUMBER_MAX)?;
    if join.from == From::Committed && join.consumer.is_none() {
        return Err(Error::bad_request("consumer: expected, as from is \"committed\""));
    }
    Ok(())
}

fn check_history(history: &History) -> Result<(), Error> {
    if matches!(history.from, From::Latest | From::Committed) {
        return Err(Error::bad_request("from: history starts at \"beginning\", an offset or a range"));
    }
    check_from(history.from)?;
    range("limit", history.limit.map(u64::from), 1, LIMIT_MAX)
}

fn check_rooms(rooms: &Rooms) -> Result<(), Error> {
    length("prefix", rooms.prefix.as_deref(), 0, NAME_MAX)?;
    length("after", rooms.after.as_deref(), 0, NAME_MAX)?;
    range("limit", rooms.limit.map(u64::from), 1, LIMIT_MAX)?;
    range("page", rooms.page.map(u64::from), 0, PAGE_MAX)
}

pub(crate) fn check_create(create: &Create) -> Result<(), Error> {
    let options = &create.options;
    range("options.retain_ms", options.retain_ms, 1, NUMBER_MAX)?;
    range("options.retain_messages", options.retain_messages, 1, NUMBER_MAX)?;
    range("options.retain_bytes", options.retain_bytes, 1, NUMBER_MAX)?;
    range("options.max_members", options.max_members.map(u64::from), 1, u32::MAX.into())
}

pub(crate) fn check_signal(signal: &Signal, limits: &Limits) -> Result<(), Error> {
    check_data(&signal.data, limits)
}

pub(crate) fn check_commit(commit: &Commit) -> Result<(), Error> {
    range("offset", Some(commit.offset.0), 0, NUMBER_MAX)
}

fn check_credit(credit: &Credit) -> Result<(), Error> {
    range("more", Some(credit.more), 1, NUMBER_MAX)
}

fn check_heartbeat(heartbeat: &Heartbeat) -> Result<(), Error> {
    for (room, seen) in &heartbeat.rooms {
        let count = seen.seen.len();
        let checked = if count > SEEN_MAX {
            Err(Error::bad_request(format!("seen: expected at most {SEEN_MAX} ids, got {count}")))
        } else {
            range("upto", seen.upto.map(Offset::get), 0, NUMBER_MAX)
        };
        checked.map_err(|error| in_room(room.as_ref().map_or("", RoomName::as_str), error))?;
    }
    match repeated(heartbeat.rooms.iter().map(|(room, _)| room)) {
        Some(_) => Err(Error::bad_request("rooms: expected each room once")),
        None => Ok(()),
    }
}

pub(crate) fn check_hold(hold: &HoldRef, limits: &Limits) -> Result<(), Error> {
    check_count("ids", hold.ids.len(), limits)?;
    match repeated(&hold.ids) {
        Some(index) => {
            Err(Error::bad_request(format!("ids[{index}]: expected distinct ids, this one is twice")))
        }
        None => Ok(()),
    }
}

pub(crate) fn check_publish(publish: &Publish, limits: &Limits) -> Result<(), Error> {
    check_count("messages", publish.messages.len(), limits)?;
    range("expect", publish.expect.map(Offset::get), 1, NUMBER_MAX)?;
    range("hold_ms", publish.hold_ms, 1, HOLD_MS_MAX)?;
    if publish.hold_ms.is_some() && publish.expect.is_some() {
        return Err(Error::bad_request("expect: expected nothing with hold_ms, as a hold has no offset yet"));
    }
    range("timeout_ms", publish.timeout_ms, 1, TIMEOUT_MS_MAX)?;
    let mut refused: Option<Error> = None;
    for (index, message) in publish.messages.iter().enumerate() {
        if let Err(error) = check_message(message, limits) {
            let item = refused_item(index, message, &error);
            // The first says what is wrong; all are listed.
            refused.get_or_insert_with(|| in_message(index, error)).items.push(item);
        }
    }
    refused.map_or_else(|| check_distinct(&publish.messages), Err)
}

fn refused_item(index: usize, message: &NewMessage, error: &Error) -> RefusedItem {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    RefusedItem { id: message.id, index, reason: error.message.clone() }
}

fn check_message(message: &NewMessage, limits: &Limits) -> Result<(), Error> {
    check_data(&message.data, limits)?;
    range("sent", message.sent.map(|sent| sent.millis()), 0, NUMBER_MAX)
}

fn check_data(data: &Data, limits: &Limits) -> Result<(), Error> {
    let len = data.bytes().len();
    if fits(len, limits.max_message) {
        return Ok(());
    }
    let text = format!("data: expected at most {} bytes, got {len}", limits.max_message);
    Err(Error::new(ErrorCode::TooLarge, text))
}

fn check_distinct(messages: &[NewMessage]) -> Result<(), Error> {
    match repeated(messages.iter().map(|message| message.id)) {
        None => Ok(()),
        Some(index) => {
            let error = Error::bad_request("id: expected distinct ids, this one is another message's too");
            let item = refused_item(index, &messages[index], &error);
            Err(Error { items: vec![item], ..in_message(index, error) })
        }
    }
}

/// Where the first value is that was there before.
fn repeated<T: Eq + Hash>(values: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>) -> Option<usize> {
    let mut values = values.into_iter();
    if values.len() < 2 {
        return None;
    }
    let mut seen = HashSet::with_capacity(values.len());
    values.position(|value| !seen.insert(value))
}

fn check_from(from: From) -> Result<(), Error> {
    match from {
        From::Latest | From::Beginning | From::Committed => Ok(()),
        From::Offset(offset) => range("from.offset", Some(offset.0), 1, NUMBER_MAX),
        From::Range(first, last) => {
            range("from.range", Some(first.0), 1, NUMBER_MAX)?;
            range("from.range", Some(last.0), 1, NUMBER_MAX)?;
            if first > last {
                let text = format!("from.range: expected [a, b] with a <= b, got [{}, {}]", first.0, last.0);
                return Err(Error::bad_request(text));
            }
            Ok(())
        }
    }
}

/// The same error, said of one message of a publish.
pub(crate) fn in_message(index: usize, error: Error) -> Error {
    within(&format!("messages[{index}]"), error)
}

/// The same error, said of one room of a heartbeat.
pub(crate) fn in_room(room: &str, error: Error) -> Error {
    within(&format!("rooms.{room}"), error)
}

/// The same error, said of a part of the command.
pub(crate) fn within(part: &str, error: Error) -> Error {
    Error { message: format!("{part}.{}", error.message), ..error }
}

fn check_count(field: &str, count: usize, limits: &Limits) -> Result<(), Error> {
    if count == 0 {
        return Err(Error::bad_request(format!("{field}: expected 1 to {}, got none", limits.max_batch)));
    }
    if fits(count, limits.max_batch) {
        return Ok(());
    }
    let text = format!("{field}: expected 1 to {}, got {count}", limits.max_batch);
    Err(Error::new(ErrorCode::TooLarge, text))
}

fn fits(size: usize, limit: u32) -> bool {
    u32::try_from(size).is_ok_and(|size| size <= limit)
}

fn range(field: &str, value: Option<u64>, min: u64, max: u64) -> Result<(), Error> {
    match value {
        Some(value) if !(min..=max).contains(&value) => Err(Error::bad_request(format!(
            "{field}: expected a whole number from {min} to {max}, got {value}"
        ))),
        _ => Ok(()),
    }
}

fn length(field: &str, text: Option<&str>, min: usize, max: usize) -> Result<(), Error> {
    match text {
        Some(text) if !(min..=max).contains(&text.len()) => Err(Error::bad_request(format!(
            "{field}: expected {min} to {max} bytes of text, got {}",
            text.len()
        ))),
        _ => Ok(()),
    }
}
