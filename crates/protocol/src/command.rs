//! The commands' names: one list for both codecs.

use crate::{Command, Reply, RoomRef};

macro_rules! kinds {
    ($($kind:ident = $name:literal),* $(,)?) => {
        /// Which command, without its fields.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "docs/protocol.md explains each command once")]
        pub enum CommandKind {
            $($kind),*
        }

        impl CommandKind {
            /// Every command of the protocol.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The name on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name),*
                }
            }

            /// The command of that wire name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$kind),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    Hello = "hello",
    Join = "join",
    Leave = "leave",
    Publish = "publish",
    Signal = "signal",
    History = "history",
    Commit = "commit",
    Credit = "credit",
    Heartbeat = "heartbeat",
    Presence = "presence",
    Rooms = "rooms",
    Create = "create",
    Delete = "delete",
    Confirm = "confirm",
    Rollback = "rollback",
}

impl Command {
    /// Which command it is: what [`Codec::decode_server`](crate::Codec::decode_server) must know of the
    /// commands sent.
    #[must_use]
    pub const fn kind(&self) -> CommandKind {
        match self {
            Self::Hello(_) => CommandKind::Hello,
            Self::Join(_) => CommandKind::Join,
            Self::Leave(_) => CommandKind::Leave,
            Self::Publish(_) => CommandKind::Publish,
            Self::Signal(_) => CommandKind::Signal,
            Self::History(_) => CommandKind::History,
            Self::Commit(_) => CommandKind::Commit,
            Self::Credit(_) => CommandKind::Credit,
            Self::Heartbeat(_) => CommandKind::Heartbeat,
            Self::Presence(_) => CommandKind::Presence,
            Self::Rooms(_) => CommandKind::Rooms,
            Self::Create(_) => CommandKind::Create,
            Self::Delete(_) => CommandKind::Delete,
            Self::Confirm(_) => CommandKind::Confirm,
            Self::Rollback(_) => CommandKind::Rollback,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// The room and life that it names, or may name. `None`: it is about no room, about several, or, as a
    /// create, about a room that has no life yet.
    pub fn room_mut(&mut self) -> Option<&mut RoomRef> {
        match self {
            Self::Join(join) => Some(&mut join.room),
            Self::Publish(publish) => Some(&mut publish.room),
            Self::Signal(signal) => Some(&mut signal.room),
            Self::History(history) => Some(&mut history.room),
            Self::Commit(commit) => Some(&mut commit.room),
            Self::Credit(credit) => Some(&mut credit.room),
            Self::Confirm(hold) | Self::Rollback(hold) => Some(&mut hold.room),
            Self::Leave(room) | Self::Presence(room) | Self::Delete(room) => Some(room),
            Self::Hello(_) | Self::Heartbeat(_) | Self::Rooms(_) | Self::Create(_) => None,
        }
    }
}

impl Reply {
    /// The command that it answers.
    #[must_use]
    pub const fn kind(&self) -> CommandKind {
        match self {
            Self::Hello(_) => CommandKind::Hello,
            Self::Join(_) => CommandKind::Join,
            Self::Leave => CommandKind::Leave,
            Self::Publish(_) => CommandKind::Publish,
            Self::Signal => CommandKind::Signal,
            Self::History(_) => CommandKind::History,
            Self::Commit(_) => CommandKind::Commit,
            Self::Credit => CommandKind::Credit,
            Self::Heartbeat => CommandKind::Heartbeat,
            Self::Presence(_) => CommandKind::Presence,
            Self::Rooms(_) => CommandKind::Rooms,
            Self::Create(_) => CommandKind::Create,
            Self::Delete => CommandKind::Delete,
            Self::Confirm(_) => CommandKind::Confirm,
            Self::Rollback => CommandKind::Rollback,
        }
    }
}
