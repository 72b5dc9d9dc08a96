//! The picture as text.

use super::picture::{NodeState, Picture, Problem, ShardState};
use crate::cli::print;

/// Prints nodes, and shards where there is something to say, or all.
pub(super) fn show(picture: &Picture, all_shards: bool) {
    if let Some(cluster) = picture.cluster {
        println!("cluster {cluster}");
    }
    let mut nodes =
        print::table(["NODE", "URL", "ZONE", ">OWNS", ">REPLICAS", ">MSG/S", ">OUT/S", ">SUBS", "STATE"]);
    let figure = |figure: Option<u64>| figure.map_or("-".to_owned(), print::number);
    for node in &picture.nodes {
        nodes.add_row([
            node.node.to_string(),
            node.url.clone(),
            node.zone.clone().unwrap_or_else(|| "-".to_owned()),
            node.owned.to_string(),
            node.replicas.to_string(),
            figure(node.load.map(|load| load.messages_per_s)),
            figure(node.load.map(|load| load.deliveries_per_s)),
            figure(node.load.map(|load| load.subscribers)),
            state(node),
        ]);
    }
    println!();
    print::show(&nodes);
    if let Some(warning) = open_nodes(picture) {
        println!("\n{warning}");
    }

    let shown: Vec<&ShardState> =
        picture.shards.iter().filter(|shard| all_shards || says_more_than_the_nodes(shard)).collect();
    if !shown.is_empty() {
        let mut shards = print::table(["SHARD", "OWNER", ">EPOCH", "REPLICAS (LAG)", "STATE"]);
        for shard in shown {
            let owner = shard.owner.map_or("none".to_owned(), |owner| owner.to_string());
            let epoch = shard.epoch.get().to_string();
            shards.add_row([shard.shard.to_string(), owner, epoch, replicas(shard), words(shard)]);
        }
        println!();
        print::show(&shards);
    }
    println!();
    println!("{}", summary(picture));
}

/// A warning of nodes that take clients at their word.
fn open_nodes(picture: &Picture) -> Option<String> {
    let open = picture.nodes.iter().filter(|node| node.asks_for_token == Some(false));
    let open: Vec<String> = open.map(|node| node.node.to_string()).collect();
    (!open.is_empty()).then(|| {
        format!(
            "WARNING: no token is asked for by {} (auth.keys): whoever reaches the client port may read and write every room",
            open.join(", ")
        )
    })
}

/// That a replica's node does not answer stands in the table of nodes already.
fn says_more_than_the_nodes(shard: &ShardState) -> bool {
    let told = |problem: &Problem| matches!(problem, Problem::ReplicaSilent(_));
    shard.moving_to.is_some() || !shard.problems.iter().all(told)
}

fn state(node: &NodeState) -> String {
    let reason = node.reason.as_deref().unwrap_or("no reason given");
    match (node.answers, node.ready) {
        (true, true) => match (node.standing(), node.replicas) {
            ("active", _) => "ready".to_owned(),
            ("draining", left) => format!("ready, draining: {left} replicas left"),
            ("drained", _) => {
                format!("drained: stop it and remove it (`roomkeeper node remove {}`)", node.node.0)
            }
            (standing, _) => format!("ready, {standing}"),
        },
        (true, false) => format!("not ready: {reason}"),
        (false, _) => {
            let seen: Vec<String> = node.seen_by.iter().map(ToString::to_string).collect();
            let others = match seen.as_slice() {
                [] => "no other node hears it".to_owned(),
                seen => format!("still counted as alive by {}", seen.join(", ")),
            };
            let others = match node.standing() {
                "lost" => format!("{others}; its replicas are replaced where there are nodes enough"),
                _ => others,
            };
            format!("does not answer: {reason}; {others}")
        }
    }
}

fn replicas(shard: &ShardState) -> String {
    let replicas = shard.replicas.iter().map(|replica| {
        let lag = replica.lag.map_or("?".to_owned(), print::number);
        if Some(replica.node) == shard.owner {
            replica.node.to_string()
        } else {
            format!("{} ({lag})", replica.node)
        }
    });
    replicas.collect::<Vec<_>>().join(" ")
}

fn words(shard: &ShardState) -> String {
    let mut words: Vec<String> = shard.problems.iter().map(problem).collect();
    if let Some(nodes) = &shard.moving_to {
        let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        words.push(format!("moving to {}", nodes.join(" ")));
    }
    if shard.away
        && let Some(preferred) = shard.preferred
    {
        words.push(format!("the ring prefers {preferred}"));
    }
    if words.is_empty() { "fine".to_owned() } else { words.join("; ") }
}

fn problem(problem: &Problem) -> String {
    match problem {
        Problem::NoOwner => {
            "no owner: one is being elected, or a majority of its replicas is missing".to_owned()
        }
        Problem::OwnerSilent(node) => format!("its owner {node} does not answer"),
        Problem::TwoOwners(a, b) => format!("{a} and {b} are both named as owner in this epoch: report this"),
        Problem::ReplicaSilent(node) => format!("{node} does not answer"),
        Problem::ReplicaBehind(node, lag) => format!("{node} is {} entries behind", print::number(*lag)),
        Problem::ReplicaUnknown(node) => format!("the owner has not heard of {node}"),
        Problem::ReplicaQuarantined(node) => format!("in quarantine on {node}, to be built anew"),
        Problem::MajorityQuarantined(nodes) => {
            let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
            format!(
                "in quarantine on {}: too few are left to go on, an operator has to decide",
                nodes.join(", ")
            )
        }
    }
}

fn summary(picture: &Picture) -> String {
    let ready = picture.nodes.iter().filter(|node| node.ready).count();
    let (nodes, shards) = (picture.nodes.len(), picture.shards.len());
    let unowned = picture.shards.iter().filter(|shard| {
        shard.problems.iter().any(|p| matches!(p, Problem::NoOwner | Problem::OwnerSilent(_)))
    });
    let unowned = unowned.count();
    let troubled = picture.shards.iter().filter(|shard| !shard.problems.is_empty()).count();
    let away = picture.shards.iter().filter(|shard| shard.away).count();
    let verdict = if picture.is_healthy() { "healthy" } else { "degraded" };
    let mut text = format!("{verdict}: {ready} of {nodes} nodes ready");
    if shards == 0 {
        return text + "; no shards yet: the cluster waits for more nodes";
    }
    text += &match (unowned, troubled) {
        (0, 0) => format!("; all {shards} shards have their owner and replicas"),
        (0, _) => {
            format!(
                "; all {shards} shards are served, {troubled} of them with a replica missing or behind (--shards)"
            )
        }
        _ => format!("; {unowned} of {shards} shards have no owner that answers"),
    };
    let moving = picture.shards.iter().filter(|shard| shard.moving_to.is_some()).count();
    if moving > 0 {
        text += &format!("; {} moving", print::count(moving as u64, "shard"));
    }
    if away > 0 {
        text += &format!("; {away} are owned by another node than the ring prefers");
    }
    text
}
