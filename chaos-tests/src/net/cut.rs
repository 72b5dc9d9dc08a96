//! Links between nodes that are cut: dropped by nft in the bridge family, direction by direction.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::command;
use crate::guard::{Guard, Made};
use crate::scratch::Scratch;

/// One direction between two nodes: what `from` sends does not reach `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The sender.
    pub from: usize,
    /// Who does not hear it.
    pub to: usize,
}

/// A set of links.
pub type Links = BTreeSet<Link>;

/// Cut links. They heal when it is dropped.
#[derive(Debug)]
pub struct Cut {
    table: String,
    guard: Guard,
}

impl Cut {
    pub(super) fn new(tag: &str, links: &Links, address: impl Fn(usize) -> Ipv4Addr) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let table = format!("{tag}c{}", NEXT.fetch_add(1, Ordering::Relaxed));
        // The chain must not be called `fwd`, which is a word of nft's own.
        let mut rules = format!(
            "table bridge {table} {{\n chain cut {{\n  type filter hook forward priority 0; policy accept;\n"
        );
        for Link { from, to } in links {
            rules += &format!("  ip saddr {} ip daddr {} counter drop\n", address(*from), address(*to));
        }
        rules += " }\n}\n";
        // nft takes several lines only from a file.
        let scratch = Scratch::new()?;
        let file = scratch.path().join("cut.nft");
        fs::write(&file, rules)?;
        let guard = Guard::over(Made::Table(table.clone()), || {
            command::run("nft", ["--file".as_ref(), file.as_os_str()])
        })?;
        Ok(Self { table, guard })
    }

    /// Packets dropped so far.
    ///
    /// # Errors
    /// nft does not say.
    pub fn dropped(&self) -> Result<u64> {
        let listing = command::output("nft", ["list", "table", "bridge", &self.table])?;
        counted(&listing).with_context(|| format!("cannot read nft's counters in {listing}"))
    }

    /// Heals the links and says how many packets were dropped.
    ///
    /// # Errors
    /// nft refuses.
    pub fn heal(self) -> Result<u64> {
        let dropped = self.dropped()?;
        self.guard.undo()?;
        Ok(dropped)
    }
}

/// The sum of all `counter packets N` of a listing.
fn counted(listing: &str) -> Result<u64> {
    let mut sum = 0;
    for part in listing.split("counter packets ").skip(1) {
        let number = part.split_whitespace().next().unwrap_or_default();
        sum += number.parse::<u64>().with_context(|| format!("`{number}` is no count"))?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_all_rules_are_summed() {
        let listing = "ip saddr 10.1.1.1 ip daddr 10.1.1.2 counter packets 7 bytes 700 drop\n\
                       ip saddr 10.1.1.2 ip daddr 10.1.1.1 counter packets 3 bytes 300 drop";
        assert_eq!(counted(listing).unwrap(), 10);
        assert_eq!(counted("table bridge x {}").unwrap(), 0);
        assert!(counted("counter packets many").is_err());
    }
}
