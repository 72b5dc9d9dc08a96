//! Where nodes listen: on loopback, or in a network namespace each, so that links between them can be cut.

mod bridged;
mod cut;

use anyhow::{Result, bail};

pub use bridged::Bridged;
pub use cut::{Cut, Link, Links};

use crate::ports::{Addresses, Reserved};

/// The network of a cluster.
#[derive(Debug)]
pub enum Net {
    /// All nodes on 127.0.0.1. Needs no root; nothing can be cut.
    Loopback,
    /// A network namespace per node, on one bridge. Needs root.
    Bridged(Bridged),
}

/// Where one node listens.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) addresses: Addresses,
    /// Held until the node opens the ports itself. In a namespace nobody else can take them.
    pub(crate) reserved: Option<Reserved>,
    /// The namespace to start the node in.
    pub(crate) namespace: Option<String>,
}

impl Net {
    /// A place for node `k`, which must be the next one.
    pub(crate) fn add_node(&mut self, k: usize) -> Result<Place> {
        match self {
            Self::Loopback => {
                let reserved = Reserved::new()?;
                Ok(Place { addresses: reserved.addresses, reserved: Some(reserved), namespace: None })
            }
            Self::Bridged(bridged) => bridged.add_node(k),
        }
    }

    /// Cuts links between nodes until the cut is dropped.
    ///
    /// # Errors
    /// The nodes are on loopback, or nft refuses.
    pub fn cut(&self, links: &Links) -> Result<Cut> {
        match self {
            Self::Loopback => bail!("nodes on loopback cannot be cut off"),
            Self::Bridged(bridged) => bridged.cut(links),
        }
    }
}
