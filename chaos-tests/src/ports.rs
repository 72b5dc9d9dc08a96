//! Ports that nobody else takes between two starts of a node.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

use anyhow::{Result, bail};

/// Below Linux's ephemeral ports (32768 and up): no outgoing connection, of ours or of a node, can be given a
/// port of a node that is down.
const RANGE: Range<u16> = 12_000..31_000;
/// Ports tried before giving up.
const TRIES: usize = 200;

/// The three addresses of a node, all on loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Clients.
    pub client: SocketAddr,
    /// Other nodes.
    pub peer: SocketAddr,
    /// Operators.
    pub admin: SocketAddr,
}

/// Addresses that are held by listeners, so that no other test takes them. Dropped just before the node
/// opens them itself.
#[derive(Debug)]
pub struct Reserved {
    /// What is held.
    pub addresses: Addresses,
    _listeners: [TcpListener; 3],
}

impl Reserved {
    /// Takes three free ports.
    ///
    /// # Errors
    /// There seem to be none.
    pub fn new() -> Result<Self> {
        let (client, peer, admin) = (listen()?, listen()?, listen()?);
        let addresses =
            Addresses { client: client.local_addr()?, peer: peer.local_addr()?, admin: admin.local_addr()? };
        Ok(Self { addresses, _listeners: [client, peer, admin] })
    }
}

fn listen() -> Result<TcpListener> {
    for _ in 0..TRIES {
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, rand::random_range(RANGE))) {
            return Ok(listener);
        }
    }
    bail!("none of {TRIES} ports tried between {} and {} is free", RANGE.start, RANGE.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_are_distinct_and_busy_until_dropped() {
        let reserved = Reserved::new().unwrap();
        let Addresses { client, peer, admin } = reserved.addresses;
        assert!(client != peer && peer != admin && admin != client);
        assert!(TcpListener::bind(client).is_err());
        drop(reserved);
        TcpListener::bind(client).unwrap();
    }
}
