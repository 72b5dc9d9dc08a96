//! The byte layout of a log entry's payload. Stored in every replica's log and sent between nodes.
//!
//! ```text
//! batch     version u8 = 1 │ time u64 │ count u32 │ command …
//! command    1 │ room │ exclusive flag                                                       create
//!            2 │ room │ life?                                                                delete
//!            3 │ room │ life? │ from │ expect? │ create flag │ messages                      publish
//!            4 │ room │ exclusive flag │ placed flag │ options                               create
//!            5 │ as 3                                                                        publish, placed
//!            6 │ room │ life? │ from │ hold_ms u64 │ create flag │ placed flag │ messages    hold
//!            7 │ room │ life? │ from │ ids                                                   confirm
//!            8 │ room │ life? │ from │ ids                                                   rollback
//!            9 │ room │ life? │ consumer │ offset u64                                        commit
//!           10 │ room │ shard u32                                                            forward
//!           11 │ dues                                                                        sweep
//!           12 │ room │ life? │ from │ expect? │ options │ placed flag │ messages            publish, creating
//!           13 │ room │ life? │ from │ hold_ms u64 │ options │ placed flag │ messages        hold, creating
//!
//! messages, ids, dues   count u32, and as many
//! due                   time u64 │ life │ 1 │ hold id      or 2 │ message id (16)      or 3
//! expect                offset u64                         life   16 bytes
//! ```
//!
//! Numbers are big-endian, the other pieces are drawn in `wire.rs`. A command that an older number can say is written
//! by it: 4 is only what 1 cannot say, with options that are not the default ones, or placed, and 12 and 13 are only
//! what 3, 5 and 6 cannot say, whose create flag means the default options. A new command takes the next number; an
//! old node that meets it must stop, so it is written only after the whole cluster was told that it may be.

use bytes::{BufMut, Bytes};
use roomkeeper_types::{LifeId, MessageId, ShardId};

use crate::wire::{Reader, Reason, WriteExt, messages_len, option_len, options_len};
use crate::{
    Batch, Command, Commit, Create, Delete, Due, DueKind, Forward, Hold, HoldRef, Publish, RoomOptions,
};

const V1: u8 = 1;

const CREATE: u8 = 1;
const DELETE: u8 = 2;
const PUBLISH: u8 = 3;
const CREATE_WITH: u8 = 4;
const PUBLISH_PLACED: u8 = 5;
const HOLD: u8 = 6;
const CONFIRM: u8 = 7;
const ROLLBACK: u8 = 8;
const COMMIT: u8 = 9;
const FORWARD: u8 = 10;
const SWEEP: u8 = 11;
const PUBLISH_WITH: u8 = 12;
const HOLD_WITH: u8 = 13;

const DUE_HOLD: u8 = 1;
const DUE_ID: u8 = 2;
const DUE_AGE: u8 = 3;

