//! A line as a message: its data, its id, and both ways back.

use std::borrow::Cow;

use roomkeeper_client::protocol::{Data, NewMessage};
use roomkeeper_client::types::{MessageId, RoomName};
use xxhash_rust::xxh3::xxh3_64;

/// The line as data: a JSON string where it is UTF-8, so that any client can show it, else its bytes.
pub(crate) fn data(line: &[u8]) -> Data {
    match std::str::from_utf8(line) {
        Ok(text) => Data::json_string(text),
        Err(_) => Data::Binary(line.to_vec().into()),
    }
}

/// The line that [`data`] made this of; `None` if it made none such.
pub(crate) fn line(data: &Data) -> Option<Cow<'_, [u8]>> {
    match data {
        Data::Json(text) => {
            serde_json::from_slice::<String>(text).ok().map(|line| Cow::Owned(line.into_bytes()))
        }
        Data::Binary(bytes) => Some(Cow::Borrowed(bytes)),
    }
}

/// The message of a room's line, counted from 0.
pub(crate) fn message(ids: Ids, number: u32, line: &[u8]) -> NewMessage {
    NewMessage { id: ids.id(number), data: data(line), sent: None }
}

/// The ids of one room's messages: the same in every run against the same room, so that a second run stores
/// nothing.
///
/// ```text
/// hash of the room's name (8, with the version) │ variant, zeros (4) │ line u32, big-endian
/// ```
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids {
    head: [u8; 12],
}

impl Ids {
    pub(crate) fn of(room: &RoomName) -> Self {
        let mut head = [0; 12];
        head[..8].copy_from_slice(&xxh3_64(room.as_str().as_bytes()).to_be_bytes());
        // Version 8 is the one whose bits are the application's own; the variant is RFC 9562's.
        head[6] = (head[6] & 0x0f) | 0x80;
        head[8] = 0x80;
        Self { head }
    }

    /// The id of a line.
    pub(crate) fn id(self, number: u32) -> MessageId {
        let mut id = [0; 16];
        id[..12].copy_from_slice(&self.head);
        id[12..].copy_from_slice(&number.to_be_bytes());
        MessageId(id)
    }

    /// The line of an id; `None` for a message that replay did not publish.
    pub(crate) fn number(self, id: MessageId) -> Option<u32> {
        let [head @ .., a, b, c, d] = id.0;
        (head == self.head).then_some(u32::from_be_bytes([a, b, c, d]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_of_any_bytes_comes_back_the_same() {
        let lines = [
            &b""[..],
            b"[09:14] <a> plain",
            b"quotes \" and \\ and \t and \x01",
            "ěščř \u{2028} \u{fffd} 🦀".as_bytes(),
            b"latin \xe9",
            b"\xff\xfe\x00",
        ];
        for bytes in lines {
            let data = data(bytes);
            assert_eq!(line(&data).as_deref(), Some(bytes));
            if let Data::Json(text) = &data {
                assert_eq!(Data::json(text.clone()), Ok(data.clone()), "what is sent is JSON");
            }
        }
        assert_eq!(line(&Data::Json("{}".into())), None);
    }

    #[test]
    fn id_names_its_line_in_its_room_only() {
        let of = |name: &str| Ids::of(&name.parse().unwrap());
        let ids = of("replay.ubuntu");
        assert_eq!(ids.number(ids.id(55_255)), Some(55_255));
        assert_eq!(of("replay.debian").number(ids.id(1)), None);
        assert_eq!(ids.id(7), of("replay.ubuntu").id(7), "the same in every run");
        let text = ids.id(7).to_string();
        assert_eq!(&text[14..15], "8", "{text}");
        assert!(["8", "9", "a", "b"].contains(&&text[19..20]), "{text}");
    }
}
