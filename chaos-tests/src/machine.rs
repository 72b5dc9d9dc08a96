//! What this machine can do: asked, never assumed.

use std::fmt;

use crate::command::succeeds;
use crate::disk::{Disk, DiskKind, Slowed};
use crate::net::{Bridged, Link, Links, Net};
use crate::scratch::Scratch;

/// Something that a scenario may need of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Network namespaces on a bridge, and links between them that nft can cut.
    Partitions,
    /// ext4 images whose power can be cut.
    PowerCuts,
    /// A disk that can be slowed down by the `blkio` controller.
    SlowDisk,
    /// A disk that can be frozen.
    Freeze,
    /// System calls of a running process that can be made to fail.
    Inject,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Partitions => "network namespaces and nft (root; packages iproute2, nftables)",
            Self::PowerCuts => "ext4 images on loop devices (root; package e2fsprogs)",
            Self::SlowDisk => "the blkio controller, cgroup version 1 (root)",
            Self::Freeze => "fsfreeze (root; package util-linux)",
            Self::Inject => "strace (package strace), and leave to trace",
        })
    }
}

/// What was found. Each need is tried once, by doing it on something small.
#[derive(Debug, Clone)]
pub struct Machine {
    lacks: Vec<(Need, String)>,
}

/// Does on something small what a need is for.
type Attempt = fn() -> anyhow::Result<()>;

impl Machine {
    /// Tries everything. Takes some tenths of a second and leaves nothing behind.
    #[must_use]
    pub fn look() -> Self {
        let tries: [(Need, Attempt); 5] = [
            (Need::Partitions, partitions),
            (Need::PowerCuts, power_cuts),
            (Need::SlowDisk, slow_disk),
            (Need::Freeze, freeze),
            (Need::Inject, inject),
        ];
        let failed =
            |(need, attempt): (Need, Attempt)| attempt().err().map(|error| (need, format!("{error:#}")));
        Self { lacks: tries.into_iter().filter_map(failed).collect() }
    }

    /// Why one of these needs cannot be had, if one cannot.
    #[must_use]
    pub fn refuses(&self, needs: &[Need]) -> Option<String> {
        let (need, why) = self.lacks.iter().find(|(need, _)| needs.contains(need))?;
        Some(format!("needs {need}: {why}"))
    }

    /// What it cannot do, and why.
    #[must_use]
    pub fn lacks(&self) -> &[(Need, String)] {
        &self.lacks
    }
}

fn partitions() -> anyhow::Result<()> {
    let mut bridged = Net::Bridged(Bridged::new()?);
    bridged.add_node(0)?;
    bridged.cut(&Links::from([Link { from: 0, to: 1 }]))?.heal().map(drop)
}

/// The smallest disk on which ext4 has a journal is about 2 MiB.
const MIB: u64 = 8;

fn small_disk(scratch: &Scratch) -> anyhow::Result<Disk> {
    Disk::new(DiskKind::Image { mib: MIB }, scratch.path(), "disk")
}

fn power_cuts() -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    let mut disk = small_disk(&scratch)?;
    let before = disk.image()?.cut()?;
    disk.image_mut()?.power_on(before).map(drop)
}

fn slow_disk() -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    let disk = small_disk(&scratch)?;
    Slowed::new(disk.image()?, 1_000)?.lift()
}

fn freeze() -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    let disk = small_disk(&scratch)?;
    crate::disk::Frozen::new(disk.image()?)?.thaw()
}

fn inject() -> anyhow::Result<()> {
    let works = succeeds("strace", ["-o", "/dev/null", "-e", "inject=fdatasync:error=EIO", "true"]);
    anyhow::ensure!(works, "strace does not run");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn need_that_the_machine_lacks_is_refused_with_its_reason() {
        let machine = Machine { lacks: vec![(Need::Freeze, "not root".to_owned())] };
        assert_eq!(machine.refuses(&[Need::PowerCuts]), None);
        assert!(
            machine.refuses(&[Need::PowerCuts, Need::Freeze]).is_some_and(|why| why.contains("not root"))
        );
    }
}