/// Bytes of the smallest command (a delete of a room with a name of one character), and of the smallest due: no
/// count can be larger than the bytes left divided by these.
const COMMAND_MIN: usize = 4;
const DUE_MIN: usize = 25;

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
        let room = self.room().map_or(0, |room| 1 + room.as_str().len());
        let life = |life: Option<LifeId>| option_len(life, LifeId::LEN);
        let rest = match self {
            Self::Create(create) if is_plain(create) => 1,
            Self::Create(create) => 2 + options_len(&create.options),
            Self::Delete(delete) => life(delete.life),
            Self::Publish(publish) => {
                let from = 1 + publish.from.as_str().len();
                life(publish.life)
                    + from
                    + option_len(publish.expect, 8)
                    + unusual(publish.create).map_or(1, |options| options_len(&options) + 1)
                    + messages_len(&publish.messages)
            }
            Self::Hold(hold) => {
                let from = 1 + hold.from.as_str().len();
                let create = unusual(hold.create).map_or(1, |options| options_len(&options));
                life(hold.life) + from + 8 + create + 1 + messages_len(&hold.messages)
            }
            Self::Confirm(hold) | Self::Rollback(hold) => {
                life(hold.life) + 1 + hold.from.as_str().len() + 4 + 16 * hold.ids.len()
            }
            Self::Commit(commit) => life(commit.life) + 1 + commit.consumer.as_str().len() + 8,
            Self::Forward(_) => 4,
            Self::Sweep(dues) => 4 + dues.iter().map(due_len).sum::<usize>(),
        };
        1 + room + rest
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.number());
        if let Some(room) = self.room() {
            out.put_name(room.as_str());
        }
        match self {
            Self::Create(create) => {
                out.put_flag(create.exclusive);
                if !is_plain(create) {
                    out.put_flag(create.placed);
                    out.put_options(&create.options);
                }
            }
            Self::Delete(delete) => out.put_option(delete.life, WriteExt::put_life),
            Self::Publish(publish) => {
                out.put_option(publish.life, WriteExt::put_life);
                out.put_name(publish.from.as_str());
                out.put_option(publish.expect, |out, expect| out.put_u64(expect.get()));
                match unusual(publish.create) {
                    Some(options) => {
                        out.put_options(&options);
                        out.put_flag(publish.placed);
                    }
                    None => out.put_flag(publish.create.is_some()),
                }
                out.put_messages(&publish.messages);
            }
            Self::Hold(hold) => {
                out.put_option(hold.life, WriteExt::put_life);
                out.put_name(hold.from.as_str());
                out.put_u64(hold.hold_ms);
                match unusual(hold.create) {
                    Some(options) => out.put_options(&options),
                    None => out.put_flag(hold.create.is_some()),
                }
                out.put_flag(hold.placed);
                out.put_messages(&hold.messages);
            }
            Self::Confirm(hold) | Self::Rollback(hold) => {
                out.put_option(hold.life, WriteExt::put_life);
                out.put_name(hold.from.as_str());
                out.put_u32(hold.ids.len() as u32);
                hold.ids.iter().for_each(|id| out.put_slice(&id.0));
            }
            Self::Commit(commit) => {
                out.put_option(commit.life, WriteExt::put_life);
                out.put_name(commit.consumer.as_str());
                out.put_u64(commit.offset.get());
            }
            Self::Forward(forward) => out.put_u32(forward.to.0),
            Self::Sweep(dues) => {
                out.put_u32(dues.len() as u32);
                dues.iter().for_each(|due| put_due(out, due));
            }
        }
    }

    fn number(&self) -> u8 {
        match self {
            Self::Create(create) if is_plain(create) => CREATE,
            Self::Create(_) => CREATE_WITH,
            Self::Delete(_) => DELETE,
            Self::Publish(publish) if unusual(publish.create).is_some() => PUBLISH_WITH,
            Self::Publish(publish) if publish.placed => PUBLISH_PLACED,
            Self::Publish(_) => PUBLISH,
            Self::Hold(hold) if unusual(hold.create).is_some() => HOLD_WITH,
            Self::Hold(_) => HOLD,
            Self::Confirm(_) => CONFIRM,
            Self::Rollback(_) => ROLLBACK,
            Self::Commit(_) => COMMIT,
            Self::Forward(_) => FORWARD,
            Self::Sweep(_) => SWEEP,
        }
    }
}

/// Whether the first layout of a create says all of it.
fn is_plain(create: &Create) -> bool {
    !create.placed && create.options == RoomOptions::default()
}

/// The options of a create that are not the default ones, which a flag says.
fn unusual(create: Option<RoomOptions>) -> Option<RoomOptions> {
    create.filter(|options| *options != RoomOptions::default())
}

fn read_unusual(entry: &mut Reader<'_>) -> Result<Option<RoomOptions>, Reason> {
    match entry.options()? {
        usual if usual == RoomOptions::default() => Err("the default options are written otherwise"),
        options => Ok(Some(options)),
    }
}

/// A flag that says whether a room is created, with the default options.
fn read_usual(entry: &mut Reader<'_>) -> Result<Option<RoomOptions>, Reason> {
    Ok(entry.flag()?.then(RoomOptions::default))
}

fn read_batch(bytes: &Bytes) -> Result<Batch, Reason> {
    let mut entry = Reader::new(&bytes[1..]);
    let time = entry.time()?;
    let commands = entry.list(COMMAND_MIN, |entry| read_command(entry, bytes))?;
    entry.end()?;
    Ok(Batch { time, commands })
}

