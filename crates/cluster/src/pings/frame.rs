//! What pings look like on the wire: a hello each way, then frames of ten bytes.
//!
//! ```text
//! hello:  "RKPG" | length u16 | versioned postcard of Hello
//! frame:  kind u8 (1 ping, 2 pong) | flags u8 (bit 0: unfit, bit 1: leaving) | number u64
//! ```
//! All numbers are big-endian. The first four bytes tell a ping connection from one of Raft's on the same port.

use std::io;

use roomkeeper_types::{ClusterId, NodeId};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::detector::{Health, Incarnation};
use crate::versioned;

/// How a ping connection begins.
pub(super) const MAGIC: &[u8; 4] = b"RKPG";
const VERSION: u8 = 1;
const HELLO_MAX: usize = 4 << 10;
const FRAME: usize = 10;
const UNFIT: u8 = 1;
const LEAVING: u8 = 2;

/// Who speaks, and to whom it means to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) cluster: ClusterId,
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    pub(super) incarnation: Incarnation,
    /// The cluster's secret; the answer has none.
    pub(super) secret: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ping,
    Pong,
}

/// "I am there", and its echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// What the speaker says of itself.
    pub(super) health: Health,
    /// A pong has its ping's.
    pub(super) number: u64,
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl Hello {
    pub(super) async fn write(&self, out: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let body = versioned::encode(VERSION, self);
        let len = u16::try_from(body.len()).map_err(|_| bad("the cluster's secret is too long"))?;
        let mut bytes = Vec::with_capacity(6 + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(&body);
        out.write_all(&bytes).await
    }

    pub(super) async fn read(input: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut head = [0; 6];
        input.read_exact(&mut head).await?;
        let [m0, m1, m2, m3, l0, l1] = head;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        if &[m0, m1, m2, m3] != MAGIC || len > HELLO_MAX {
            return Err(bad("not a ping connection"));
        }
        let mut body = vec![0; len];
        input.read_exact(&mut body).await?;
        versioned::decode(VERSION, &body).map_err(|error| bad(&error.to_string()))
    }
}

impl Frame {
    pub(super) async fn write(self, out: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut bytes = [0; FRAME];
        bytes[0] = match self.kind {
            Kind::Ping => 1,
            Kind::Pong => 2,
        };
        let flag = |set, flag| if set { flag } else { 0 };
        bytes[1] = flag(self.health.unfit, UNFIT) | flag(self.health.leaving, LEAVING);
        bytes[2..].copy_from_slice(&self.number.to_be_bytes());
        out.write_all(&bytes).await
    }

    pub(super) async fn read(input: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut bytes = [0; FRAME];
        input.read_exact(&mut bytes).await?;
        let [kind, flags, number @ ..] = bytes;
        let kind = match kind {
            1 => Kind::Ping,
            2 => Kind::Pong,
            _ => return Err(bad("neither a ping nor a pong")),
        };
        let health = Health { unfit: flags & UNFIT != 0, leaving: flags & LEAVING != 0 };
        Ok(Self { kind, health, number: u64::from_be_bytes(number) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            cluster: ClusterId([3; 16]),
            from: NodeId(1),
            to: NodeId(2),
            incarnation: u64::MAX,
            secret: Some("s".to_owned()),
        }
    }

    #[tokio::test]
    async fn hello_and_frames_come_back_as_written() {
        let mut wire = Vec::new();
        hello().write(&mut wire).await.unwrap();
        let frames = [
            Frame { kind: Kind::Ping, health: Health::default(), number: 1 },
            Frame { kind: Kind::Ping, health: Health { unfit: false, leaving: true }, number: 2 },
            Frame { kind: Kind::Pong, health: Health { unfit: true, leaving: false }, number: u64::MAX },
        ];
        for frame in frames {
            frame.write(&mut wire).await.unwrap();
        }
        assert!(wire.starts_with(MAGIC));
        let mut input = wire.as_slice();
        assert_eq!(Hello::read(&mut input).await.unwrap(), hello());
        for frame in frames {
            assert_eq!(Frame::read(&mut input).await.unwrap(), frame);
        }
    }

    #[tokio::test]
    async fn bytes_of_something_else_are_refused() {
        let long = [&MAGIC[..], &[0xff, 0xff]].concat();
        for wire in [&b"PRI * HTTP/2.0\r\n"[..], &long, b"RKPG\0\x01\x09", b"RK"] {
            assert!(Hello::read(&mut &wire[..]).await.is_err(), "{wire:?}");
        }
        assert!(Frame::read(&mut &[9u8; FRAME][..]).await.is_err());
    }
}
