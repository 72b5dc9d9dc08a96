//! The commands' names: one list for both codecs.

use crate::{Command, Reply};

macro_rules! kinds {
    ($($kind:ident = $name:literal),* $(,)?) => {
        /// Which command, without its fields. All of the protocol, whether this server has it yet or not.
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
    /// The name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Join(_) => "join",
            Self::Leave(_) => "leave",
            Self::Publish(_) => "publish",
            Self::History(_) => "history",
            Self::Rooms(_) => "rooms",
            Self::Create(_) => "create",
            Self::Delete(_) => "delete",
            Self::Unsupported(name) => name,
        }
    }

    /// Which command it is: what [`Codec::decode_server`](crate::Codec::decode_server) must know of the
    /// commands sent. `None` for a made-up [`Command::Unsupported`] name.
    #[must_use]
    pub fn kind(&self) -> Option<CommandKind> {
        CommandKind::from_name(self.name())
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
            Self::History(_) => CommandKind::History,
            Self::Rooms(_) => CommandKind::Rooms,
            Self::Create(_) => CommandKind::Create,
            Self::Delete => CommandKind::Delete,
        }
    }
}
