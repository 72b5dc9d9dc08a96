//! Pieces that all byte layouts here share. Numbers are big-endian; a layout has one encoding per value, and
//! whatever else the bytes say is refused with a reason, never guessed at.
//!
//! ```text
//! room, user, consumer   len u8, text
//! message                id (16) │ sent? │ kind u8 │ data: len u64, bytes
//! hold id                index u64 │ ordinal u32
//! options                retain_ms? │ retain_messages? │ retain_bytes? │ presence flag │ max_members?
//!
//! flag                   0 or 1
//! x?                     0, or 1 and x: u64, but max_members u32
//! ```

use bytes::{BufMut, Bytes};
use roomkeeper_types::{ConsumerId, LifeId, MessageId, Offset, RoomName, Timestamp, UserId};

use crate::{HoldId, NewMessage, Payload, PayloadKind, RoomOptions};

/// What is wrong with the bytes.
pub(crate) type Reason = &'static str;

/// Bytes of the smallest message.
const MESSAGE_MIN: usize = 26;

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

    pub(crate) fn consumer(&mut self) -> Result<ConsumerId, Reason> {
        self.short_text()?.parse().map_err(|_| "a consumer name is outside the grammar")
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

    pub(crate) fn hold_id(&mut self) -> Result<HoldId, Reason> {
        Ok(HoldId { index: self.u64()?, ordinal: self.u32()? })
    }

    pub(crate) fn options(&mut self) -> Result<RoomOptions, Reason> {
        Ok(RoomOptions {
            retain_ms: self.option(Self::u64)?,
            retain_messages: self.option(Self::u64)?,
            retain_bytes: self.option(Self::u64)?,
            presence: self.flag()?,
            max_members: self.option(Self::u32)?,
        })
    }

    /// A list of messages, whose data are slices of `whole`, the bytes that this reads.
    pub(crate) fn messages(&mut self, whole: &Bytes) -> Result<Vec<NewMessage>, Reason> {
        self.list(MESSAGE_MIN, |list| {
            let (id, sent, kind) = (list.message_id()?, list.option(Self::time)?, list.kind()?);
            let bytes = whole.slice_ref(list.long_bytes()?);
            Ok(NewMessage { id, sent, payload: Payload { kind, bytes } })
        })
    }

    /// A count of 4 bytes, and as many elements of at least `min` bytes each.
    pub(crate) fn list<T>(
        &mut self,
        min: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, Reason>,
    ) -> Result<Vec<T>, Reason> {
        let count = usize::try_from(self.u32()?).map_err(|_| "a count does not fit into memory")?;
        // Checked before anything is reserved: a broken count must not take the memory it claims.
        if count > self.left() / min {
            return Err("it ends too early");
        }
        (0..count).map(|_| element(self)).collect()
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

    fn put_life(&mut self, life: LifeId) {
        self.put_slice(&life.to_bytes());
    }

    fn put_hold_id(&mut self, hold: HoldId) {
        self.put_u64(hold.index);
        self.put_u32(hold.ordinal);
    }

    fn put_options(&mut self, options: &RoomOptions)
    where
        Self: Sized,
    {
        self.put_option(options.retain_ms, Self::put_u64);
        self.put_option(options.retain_messages, Self::put_u64);
        self.put_option(options.retain_bytes, Self::put_u64);
        self.put_flag(options.presence);
        self.put_option(options.max_members, Self::put_u32);
    }

    fn put_messages(&mut self, messages: &[NewMessage])
    where
        Self: Sized,
    {
        self.put_u32(messages.len() as u32);
        for new in messages {
            self.put_slice(&new.id.0);
            self.put_option(new.sent, Self::put_time);
            self.put_u8(new.payload.kind.code());
            self.put_long_bytes(&new.payload.bytes);
        }
    }
}

impl<B: BufMut> WriteExt for B {}

/// How many bytes the encoded pieces of variable length take.
pub(crate) fn option_len<T>(value: Option<T>, len: usize) -> usize {
    1 + value.map_or(0, |_| len)
}

pub(crate) fn options_len(options: &RoomOptions) -> usize {
    let numbers = [options.retain_ms, options.retain_messages, options.retain_bytes];
    numbers.map(|number| option_len(number, 8)).iter().sum::<usize>() + 1 + option_len(options.max_members, 4)
}

pub(crate) fn messages_len(messages: &[NewMessage]) -> usize {
    4 + messages
        .iter()
        .map(|new| 16 + option_len(new.sent, 8) + 1 + 8 + new.payload.bytes.len())
        .sum::<usize>()
}
