//! The byte layout of a log entry's payload. Stored in every replica's log and sent between nodes.
//!
//! ```text
//! batch     version u8 = 1 │ time u64 │ count u32 │ command …
//! command   1 │ room │ exclusive flag                                                  create
//!           2 │ room │ life?                                                           delete
//!           3 │ room │ life? │ from │ expect? │ create flag │ count u32 │ message …     publish
//! message   id (16) │ sent? │ kind u8 │ data: len u64, bytes
//!
//! room, from   len u8, text          life?           0, or 1 and 16 bytes
//! flag         0 or 1                expect?, sent?  0, or 1 and u64
//! ```
//!
//! Numbers are big-endian. A new command takes the next number; an old node that meets it must stop, so it is
//! written only after the whole cluster was told that it may be.

use bytes::{BufMut, Bytes};

use crate::wire::{Reader, Reason, WriteExt};
use crate::{Batch, Command, Create, Delete, NewMessage, Payload, Publish};

const V1: u8 = 1;

const CREATE: u8 = 1;
const DELETE: u8 = 2;
const PUBLISH: u8 = 3;

/// Bytes of the smallest command (a delete of a room with a name of one character), and of the smallest
/// message: no count can be larger than the bytes left divided by these.
const COMMAND_MIN: usize = 4;
const MESSAGE_MIN: usize = 26;

/// An entry's bytes could not be read. The replica must stop: going on would lose what the entry says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// A version that this node does not know: it is older than the node that wrote the entry.
    #[error("the entry has version {0}, this node reads version {V1} only; upgrade it")]
    Version(u8),
    /// The bytes make no sense.
    #[error("the entry is unreadable: {0}")]
    Unreadable(&'static str),
}

impl Batch {
    /// Bytes of an encoded batch without its commands. The rest is [`Command::encoded_len`] of each.
    pub const HEADER_LEN: usize = 13;

    /// The bytes of the batch, [`Batch::HEADER_LEN`] and the commands' lengths together.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let len = Self::HEADER_LEN + self.commands.iter().map(Command::encoded_len).sum::<usize>();
        let mut out = Vec::with_capacity(len);
        out.put_u8(V1);
        out.put_time(self.time);
        out.put_u32(self.commands.len() as u32);
        for command in &self.commands {
            command.encode(&mut out);
        }
        debug_assert_eq!(out.len(), len, "encoded_len is exact");
        out.into()
    }

    /// Reads [`Batch::encode`] back. Messages' data are slices of `bytes`, which live as long as any of them.
    ///
    /// # Errors
    /// The bytes are not those of a batch, or of a later version.
    pub fn decode(bytes: Bytes) -> Result<Self, CommandError> {
        match bytes.first() {
            Some(&V1) => read_batch(&bytes).map_err(CommandError::Unreadable),
            Some(&version) => Err(CommandError::Version(version)),
            None => Err(CommandError::Unreadable("it is empty")),
        }
    }
}

impl Command {
    /// How many bytes the command adds to an encoded batch, exactly.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let room = 1 + self.room().as_str().len();
        let rest = match self {
            Self::Create(_) => 1,
            Self::Delete(delete) => option_len(delete.life, 16),
            Self::Publish(publish) => {
                let messages: usize = publish
                    .messages
                    .iter()
                    .map(|new| 16 + option_len(new.sent, 8) + 1 + 8 + new.payload.bytes.len())
                    .sum();
                let from = 1 + publish.from.as_str().len();
                option_len(publish.life, 16) + from + option_len(publish.expect, 8) + 1 + 4 + messages
            }
        };
        1 + room + rest
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Create(create) => {
                out.put_u8(CREATE);
                out.put_name(create.room.as_str());
                out.put_flag(create.exclusive);
            }
            Self::Delete(delete) => {
                out.put_u8(DELETE);
                out.put_name(delete.room.as_str());
                out.put_option(delete.life, |out, life| out.put_slice(&life.to_bytes()));
            }
            Self::Publish(publish) => {
                out.put_u8(PUBLISH);
                out.put_name(publish.room.as_str());
                out.put_option(publish.life, |out, life| out.put_slice(&life.to_bytes()));
                out.put_name(publish.from.as_str());
                out.put_option(publish.expect, |out, expect| out.put_u64(expect.get()));
                out.put_flag(publish.create);
                out.put_u32(publish.messages.len() as u32);
                for new in &publish.messages {
                    out.put_slice(&new.id.0);
                    out.put_option(new.sent, WriteExt::put_time);
                    out.put_u8(new.payload.kind.code());
                    out.put_long_bytes(&new.payload.bytes);
                }
            }
        }
    }
}

fn option_len<T>(value: Option<T>, len: usize) -> usize {
    1 + value.map_or(0, |_| len)
}

fn read_batch(bytes: &Bytes) -> Result<Batch, Reason> {
    let mut entry = Reader::new(&bytes[1..]);
    let time = entry.time()?;
    let commands = read_list(&mut entry, COMMAND_MIN, |entry| read_command(entry, bytes))?;
    entry.end()?;
    Ok(Batch { time, commands })
}

fn read_command(entry: &mut Reader<'_>, bytes: &Bytes) -> Result<Command, Reason> {
    match entry.u8()? {
        CREATE => Ok(Command::Create(Create { room: entry.room()?, exclusive: entry.flag()? })),
        DELETE => Ok(Command::Delete(Delete { room: entry.room()?, life: entry.option(Reader::life)? })),
        PUBLISH => Ok(Command::Publish(Publish {
            room: entry.room()?,
            life: entry.option(Reader::life)?,
            from: entry.user()?,
            expect: entry.option(Reader::offset)?,
            create: entry.flag()?,
            messages: read_list(entry, MESSAGE_MIN, |entry| read_message(entry, bytes))?,
        })),
        _ => Err("a command of an unknown number"),
    }
}

fn read_message(entry: &mut Reader<'_>, bytes: &Bytes) -> Result<NewMessage, Reason> {
    let (id, sent, kind) = (entry.message_id()?, entry.option(Reader::time)?, entry.kind()?);
    let data = bytes.slice_ref(entry.long_bytes()?);
    Ok(NewMessage { id, sent, payload: Payload { kind, bytes: data } })
}

/// A count of 4 bytes, and as many elements of at least `min` bytes each.
fn read_list<T>(
    entry: &mut Reader<'_>,
    min: usize,
    mut element: impl FnMut(&mut Reader<'_>) -> Result<T, Reason>,
) -> Result<Vec<T>, Reason> {
    let count = usize::try_from(entry.u32()?).map_err(|_| "a count does not fit into memory")?;
    // Checked before anything is reserved: a broken count must not take the memory it claims.
    if count > entry.left() / min {
        return Err("it ends too early");
    }
    (0..count).map(|_| element(entry)).collect()
}
