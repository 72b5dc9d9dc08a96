//! What a server's frames and answers hold in numbers: items and members, read as a client does.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use roomkeeper_types::{Epoch, MessageId, Offset, Timestamp, UserId};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::{Data, Error, Item, Member};

/// All optional: an item without data is stepped over, whatever else it lacks.
#[derive(Deserialize)]
pub(super) struct ItemFields<'a> {
    offset: Option<Offset>,
    epoch: Option<Epoch>,
    id: Option<MessageId>,
    from: Option<UserId>,
    time: Option<Timestamp>,
    sent: Option<Timestamp>,
    #[serde(borrow, default, deserialize_with = "null_too")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_b64: Option<Cow<'a, str>>,
}

/// `null` is data like any other value.
pub(super) fn null_too<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// Items whose offsets are `least` or more; one left out is 0.
pub(super) fn read_items(
    items: Vec<ItemFields<'_>>,
    frame: &Bytes,
    least: Offset,
) -> Result<Vec<Item>, Error> {
    let mut read = Vec::with_capacity(items.len());
    for item in items {
        let Some(data) = read_data(item.data, item.data_b64.as_deref(), frame)? else { continue };
        let offset = item.offset.unwrap_or_default();
        let (true, Some(epoch), Some(id), Some(from), Some(time)) =
            (offset >= least, item.epoch, item.id, item.from, item.time)
        else {
            return Err(Error::bad_request(
                "items: expected offset, epoch, id, from and time with each data",
            ));
        };
        read.push(Item { offset, epoch, id, from, time, sent: item.sent, data });
    }
    Ok(read)
}

/// `None`: neither of the two, which a later version may have good reason for.
#[inline]
pub(super) fn read_data(
    data: Option<&RawValue>,
    data_b64: Option<&str>,
    frame: &Bytes,
) -> Result<Option<Data>, Error> {
    match (data, data_b64) {
        // The text lies within the frame, so that this shares the frame's bytes.
        (Some(raw), _) => Ok(Some(Data::Json(frame.slice_ref(raw.get().as_bytes())))),
        (None, Some(text)) => match STANDARD.decode(text.as_bytes()) {
            Ok(bytes) => Ok(Some(Data::Binary(bytes.into()))),
            Err(error) => Err(Error::bad_request(format!("data_b64: {error}"))),
        },
        (None, None) => Ok(None),
    }
}

#[derive(Deserialize)]
pub(super) struct MemberFields {
    user: UserId,
    device: Option<String>,
    since: Timestamp,
}

pub(super) fn read_members(members: Vec<MemberFields>) -> Vec<Member> {
    let read = |MemberFields { user, device, since }| Member { user, device, since };
    members.into_iter().map(read).collect()
}
