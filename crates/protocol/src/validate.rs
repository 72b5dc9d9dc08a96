//! The ranges and combinations that commands must keep to: the one copy of these rules, whatever codec or
//! REST form a command came by. The codecs only see to shapes: that a number is a number, a name a name.

use std::collections::HashSet;

use roomkeeper_types::{MessageId, Offset};

use crate::{
    Command, Create, Error, ErrorCode, From, Hello, History, Join, Limits, NewMessage, Publish, Rooms,
};

/// Largest number that a client may send or be sent: JSON numbers are exact below 2^53.
const NUMBER_MAX: u64 = Offset::MAX.0;
/// Longest consumer, placement, and beginning of a room name, bytes.
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

/// Checks a command's ranges and combinations.
///
/// # Errors
/// `bad_request` that names the field and says what is expected; `too_large` for what `limits` refuses.
pub fn validate(command: &Command, limits: &Limits) -> Result<(), Error> {
    match command {
        Command::Hello(hello) => check_hello(hello),
        Command::Join(join) => check_join(join),
        Command::Publish(publish) => check_publish(publish, limits),
        Command::History(history) => check_history(history),
        Command::Rooms(rooms) => check_rooms(rooms),
        Command::Create(create) => check_create(create),
        // Their fields are names, which parse or do not.
        Command::Leave(_) | Command::Delete(_) | Command::Unsupported(_) => Ok(()),
    }
}

fn check_hello(hello: &Hello) -> Result<(), Error> {
    length("token", hello.token.as_deref(), 1, TOKEN_MAX)?;
    length("device", hello.device.as_deref(), 1, LABEL_MAX)?;
    length("session", hello.session.as_deref(), 1, LABEL_MAX)?;
    length("client", hello.client.as_deref(), 1, LABEL_MAX)
}

fn check_join(join: &Join) -> Result<(), Error> {
    check_from(join.from)?;
    length("consumer", join.consumer.as_deref(), 1, NAME_MAX)?;
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
    length("placement", create.placement.as_deref(), 1, NAME_MAX)
}

pub(crate) fn check_publish(publish: &Publish, limits: &Limits) -> Result<(), Error> {
    let count = publish.messages.len();
    if count == 0 {
        return Err(Error::bad_request(format!("messages: expected 1 to {}, got none", limits.max_batch)));
    }
    if !fits(count, limits.max_batch) {
        let text = format!("messages: expected 1 to {}, got {count}", limits.max_batch);
        return Err(Error::new(ErrorCode::TooLarge, text));
    }
    range("expect", publish.expect.map(Offset::get), 1, NUMBER_MAX)?;
    range("hold_ms", publish.hold_ms, 1, HOLD_MS_MAX)?;
    range("timeout_ms", publish.timeout_ms, 1, TIMEOUT_MS_MAX)?;
    for (index, message) in publish.messages.iter().enumerate() {
        check_message(message, limits).map_err(|error| in_message(index, error))?;
    }
    check_distinct(&publish.messages)
}

fn check_message(message: &NewMessage, limits: &Limits) -> Result<(), Error> {
    let len = message.data.bytes().len();
    if !fits(len, limits.max_message) {
        let text = format!("data: expected at most {} bytes, got {len}", limits.max_message);
        return Err(Error::new(ErrorCode::TooLarge, text));
    }
    range("sent", message.sent.map(|sent| sent.millis()), 0, NUMBER_MAX)
}

fn check_distinct(messages: &[NewMessage]) -> Result<(), Error> {
    if messages.len() < 2 {
        return Ok(());
    }
    let mut seen: HashSet<MessageId> = HashSet::with_capacity(messages.len());
    match messages.iter().position(|message| !seen.insert(message.id)) {
        None => Ok(()),
        Some(index) => {
            let error = Error::bad_request("id: expected distinct ids, this one is another message's too");
            Err(in_message(index, error))
        }
    }
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
    Error { message: format!("messages[{index}].{}", error.message), ..error }
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
