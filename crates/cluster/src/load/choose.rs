//! Where a new room goes: a pure function of what is known.

use roomkeeper_types::ShardId;

use super::Load;

/// Costs that differ by less than this part of the least, plus [`NOISE`], are equal.
const EQUAL_PART: u64 = 8;
/// Microseconds of a core per second: ten messages a second.
const NOISE: u64 = 100;

/// A node that a new room may go to.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// Its share of the load relative to other nodes.
    pub(super) weight: u32,
    /// What it has to do; `None`: it did not say so lately.
    pub(super) total: Option<Load>,
    /// The shards that it owns.
    pub(super) shards: Vec<(ShardId, Load)>,
}

/// A shard of the least loaded node, by its weight, and there the least loaded one. Equals take turns: the figures
/// are seconds old, and what was placed since does not show in them. While the load of any node is unknown, all nodes
/// are equal, and so are all shards.
pub(super) fn choose(nodes: &[Candidate], turn: u64) -> Option<ShardId> {
    let nodes: Vec<&Candidate> = nodes.iter().filter(|node| !node.shards.is_empty()).collect();
    let known: Option<Vec<Load>> = nodes.iter().map(|node| node.total).collect();
    let costs: Vec<u64> = match &known {
        Some(loads) => {
            let per_weight = |(node, load): (&&Candidate, &Load)| load.cost() / u64::from(node.weight.max(1));
            nodes.iter().zip(loads).map(per_weight).collect()
        }
        None => vec![0; nodes.len()],
    };
    let (node, turn) = take_turn(&costs, turn)?;
    let shards = &nodes[node].shards;
    let costs: Vec<u64> =
        shards.iter().map(|(_, load)| if known.is_some() { load.cost() } else { 0 }).collect();
    let (shard, _) = take_turn(&costs, turn)?;
    Some(shards[shard].0)
}

/// The index of one of the least costs, and the number of the turn among choices within it.
fn take_turn(costs: &[u64], turn: u64) -> Option<(usize, u64)> {
    let least = *costs.iter().min()?;
    let limit = least.saturating_add(least / EQUAL_PART).saturating_add(NOISE);
    let equals: Vec<usize> = (0..costs.len()).filter(|index| costs[*index] <= limit).collect();
    let count = equals.len() as u64;
    let index = usize::try_from(turn % count).unwrap_or_default();
    Some((equals[index], turn / count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(messages_per_s: u64) -> Load {
        Load { messages_per_s, ..Load::default() }
    }

    /// A node with this much to do, or one that did not say, and its shards with theirs.
    fn node(total: Option<u64>, shards: &[(u32, u64)]) -> Candidate {
        let shards = shards.iter().map(|(shard, messages)| (ShardId(*shard), load(*messages)));
        Candidate { weight: 1, total: total.map(load), shards: shards.collect() }
    }

    fn chosen(nodes: &[Candidate], turns: u64) -> Vec<u32> {
        (0..turns).filter_map(|turn| choose(nodes, turn)).map(|shard| shard.0).collect()
    }

    #[test]
    fn choose_by_table() {
        let heavy = || node(Some(5_000), &[(0, 5_000), (1, 0)]);
        let table: [(&str, Vec<Candidate>, &[u32]); 8] = [
            ("nobody", vec![], &[]),
            ("nobody with shards", vec![node(Some(0), &[])], &[]),
            ("alone", vec![node(Some(9), &[(4, 0)])], &[4, 4]),
            ("the idle node", vec![heavy(), node(Some(20), &[(2, 0)])], &[2, 2]),
            ("its idle shard", vec![heavy(), node(Some(90), &[(2, 90), (3, 0)])], &[3, 3]),
            (
                "equals in turn, and their shards in turn",
                vec![node(Some(0), &[(0, 0), (1, 0)]), heavy(), node(Some(9), &[(4, 0), (5, 9)])],
                &[0, 4, 1, 5, 0, 4],
            ),
            (
                "all in turn while one is unknown",
                vec![heavy(), node(None, &[(2, 0), (3, 0)])],
                &[0, 2, 1, 3, 0, 2],
            ),
            ("without shards nobody is missed", vec![node(None, &[]), node(Some(1), &[(7, 1)])], &[7, 7]),
        ];
        for (what, nodes, expected) in table {
            assert_eq!(chosen(&nodes, expected.len().max(2) as u64), expected, "{what}");
        }
    }

    #[test]
    fn node_of_twice_the_weight_takes_twice_the_load() {
        let mut strong = node(Some(1_900), &[(0, 1_900)]);
        strong.weight = 2;
        let weak = node(Some(1_200), &[(1, 1_200)]);
        assert_eq!(chosen(&[strong, weak], 2), [0, 0]);
    }

    #[test]
    fn every_figure_counts() {
        let idle = node(Some(0), &[(1, 0)]);
        let busy = [
            Load { messages_per_s: 11, ..Load::default() },
            Load { bytes_per_s: 1 << 20, ..Load::default() },
            Load { deliveries_per_s: 101, ..Load::default() },
            Load { subscribers: 11, ..Load::default() },
            Load { messages_per_s: u64::MAX, deliveries_per_s: u64::MAX, ..Load::default() },
        ];
        for total in busy {
            let busy = Candidate { total: Some(total), ..node(None, &[(0, 0)]) };
            assert_eq!(chosen(&[busy, idle.clone()], 2), [1, 1], "{total:?}");
        }
    }
}
