//! What `roomkeeper dev` shows.

use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;

use super::child::{Child, Plan};

/// The nodes, and what to try.
pub(super) fn show(plans: &[Plan], children: &[Child], open: bool, restart_after: Option<Duration>) {
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(["node", "clients", "peers", "operators", "pid"]);
    for (plan, child) in plans.iter().zip(children) {
        table.add_row([
            plan.node.to_string(),
            plan.url(),
            plan.peer(),
            plan.admin(),
            child.pid().to_string(),
        ]);
    }
    println!("{table}");
    let url = plans.first().map(Plan::url).unwrap_or_default();
    let victim = children.last().map(|child| child.pid().to_string()).unwrap_or_default();
    println!(
        "Ready: {url}\n\n\
         Try, in another terminal:\n\
         \x20 roomkeeper status --url {url}\n\
         \x20 roomkeeper room publish hello 'Hello, world' --url {url}\n\
         \x20 curl -iL {url}/v1/rooms/hello/messages\n\
         \x20 roomkeeper room tail hello --url {url}\n\
         \x20 kill -9 {victim}        (a node dies; its rooms go on elsewhere)\n"
    );
    if open {
        println!(
            "WARNING: for development. Nobody is asked for a token: whoever reaches these ports on this machine may read and\n\
             write every room, under any name. `roomkeeper token key` begins with tokens.\n"
        );
    }
    match restart_after {
        Some(pause) => println!("A node that dies is started again after {pause:?}. Ctrl-C stops all nodes."),
        None => println!("Ctrl-C stops all nodes."),
    }
}

/// What a death means.
pub(super) fn after_death(plan: &Plan, restart_after: Option<Duration>) {
    println!("its log: {}", plan.log.display());
    match restart_after {
        Some(pause) => println!("it will be started again in {pause:?}"),
        None => println!("to have dead nodes started again, run dev with --restart-after 5s"),
    }
}