fn read_command(entry: &mut Reader<'_>, bytes: &Bytes) -> Result<Command, Reason> {
    match entry.u8()? {
        CREATE => {
            let (room, exclusive) = (entry.room()?, entry.flag()?);
            Ok(Command::Create(Create { room, exclusive, options: RoomOptions::default(), placed: false }))
        }
        CREATE_WITH => {
            let (room, exclusive, placed) = (entry.room()?, entry.flag()?, entry.flag()?);
            let create = Create { room, exclusive, options: entry.options()?, placed };
            if is_plain(&create) {
                Err("a plain create is written otherwise")
            } else {
                Ok(Command::Create(create))
            }
        }
        DELETE => Ok(Command::Delete(Delete { room: entry.room()?, life: entry.option(Reader::life)? })),
        number @ (PUBLISH | PUBLISH_PLACED | PUBLISH_WITH) => {
            Ok(Command::Publish(read_publish(entry, bytes, number)?))
        }
        number @ (HOLD | HOLD_WITH) => Ok(Command::Hold(read_hold(entry, bytes, number)?)),
        CONFIRM => Ok(Command::Confirm(read_hold_ref(entry)?)),
        ROLLBACK => Ok(Command::Rollback(read_hold_ref(entry)?)),
        COMMIT => Ok(Command::Commit(Commit {
            room: entry.room()?,
            life: entry.option(Reader::life)?,
            consumer: entry.consumer()?,
            offset: entry.offset()?,
        })),
        FORWARD => Ok(Command::Forward(Forward { room: entry.room()?, to: ShardId(entry.u32()?) })),
        SWEEP => Ok(Command::Sweep(entry.list(DUE_MIN, read_due)?)),
        _ => Err("a command of an unknown number"),
    }
}

fn read_publish(entry: &mut Reader<'_>, bytes: &Bytes, number: u8) -> Result<Publish, Reason> {
    let (room, life, from) = (entry.room()?, entry.option(Reader::life)?, entry.user()?);
    let expect = entry.option(Reader::offset)?;
    let (create, placed) = match number {
        PUBLISH_WITH => (read_unusual(entry)?, entry.flag()?),
        _ => (read_usual(entry)?, number == PUBLISH_PLACED),
    };
    Ok(Publish { room, life, from, messages: entry.messages(bytes)?, expect, create, placed })
}

fn read_hold(entry: &mut Reader<'_>, bytes: &Bytes, number: u8) -> Result<Hold, Reason> {
    let (room, life, from) = (entry.room()?, entry.option(Reader::life)?, entry.user()?);
    let hold_ms = entry.u64()?;
    let create = if number == HOLD_WITH { read_unusual(entry)? } else { read_usual(entry)? };
    let placed = entry.flag()?;
    Ok(Hold { room, life, from, messages: entry.messages(bytes)?, hold_ms, create, placed })
}

fn read_hold_ref(entry: &mut Reader<'_>) -> Result<HoldRef, Reason> {
    Ok(HoldRef {
        room: entry.room()?,
        life: entry.option(Reader::life)?,
        from: entry.user()?,
        ids: entry.list(size_of::<MessageId>(), Reader::message_id)?,
    })
}

/// The layout of a due, which is also what its key says behind the table.
pub(crate) fn put_due(out: &mut Vec<u8>, due: &Due) {
    out.put_time(due.time);
    out.put_life(due.life);
    match due.what {
        DueKind::Hold(hold) => {
            out.put_u8(DUE_HOLD);
            out.put_hold_id(hold);
        }
        DueKind::Id(id) => {
            out.put_u8(DUE_ID);
            out.put_slice(&id.0);
        }
        DueKind::Age => out.put_u8(DUE_AGE),
    }
}

pub(crate) fn read_due(bytes: &mut Reader<'_>) -> Result<Due, Reason> {
    let (time, life) = (bytes.time()?, bytes.life()?);
    let what = match bytes.u8()? {
        DUE_HOLD => DueKind::Hold(bytes.hold_id()?),
        DUE_ID => DueKind::Id(bytes.message_id()?),
        DUE_AGE => DueKind::Age,
        _ => return Err("what is due has an unknown number"),
    };
    Ok(Due { time, life, what })
}

pub(crate) fn due_len(due: &Due) -> usize {
    let what = match due.what {
        DueKind::Hold(_) => 12,
        DueKind::Id(_) => 16,
        DueKind::Age => 0,
    };
    DUE_MIN + what
}
