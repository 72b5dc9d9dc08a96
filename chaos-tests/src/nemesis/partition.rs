//! Links between nodes that carry nothing.

use anyhow::Context;

use super::{Done, Field, Nemesis, Target};
use crate::net::{Cut, Link, Links};

/// What is cut, seen from the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The targets from all others, both ways.
    Isolate,
    /// Nothing reaches the targets.
    Deaf,
    /// Nothing that the targets send arrives.
    Mute,
    /// The target and one other do not hear each other; whoever is left is the bridge between them.
    Bridge,
    /// Every node hears only its neighbours in a ring: overlapping majorities of five.
    Ring,
}

/// Cuts links for a while.
#[derive(Debug)]
pub struct Partition {
    target: Target,
    shape: Shape,
    cut: Option<Cut>,
}

impl Partition {
    /// Of this shape, around these targets.
    #[must_use]
    pub const fn new(target: Target, shape: Shape) -> Self {
        Self { target, shape, cut: None }
    }
}

/// The links that a shape cuts, of `size` nodes.
fn links(shape: Shape, size: usize, targets: &[usize]) -> Links {
    let cuts = |from: usize, to: usize| {
        let (from_in, to_in) = (targets.contains(&from), targets.contains(&to));
        match shape {
            Shape::Isolate => from_in != to_in,
            Shape::Deaf => !from_in && to_in,
            Shape::Mute => from_in && !to_in,
            Shape::Bridge => {
                // The other one is the next node that is no target.
                let other = (1..size)
                    .map(|step| (targets.first().copied().unwrap_or(0) + step) % size)
                    .find(|k| !targets.contains(k));
                (from_in && Some(to) == other) || (to_in && Some(from) == other)
            }
            Shape::Ring => {
                let apart = from.abs_diff(to);
                apart > 1 && apart < size - 1
            }
        }
    };
    let all = (0..size).flat_map(|from| (0..size).map(move |to| Link { from, to }));
    all.filter(|link| link.from != link.to && cuts(link.from, link.to)).collect()
}

impl Nemesis for Partition {
    fn name(&self) -> &'static str {
        "partition"
    }

    fn target(&self) -> Target {
        self.target
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let links = links(self.shape, field.cluster.size(), nodes);
            self.cut = Some(field.cluster.net().cut(&links)?);
            Ok(format!("{:?}: {} links", self.shape, links.len()))
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, _: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let dropped = self.cut.take().context("nothing was cut")?.heal()?;
            field.recorder.count("packets_dropped", dropped);
            Ok(format!("healed, {dropped} packets dropped"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(shape: Shape, size: usize, targets: &[usize]) -> Vec<(usize, usize)> {
        links(shape, size, targets).into_iter().map(|link| (link.from, link.to)).collect()
    }

    #[test]
    fn isolated_node_neither_hears_nor_is_heard() {
        assert_eq!(cut(Shape::Isolate, 3, &[1]), [(0, 1), (1, 0), (1, 2), (2, 1)]);
    }

    #[test]
    fn deaf_and_mute_are_one_way_each() {
        assert_eq!(cut(Shape::Deaf, 3, &[1]), [(0, 1), (2, 1)]);
        assert_eq!(cut(Shape::Mute, 3, &[1]), [(1, 0), (1, 2)]);
    }

    #[test]
    fn bridge_separates_two_and_leaves_the_third_with_both() {
        assert_eq!(cut(Shape::Bridge, 3, &[2]), [(0, 2), (2, 0)]);
    }

    #[test]
    fn ring_of_five_leaves_each_with_its_two_neighbours() {
        let cut = cut(Shape::Ring, 5, &[]);
        assert_eq!(cut.len(), 10);
        assert!(cut.contains(&(0, 2)) && !cut.contains(&(0, 4)) && !cut.contains(&(0, 1)));
    }
}
