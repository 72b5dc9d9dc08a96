//! Conversions that several directions need: ids, data, items, error codes.

use std::fmt::Display;
use std::str::FromStr;

use bytes::Bytes;
use roomkeeper_types::{Epoch, MessageId, Offset, Timestamp};

use super::pb;
use crate::{Data, Error, ErrorCode, Item, Member};

/// A text that is the form of an id or a name.
pub(super) fn parse<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|error| Error::bad_request(format!("{field}: {error}")))
}

/// The 16 bytes of a UUID.
pub(super) fn read_uuid(field: &str, bytes: &[u8]) -> Result<[u8; 16], Error> {
    bytes.try_into().map_err(|_| {
        Error::bad_request(format!("{field}: expected the 16 bytes of a UUID, got {}", bytes.len()))
    })
}

pub(super) fn write_uuid(uuid: &[u8; 16]) -> Bytes {
    Bytes::copy_from_slice(uuid)
}

/// Several messages' ids; the error says which is none.
pub(super) fn read_ids(field: &str, ids: &[Bytes]) -> Result<Vec<MessageId>, Error> {
    let read = |(index, id): (usize, &Bytes)| read_uuid(&format!("{field}[{index}]"), id).map(MessageId);
    ids.iter().enumerate().map(read).collect()
}

pub(super) fn write_ids(ids: &[MessageId]) -> Vec<Bytes> {
    ids.iter().map(|id| write_uuid(&id.0)).collect()
}

pub(super) fn write_data(data: &Data) -> Option<pb::Data> {
    let data = match data {
        Data::Json(text) => pb::data::Data::Json(text.clone()),
        Data::Binary(bytes) => pb::data::Data::Binary(bytes.clone()),
    };
    Some(pb::Data { data: Some(data) })
}

pub(super) fn write_item(item: &Item) -> pb::Item {
    pb::Item {
        offset: item.offset.0,
        epoch: item.epoch.0,
        id: write_uuid(&item.id.0),
        from: item.from.as_str().to_owned(),
        time: item.time.0,
        sent: item.sent.map(Timestamp::millis),
        data: write_data(&item.data),
    }
}

pub(super) fn write_items(items: &[Item]) -> Vec<pb::Item> {
    items.iter().map(write_item).collect()
}

/// A server's data, taken at its word. `None`: none that this version knows.
#[inline]
pub(super) fn read_data(data: Option<pb::Data>) -> Option<Data> {
    match data?.data? {
        pb::data::Data::Json(text) => Some(Data::Json(text)),
        pb::data::Data::Binary(bytes) => Some(Data::Binary(bytes)),
    }
}

/// A server's items, whose offsets are `least` or more; those without data are stepped over.
pub(super) fn read_items(items: Vec<pb::Item>, least: Offset) -> Result<Vec<Item>, Error> {
    let mut read = Vec::with_capacity(items.len());
    for item in items {
        let Some(data) = read_data(item.data) else { continue };
        if item.offset < least.0 {
            return Err(Error::bad_request("items: expected an offset with each data"));
        }
        read.push(Item {
            offset: Offset(item.offset),
            epoch: Epoch(item.epoch),
            id: MessageId(read_uuid("items: id", &item.id)?),
            from: parse("items: from", &item.from)?,
            time: Timestamp(item.time),
            sent: item.sent.map(Timestamp),
            data,
        });
    }
    Ok(read)
}

pub(super) fn write_members(members: &[Member]) -> Vec<pb::Member> {
    let write = |member: &Member| pb::Member {
        user: member.user.to_string(),
        device: member.device.clone(),
        since: member.since.0,
    };
    members.iter().map(write).collect()
}

pub(super) fn read_members(members: Vec<pb::Member>) -> Result<Vec<Member>, Error> {
    let read = |pb::Member { user, device, since }| {
        Ok(Member { user: parse("members: user", &user)?, device, since: Timestamp(since) })
    };
    members.into_iter().map(read).collect()
}

pub(super) fn write_code(code: ErrorCode) -> pb::ErrorCode {
    match code {
        ErrorCode::BadRequest => pb::ErrorCode::BadRequest,
        ErrorCode::Unauthorized => pb::ErrorCode::Unauthorized,
        ErrorCode::Forbidden => pb::ErrorCode::Forbidden,
        ErrorCode::NotFound => pb::ErrorCode::NotFound,
        ErrorCode::AlreadyExists => pb::ErrorCode::AlreadyExists,
        ErrorCode::Conflict => pb::ErrorCode::Conflict,
        ErrorCode::Invalid => pb::ErrorCode::Invalid,
        ErrorCode::Trimmed => pb::ErrorCode::Trimmed,
        ErrorCode::Recreated => pb::ErrorCode::Recreated,
        ErrorCode::TooLate => pb::ErrorCode::TooLate,
        ErrorCode::Gone => pb::ErrorCode::Gone,
        ErrorCode::TooLarge => pb::ErrorCode::TooLarge,
        ErrorCode::RateLimited => pb::ErrorCode::RateLimited,
        ErrorCode::Unavailable => pb::ErrorCode::Unavailable,
        ErrorCode::Timeout => pb::ErrorCode::Timeout,
        ErrorCode::Internal => pb::ErrorCode::Internal,
    }
}

/// `None` for a code of a later version.
pub(super) fn read_code(code: i32) -> Option<ErrorCode> {
    ErrorCode::ALL.into_iter().find(|known| write_code(*known) as i32 == code)
}
