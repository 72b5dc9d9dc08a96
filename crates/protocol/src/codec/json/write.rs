//! Writing JSON straight into bytes. None of it can fail, which a serde serializer's signatures do not say.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use roomkeeper_types::MessageId;

use crate::Data;

/// An object being written: a comma before every field but the first.
pub(super) struct Object<'w> {
    out: &'w mut Vec<u8>,
    empty: bool,
}

/// Writes an object whose fields `fill` adds.
pub(super) fn write_object(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    fill(&mut Object { out, empty: true });
    out.push(b'}');
}

/// Writes an array of what `write` writes for each element.
pub(super) fn write_array<T>(
    out: &mut Vec<u8>,
    elements: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (index, element) in elements.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, element);
    }
    out.push(b']');
}

impl Object<'_> {
    /// Writes the key; the value is what the caller writes next.
    pub(super) fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        // Keys are names of this protocol: nothing in them needs an escape.
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub(super) fn number(&mut self, key: &str, number: u64) {
        write_number(self.key(key), number);
    }

    pub(super) fn text(&mut self, key: &str, text: &str) {
        write_text(self.key(key), text);
    }

    pub(super) fn boolean(&mut self, key: &str, value: bool) {
        self.key(key).extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(super) fn uuid(&mut self, key: &str, uuid: &[u8; 16]) {
        write_uuid(self.key(key), uuid);
    }

    pub(super) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        write_object(self.key(key), fill);
    }

    pub(super) fn array<T>(
        &mut self,
        key: &str,
        elements: impl IntoIterator<Item = T>,
        write: impl FnMut(&mut Vec<u8>, T),
    ) {
        write_array(self.key(key), elements, write);
    }

    /// `data` or `data_b64`.
    pub(super) fn data(&mut self, data: &Data) {
        match data {
            Data::Json(text) => self.key("data").extend_from_slice(text),
            Data::Binary(bytes) => {
                let out = self.key("data_b64");
                out.push(b'"');
                out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
                out.push(b'"');
            }
        }
    }

    pub(super) fn optional_number(&mut self, key: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.number(key, number);
        }
    }

    pub(super) fn optional_boolean(&mut self, key: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.boolean(key, value);
        }
    }

    pub(super) fn optional_text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }
}

/// Writes a number in decimal.
pub(super) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        // The remainder is below ten.
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Writes a text as a JSON string.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    out.push(b'"');
    let mut done = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[done..index]);
        done = index + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let [high, low] = [byte >> 4, byte & 15].map(|half| HEX[usize::from(half)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
}

/// Writes a message's id as text.
pub(super) fn write_id(out: &mut Vec<u8>, id: &MessageId) {
    write_uuid(out, &id.0);
}

/// Writes a UUID as text, 8-4-4-4-12 in lower case.
pub(super) fn write_uuid(out: &mut Vec<u8>, uuid: &[u8; 16]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for (index, &byte) in uuid.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn number_of_any_size_reads_back() {
        for number in [0, 1, 9, 10, 4_294_967_295, (1 << 53) - 1, u64::MAX] {
            assert_eq!(written(|out| write_number(out, number)), number.to_string());
        }
    }

    #[test]
    fn text_of_every_low_character_reads_back() {
        let text: String =
            (0..0x100u32).filter_map(char::from_u32).chain("\u{2028}\u{fffd}🦀\"\\".chars()).collect();
        let json = written(|out| write_text(out, &text));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        assert_eq!(
            json,
            serde_json::to_string(&text).unwrap().replace("\\b", "\\u0008").replace("\\f", "\\u000c")
        );
    }

    #[test]
    fn uuid_is_written_as_its_display() {
        let id = roomkeeper_types::MessageId(*b"\x00\x01\x7f\x80\xff\xab\xcd\xef0123456\x89");
        assert_eq!(written(|out| write_uuid(out, &id.0)), format!("\"{id}\""));
    }
}
