//! Pieces that all byte layouts here share. Numbers are big-endian; a layout has one encoding per value, and
//! whatever else the bytes say is refused with a reason, never guessed at.

use bytes::BufMut;
use roomkeeper_types::{LifeId, MessageId, Offset, RoomName, Timestamp, UserId};

use crate::PayloadKind;

/// What is wrong with the bytes.
pub(crate) type Reason = &'static str;

/// Takes one piece after the other off the front.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left: an upper bound for any count that the bytes claim.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Reason> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or("it ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or("it ends too early")?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Reason> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Reason> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Reason> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Reason> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err("a flag is neither 0 nor 1"),
        }
    }

    /// A length of 8 bytes, and as many bytes.
    pub(crate) fn long_bytes(&mut self) -> Result<&'a [u8], Reason> {
        let len = usize::try_from(self.u64()?).map_err(|_| "a length does not fit into memory")?;
        self.bytes(len)
    }

    pub(crate) fn option<T>(
        &mut self,
        some: impl FnOnce(&mut Self) -> Result<T, Reason>,
    ) -> Result<Option<T>, Reason> {
        if self.flag()? { some(self).map(Some) } else { Ok(None) }
    }

    pub(crate) fn room(&mut self) -> Result<RoomName, Reason> {
        self.short_text()?.parse().map_err(|_| "a room name is outside the grammar")
    }

    pub(crate) fn user(&mut self) -> Result<UserId, Reason> {
        self.short_text()?.parse().map_err(|_| "a user name is outside the grammar")
    }

    pub(crate) fn life(&mut self) -> Result<LifeId, Reason> {
        self.array().map(LifeId::from_bytes)
    }

    pub(crate) fn message_id(&mut self) -> Result<MessageId, Reason> {
        self.array().map(MessageId)
    }

    pub(crate) fn offset(&mut self) -> Result<Offset, Reason> {
        self.u64().map(Offset)
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, Reason> {
        self.u64().map(Timestamp)
    }

    pub(crate) fn kind(&mut self) -> Result<PayloadKind, Reason> {
        PayloadKind::from_code(self.u8()?).ok_or("the kind of a payload is unknown")
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), Reason> {
        if self.rest.is_empty() { Ok(()) } else { Err("it goes on after its end") }
    }

    fn short_text(&mut self) -> Result<&'a str, Reason> {
        let len = self.u8()?;
        std::str::from_utf8(self.bytes(usize::from(len))?).map_err(|_| "a name is not UTF-8")
    }
}

/// Appends the counterparts of what [`Reader`] takes.
pub(crate) trait WriteExt: BufMut {
    fn put_flag(&mut self, flag: bool) {
        self.put_u8(u8::from(flag));
    }

    fn put_option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T))
    where
        Self: Sized,
    {
        self.put_flag(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }

    /// A length of 1 byte and the text. For names, which have at most 128 bytes by their types.
    fn put_name(&mut self, name: &str) {
        self.put_u8(name.len() as u8);
        self.put_slice(name.as_bytes());
    }

    fn put_long_bytes(&mut self, bytes: &[u8]) {
        self.put_u64(bytes.len() as u64);
        self.put_slice(bytes);
    }

    fn put_time(&mut self, time: Timestamp) {
        self.put_u64(time.millis());
    }
}

impl<B: BufMut> WriteExt for B {}
