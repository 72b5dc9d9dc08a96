//! One network namespace per node, joined by a bridge.
//!
//! ```text
//! root namespace            bridge  rkMARKERb   10.x.y.1     clients
//!   rkMARKERp0 ── eth0 in   rkMARKERn0          10.x.y.10    node 0
//!   rkMARKERp1 ── eth0 in   rkMARKERn1          10.x.y.11    node 1
//! ```
//!
//! Frames between two nodes are forwarded by the bridge, where nft can drop them pair by pair; frames between a
//! client and a node are not, so that clients reach every node whatever is cut.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};

use super::Place;
use super::cut::{Cut, Links};
use crate::command::{output, run};
use crate::guard::{self, Guard, Made};
use crate::ports::Addresses;

/// Last byte of node 0's address.
const FIRST_HOST: u8 = 10;
/// Nodes that a bridge may have.
const NODES_MAX: usize = 200;
/// Subnets tried before giving up.
const TRIES: usize = 50;

/// The namespaces of one cluster. All of it goes away when dropped.
#[derive(Debug)]
pub struct Bridged {
    // Dropped in this order: a namespace takes its end of the cable with it.
    namespaces: Vec<Guard>,
    cables: Vec<Guard>,
    _bridge: Guard,
    tag: String,
    /// The first three bytes of all addresses.
    subnet: [u8; 3],
}

impl Bridged {
    /// A bridge without nodes.
    ///
    /// # Errors
    /// Not root, or the kernel has no bridges or namespaces.
    pub fn new() -> Result<Self> {
        // Interface names have at most 15 characters: 2 + 7 for a process id + 1 letter + a number.
        let tag = format!("rk{}", guard::marker()?.split('-').next().unwrap_or_default());
        let name = format!("{tag}b");
        let subnet = free_subnet()?;
        let bridge = Guard::over(Made::Link(name.clone()), || {
            run("ip", ["link", "add", &name, "type", "bridge"])?;
            run("ip", ["address", "add", &format!("{}/24", address(subnet, 1)), "dev", &name])?;
            run("ip", ["link", "set", &name, "up"])
        })?;
        Ok(Self { namespaces: Vec::new(), cables: Vec::new(), _bridge: bridge, tag, subnet })
    }

    /// A namespace for node `k`, which must be the next one.
    pub(super) fn add_node(&mut self, k: usize) -> Result<Place> {
        ensure!(k == self.namespaces.len() && k < NODES_MAX, "node {k} is not the next one");
        let (namespace, cable, bridge) =
            (format!("{}n{k}", self.tag), format!("{}p{k}", self.tag), format!("{}b", self.tag));
        let ip = self.address(k);
        self.namespaces.push(Guard::over(Made::Namespace(namespace.clone()), || {
            run("ip", ["netns", "add", &namespace])?;
            run("ip", ["-n", &namespace, "link", "set", "lo", "up"])
        })?);
        self.cables.push(Guard::over(Made::Link(cable.clone()), || {
            run("ip", ["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &namespace])?;
            run("ip", ["link", "set", &cable, "master", &bridge, "up"])?;
            run("ip", ["-n", &namespace, "address", "add", &format!("{ip}/24"), "dev", "eth0"])?;
            run("ip", ["-n", &namespace, "link", "set", "eth0", "up"])
        })?);
        let at = |port| SocketAddr::new(IpAddr::V4(ip), port);
        let addresses = Addresses { client: at(7700), peer: at(7701), admin: at(7702) };
        Ok(Place { addresses, reserved: None, namespace: Some(namespace) })
    }

    /// Cuts links between nodes until the cut is dropped.
    pub(super) fn cut(&self, links: &Links) -> Result<Cut> {
        Cut::new(&self.tag, links, |k| self.address(k))
    }

    fn address(&self, k: usize) -> Ipv4Addr {
        // At most 200 nodes: fits.
        address(self.subnet, FIRST_HOST.saturating_add(u8::try_from(k).unwrap_or(u8::MAX)))
    }
}

fn address([a, b, c]: [u8; 3], host: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, host)
}

/// A subnet of 10.0.0.0/8 to which this machine has no route of its own.
fn free_subnet() -> Result<[u8; 3]> {
    let routes = output("ip", ["-4", "route", "show", "table", "all"]).context("cannot list routes")?;
    for _ in 0..TRIES {
        let subnet = [10, rand::random_range(128..=254), rand::random_range(0..=254)];
        let prefix = format!("{}.{}.{}.", subnet[0], subnet[1], subnet[2]);
        if !routes.contains(&prefix) {
            return Ok(subnet);
        }
    }
    anyhow::bail!("no free subnet in 10.128.0.0/9")
}
