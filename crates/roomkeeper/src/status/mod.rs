//! `roomkeeper status`: what the cluster's nodes say of themselves and of each other, put together.
//!
//! Every node is asked, since no single one knows the truth during a failover: a node may not answer, two
//! may name different owners. [`gather`] asks, [`picture`] judges, [`show`] prints.

mod gather;
mod picture;
mod show;

pub(crate) use gather::ask_everyone;
pub(crate) use picture::{NodeState, Picture};

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::cli::trouble::{FINE, NO};
use crate::cli::{ConnectArgs, print};

/// Flags of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Show every shard, not only those with something to say
    #[arg(long)]
    shards: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints the cluster's state. Exit code 0: healthy, 1: degraded; 2, as an error: nobody answers.
pub(crate) async fn run(args: StatusArgs) -> Result<u8> {
    let views = match gather::ask_everyone(&args.connect).await {
        Ok(views) => views,
        Err(error) => {
            if args.json {
                print::json(&json!({ "status": "unreachable", "error": error.to_string() }))?;
            }
            return Err(error.into());
        }
    };
    let picture = picture::Picture::of(&views);
    if args.json {
        print::json(&picture)?
    } else {
        show::show(&picture, args.shards)
    }
    Ok(if picture.is_healthy() { FINE } else { NO })
}
