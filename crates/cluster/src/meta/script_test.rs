//! Golden scripts: commands and what meta answers, one situation per file in `scripts/`.
//!
//! A line that begins with `>` is a command, the lines below it are the answer. `#` begins a comment.
//!
//! ```text
//! > bootstrap cluster=1 shards=2 replicas=3 initial=3 peer=a:1
//! > join nonce=2 peer=b:1 [format=1] [zone=x]
//! > update node=2 peer=b:2
//! > place 1,2 2,1
//! > born 0,1
//! > plan shard=0 version=0 2,1
//! > finish shard=0 version=1
//! > renew replica=3
//! > drain node=2
//! > remove node=2 [force]
//! > state
//! ```

use std::collections::HashMap;
use std::fmt::Write;

use roomkeeper_consensus::Member;
use roomkeeper_types::{ClusterId, NodeId, ReplicaId, ShardCount, ShardId};

use super::{MetaCommand, MetaReply, MetaState, NodeSpec, NodeState, PlanVersion};
use crate::identity::{FORMAT, JoinNonce};

/// The words of a command line: its name, `key=value` pairs and the rest.
struct Words<'a> {
    name: &'a str,
    pairs: HashMap<&'a str, &'a str>,
    rest: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Self {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap();
        let (mut pairs, mut rest) = (HashMap::new(), Vec::new());
        for word in words {
            match word.split_once('=') {
                Some((key, value)) => drop(pairs.insert(key, value)),
                None => rest.push(word),
            }
        }
        Self { name, pairs, rest }
    }

    fn number(&self, key: &str) -> u32 {
        self.pairs.get(key).map_or(1, |value| value.parse().unwrap())
    }

    fn version(&self) -> PlanVersion {
        PlanVersion(self.number("version").into())
    }

    fn spec(&self) -> NodeSpec {
        let peer = self.pairs["peer"].to_owned();
        let zone = self.pairs.get("zone").map(ToString::to_string);
        NodeSpec { client_url: format!("http://{peer}"), peer, admin: None, zone, weight: 1 }
    }

    fn command(&self) -> MetaCommand {
        let format = self.pairs.get("format").map_or(FORMAT, |format| format.parse().unwrap());
        let node = NodeId(self.number("node"));
        match self.name {
            "bootstrap" => MetaCommand::Bootstrap {
                cluster: ClusterId([self.number("cluster") as u8; 16]),
                format,
                shards: ShardCount::new(self.number("shards")).unwrap(),
                replicas: self.number("replicas"),
                initial_nodes: self.number("initial"),
                founder: self.spec(),
            },
            "join" => {
                let nonce = JoinNonce([self.number("nonce") as u8; 16]);
                MetaCommand::Join { nonce, format, node: self.spec() }
            }
            "update" => MetaCommand::UpdateNode { node, spec: self.spec() },
            "place" => {
                let row = |row: &&str| numbers(row).map(NodeId).collect();
                MetaCommand::Place { table: self.rest.iter().map(row).collect() }
            }
            "born" => MetaCommand::Born { shards: numbers(self.rest[0]).map(ShardId).collect() },
            "plan" => MetaCommand::Plan {
                shard: ShardId(self.number("shard")),
                version: self.version(),
                nodes: numbers(self.rest[0]).map(NodeId).collect(),
            },
            "finish" => MetaCommand::Finish { shard: ShardId(self.number("shard")), version: self.version() },
            "renew" => MetaCommand::Renew { replica: ReplicaId(self.number("replica").into()) },
            "drain" => MetaCommand::Drain { node },
            "undrain" => MetaCommand::Undrain { node },
            "lose" => MetaCommand::Lose { node },
            "find" => MetaCommand::Find { node },
            "remove" => MetaCommand::Remove { node, force: self.rest.contains(&"force") },
            other => panic!("no such command: {other}"),
        }
    }
}

fn numbers(list: &str) -> impl Iterator<Item = u32> + '_ {
    list.split(',').filter(|number| !number.is_empty()).map(|number| number.parse().unwrap())
}

fn answer(state: &mut MetaState, line: &str) -> String {
    let words = Words::of(line);
    if words.name == "state" {
        return show(state);
    }
    let command = words.command();
    assert_eq!(MetaCommand::decode(&command.encode()), Ok(command.clone()), "commands survive the wire");
    let before = state.clone();
    let reply = state.apply(command);
    assert_eq!(MetaReply::decode(&reply.encode()), Ok(reply.clone()), "replies survive the wire");
    assert_eq!(MetaState::decode(&state.encode()), Ok(state.clone()), "the state survives the disk");
    match reply {
        MetaReply::Done => "done\n".to_owned(),
        MetaReply::Joined(joined) => format!("joined as {} with {}\n", joined.node, joined.meta_replica),
        MetaReply::Renewed(Some(replica)) => format!("renewed as {replica}\n"),
        MetaReply::Renewed(None) => "gone\n".to_owned(),
        MetaReply::Refused(refusal) => {
            assert_eq!(before, *state, "what is refused changes nothing");
            format!("refused: {refusal}\n")
        }
    }
}

fn show(state: &MetaState) -> String {
    let mut text = String::new();
    for (node, record) in &state.nodes {
        let state = match record.state {
            NodeState::Active => "",
            NodeState::Draining => " draining",
            NodeState::Lost => " lost",
        };
        writeln!(text, "{node} {} meta {}{state}", record.spec.peer, record.meta_replica).unwrap();
    }
    for (shard, record) in state.shards() {
        let list = |members: &[Member]| -> String {
            let each = members.iter().map(|member| format!("{}@{}", member.replica, member.node));
            each.collect::<Vec<_>>().join(" ")
        };
        let born = if record.born { " born" } else { "" };
        write!(text, "{shard} {} prefers {}{born}", list(&record.replicas), record.preferred).unwrap();
        if let Some(plan) = &record.plan {
            write!(text, " {} to {}", record.version, list(&plan.target)).unwrap();
        }
        text.push('\n');
    }
    if state.wants_placement() {
        text.push_str("wants placement\n");
    }
    if text.is_empty() { "empty\n".to_owned() } else { text }
}

fn run(script: &str) {
    let mut state = MetaState::default();
    let (mut expected, mut actual) = (String::new(), String::new());
    for line in script.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        writeln!(expected, "{line}").unwrap();
        if let Some(command) = line.strip_prefix('>') {
            writeln!(actual, "{line}").unwrap();
            actual.push_str(&answer(&mut state, command));
        }
    }
    assert_eq!(actual, expected, "\n--- actual ---\n{actual}\n--- expected ---\n{expected}");
}

macro_rules! scripts {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            run(include_str!(concat!("scripts/", stringify!($name), ".txt")));
        }
    )*};
}

scripts! {
    bootstrap_twice_changes_nothing
    command_before_bootstrap_is_refused
    join_repeated_gets_the_same_ids
    join_of_another_format_is_refused
    place_allocates_replicas_once
    place_of_a_malformed_table_is_refused
    born_is_remembered
    plan_keeps_every_replica_until_it_is_finished
    plan_of_another_version_is_refused
    plan_replaced_reuses_what_is_there
    plan_without_a_move_changes_the_order_at_once
    renewed_replica_gets_a_new_id_on_its_node
    renewed_replica_of_meta_gets_a_new_id
    node_lost_and_found_is_active_again
    node_removed_is_never_let_in_again
    last_node_cannot_go
}
