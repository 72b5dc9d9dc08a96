//! Conversions that several directions need: ids, data, items, error codes.

use std::fmt::Display;
use std::str::FromStr;

use bytes::Bytes;
use roomkeeper_types::{Epoch, MessageId, Offset, Timestamp};

use super::pb;
use crate::{Data, Error, ErrorCode, Item};

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

/// A server's items; those without data are stepped over.
pub(super) fn read_items(items: Vec<pb::Item>) -> Result<Vec<Item>, Error> {
    let mut read = Vec::with_capacity(items.len());
    for item in items {
        let data = match item.data.and_then(|data| data.data) {
            Some(pb::data::Data::Json(text)) => Data::Json(text),
            Some(pb::data::Data::Binary(bytes)) => Data::Binary(bytes),
            None => continue,
        };
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
