//! Some messages of a room on their way to its subscribers: encoded once per codec, shared by all.

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use roomkeeper_protocol::{Codec, Data, Frame, Item};
use roomkeeper_room::{Item as Stored, PayloadKind};
use roomkeeper_types::{Offset, RoomName};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// What an item takes in memory and on the wire beside its data, about.
pub(super) const ITEM_OVERHEAD: usize = 160;

/// Neighbouring messages of one life of a room; at least one.
pub(crate) struct FeedFrame {
    items: Vec<Item>,
    bytes: usize,
    json: OnceLock<Message>,
    proto: OnceLock<Message>,
}

impl FeedFrame {
    /// A frame of these items, `None` of none. Their data are copied together: as they come they are slices
    /// of a whole log entry, which a small frame must not keep in memory.
    pub(crate) fn new(stored: &[Stored]) -> Option<Self> {
        let len = stored.iter().map(|item| item.payload.bytes.len()).sum();
        let mut data = BytesMut::with_capacity(len);
        stored.iter().for_each(|item| data.extend_from_slice(&item.payload.bytes));
        let mut data = data.freeze();
        Self::of(stored.iter().map(|item| to_item(item, data.split_to(item.payload.bytes.len()))).collect())
    }

    /// A frame of items that are clients' already; `None` of none.
    pub(crate) fn of(items: Vec<Item>) -> Option<Self> {
        if items.is_empty() {
            return None;
        }
        let bytes = items.iter().map(|item| item.data.bytes().len() + ITEM_OVERHEAD).sum();
        Some(Self { items, bytes, json: OnceLock::new(), proto: OnceLock::new() })
    }

    /// The same as it came from another node: encoded already.
    pub(crate) fn relayed(items: Vec<Item>, proto: Bytes) -> Option<Self> {
        let frame = Self::of(items)?;
        Some(Self { proto: Message::Binary(proto).into(), ..frame })
    }

    /// Its messages.
    pub(crate) fn items(&self) -> &[Item] {
        &self.items
    }

    /// The offset of its first message.
    pub(crate) fn first(&self) -> Offset {
        // Never empty, see `of`.
        self.items.first().map(|item| item.offset).unwrap_or_default()
    }

    /// The offset of its last message.
    pub(crate) fn last(&self) -> Offset {
        self.items.last().map(|item| item.offset).unwrap_or_default()
    }

    /// What it takes in memory, about; each codec that is asked for takes as much again.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The whole frame as a `messages` push.
    pub(crate) fn message(&self, codec: Codec, room: &RoomName) -> Message {
        let slot = match codec {
            Codec::Json => &self.json,
            Codec::Proto => &self.proto,
        };
        slot.get_or_init(|| to_message(codec.encode_messages(room, &self.items))).clone()
    }

    /// The messages from `from` to `to`, both inclusive, as a push of their own. At least one must be.
    pub(crate) fn part(&self, codec: Codec, room: &RoomName, from: Offset, to: Offset) -> Message {
        let start = self.items.partition_point(|item| item.offset < from);
        let end = self.items.partition_point(|item| item.offset <= to);
        to_message(codec.encode_messages(room, &self.items[start..end]))
    }
}

/// A stored message as clients see it.
pub(crate) fn to_protocol(item: Stored) -> Item {
    let data = item.payload.bytes.clone();
    to_item(&item, data)
}

fn to_item(item: &Stored, data: Bytes) -> Item {
    Item {
        offset: item.offset,
        epoch: item.epoch,
        id: item.id,
        from: item.from.clone(),
        time: item.time,
        sent: item.sent,
        data: match item.payload.kind {
            PayloadKind::Json => Data::Json(data),
            PayloadKind::Binary => Data::Binary(data),
        },
    }
}

/// A frame of the protocol as a message of the socket.
pub(crate) fn to_message(frame: Frame) -> Message {
    match frame {
        Frame::Binary(bytes) => Message::Binary(bytes),
        Frame::Text(bytes) => match Utf8Bytes::try_from(bytes.clone()) {
            Ok(text) => Message::Text(text),
            Err(error) => {
                // JSON data are checked when they are published, so this is a corrupt row or an error of ours.
                tracing::error!(%error, "an encoded frame is not text");
                Message::text(String::from_utf8_lossy(&bytes).into_owned())
            }
        },
    }
}
