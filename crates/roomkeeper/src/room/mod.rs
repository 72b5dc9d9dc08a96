//! `roomkeeper room …`: rooms by hand.

mod people;
mod publish;
mod tail;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use roomkeeper_client::protocol::{Placement, RoomOptions, Rooms};
use roomkeeper_client::types::RoomName;
use roomkeeper_client::{Client, LocalCopy, RoomInfo};
use serde_json::json;

use crate::cli::{ConnectArgs, print};

/// Rooms of one page of the list.
const PAGE: u32 = 1_000;

/// `roomkeeper room`.
#[derive(Debug, Args)]
pub(crate) struct RoomArgs {
    #[command(subcommand)]
    command: RoomCommand,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Who you are
    #[arg(long, global = true, default_value = "cli")]
    user: String,
    /// Print JSON, one object per room or message
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum RoomCommand {
    /// List the rooms, in the order of their names
    List {
        /// Only names that begin so
        #[arg(long)]
        prefix: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 1_000)]
        limit: usize,
    },
    /// Show a room's owner, options, offsets and copies
    #[command(alias = "info")]
    Show {
        /// The room
        room: RoomName,
    },
    /// Create a room
    Create {
        /// The room
        room: RoomName,
        #[command(flatten)]
        options: OptionArgs,
        /// Where to put it: by its name's hash, or where there is the least to do
        #[arg(long, value_enum, default_value = "hash")]
        placement: PlacementArg,
    },
    /// Delete a room and all its messages
    Delete {
        /// The room
        room: RoomName,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Print a room's messages as they come
    Tail(tail::TailArgs),
    /// Append a message, or one per line of standard input
    Publish(publish::PublishArgs),
    /// Append what was held, and print its offsets
    Confirm(publish::HoldArgs),
    /// Drop what was held
    Rollback(publish::HoldArgs),
    /// Tell those who are in the room now, without storing it
    Signal(publish::SignalArgs),
    /// Show who is in the room
    Presence {
        /// The room
        room: RoomName,
    },
    /// Move a consumer's durable cursor, and print it
    Commit(people::CommitArgs),
    /// Print a consumer's durable cursor; 0 where it has committed nothing
    Cursor(people::CursorArgs),
}

/// What a room is created with. What is left out is as the cluster's configuration says.
#[derive(Debug, Args)]
struct OptionArgs {
    /// Trim messages older than this: 7d, 12h, 30m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    retain: Option<Duration>,
    /// Keep the newest so many messages only
    #[arg(long, value_name = "N")]
    retain_messages: Option<u64>,
    /// Keep the newest messages only, so many bytes of data
    #[arg(long, value_name = "BYTES")]
    retain_bytes: Option<u64>,
    /// Refuse further members beyond so many
    #[arg(long, value_name = "N")]
    max_members: Option<u32>,
    /// Do not count members, nor tell them of each other
    #[arg(long)]
    no_presence: bool,
}

impl From<OptionArgs> for RoomOptions {
    fn from(args: OptionArgs) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            retain_ms: args.retain.map(millis),
            retain_messages: args.retain_messages,
            retain_bytes: args.retain_bytes,
            presence: args.no_presence.then_some(false),
            max_members: args.max_members,
        }
    }
}

/// Where a room is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PlacementArg {
    /// On the shard that its name hashes to
    Hash,
    /// On a shard of the node that has the least to do
    LeastLoaded,
}

impl From<PlacementArg> for Placement {
    fn from(arg: PlacementArg) -> Self {
        match arg {
            PlacementArg::Hash => Self::Hash,
            PlacementArg::LeastLoaded => Self::LeastLoaded,
        }
    }
}

/// Runs `roomkeeper room`.
pub(crate) async fn run(args: RoomArgs) -> Result<()> {
    let client = args.connect.client(&args.user).await?;
    match args.command {
        RoomCommand::List { prefix, limit } => list(&client, prefix, limit, args.json).await,
        RoomCommand::Show { room } => show(&client, &room, args.json).await,
        RoomCommand::Create { room, options, placement } => {
            create(&client, room, (options.into(), placement.into()), args.json).await
        }
        RoomCommand::Delete { room, yes } => delete(&client, room, yes).await,
        RoomCommand::Tail(tail) => tail::run(&client, tail, args.json).await,
        RoomCommand::Publish(publish) => publish::publish(&client, publish).await,
        RoomCommand::Confirm(hold) => publish::confirm(&client, hold).await,
        RoomCommand::Rollback(hold) => publish::rollback(&client, hold).await,
        RoomCommand::Signal(signal) => publish::signal(&client, signal).await,
        RoomCommand::Presence { room } => people::presence(&client, room, args.json).await,
        RoomCommand::Commit(commit) => people::commit(&client, commit, args.json).await,
        RoomCommand::Cursor(cursor) => people::cursor(&client, cursor, args.json).await,
    }
}

async fn list(client: &Client, prefix: Option<String>, limit: usize, json: bool) -> Result<()> {
    let mut table = print::table(["ROOM", ">MESSAGES", ">FIRST", ">NEXT", ">MEMBERS", "OWNER"]);
    let mut after = None;
    let mut listed = 0;
    while listed < limit {
        let left = u32::try_from(limit - listed).unwrap_or(PAGE).min(PAGE);
        let query = Rooms { prefix: prefix.clone(), after, limit: Some(left), page: None };
        let page = client.rooms(&query).await?;
        listed += page.rooms.len();
        for room in page.rooms {
            let owner = room.owner.map_or("-".to_owned(), |owner| owner.to_string());
            if json {
                let object = json!({
                    "room": room.room, "messages": room.messages, "first": room.first, "next": room.next,
                    "members": room.members, "owner": room.owner, "life": room.life.to_string(),
                });
                println!("{object}");
            } else {
                let members = room.members.map_or("-".to_owned(), print::number);
                table.add_row([
                    room.room.to_string(),
                    print::number(room.messages),
                    room.first.get().to_string(),
                    room.next.get().to_string(),
                    members,
                    owner,
                ]);
            }
        }
        after = page.next.map(String::from);
        if after.is_none() {
            break;
        }
    }
    if !json {
        print::show(&table);
        let more = if after.is_some() { ", and more (--limit)" } else { "" };
        println!("{}{more}", print::count(listed as u64, "room"));
    }
    Ok(())
}

async fn show(client: &Client, room: &RoomName, json: bool) -> Result<()> {
    let info = client.room_info(room).await?;
    let map = client.cluster_map().await?;
    let copies = map.nodes.iter().map(|node| async {
        // A node that does not answer has no copy to show; `status` is about nodes.
        (node.node, client.local_copy(&node.url, room).await.map_err(|error| error.to_string()))
    });
    let copies: Vec<_> = futures::future::join_all(copies).await;
    let copies: Vec<(_, Result<LocalCopy, String>)> =
        copies.into_iter().filter_map(|(node, copy)| Some((node, copy.transpose()?))).collect();
    if json {
        let copies: Vec<_> = copies.iter().filter_map(|(_, copy)| copy.as_ref().ok()).collect();
        return print::json(&json!({ "info": info, "copies": copies }));
    }
    show_info(&info);
    let mut table = print::table(["COPY ON", ">NEXT", ">LAG", "HASH"]);
    for (node, copy) in copies {
        let lag = info.replicas.iter().find(|replica| replica.node == node).and_then(|replica| replica.lag);
        let lag = lag.map_or("-".to_owned(), print::number);
        match copy {
            Ok(copy) => table.add_row([node.to_string(), copy.next.get().to_string(), lag, copy.hash]),
            Err(error) => table.add_row([node.to_string(), "-".to_owned(), lag, error]),
        };
    }
    println!();
    print::show(&table);
    Ok(())
}

fn show_info(info: &RoomInfo) {
    let owner = info.owner.map_or("none, one is being elected".to_owned(), |owner| owner.to_string());
    println!("room      {}", info.room);
    println!("owner     {owner}, epoch {}", info.epoch.get());
    if let Some(life) = info.life {
        println!("life      {life}");
    }
    if let Some(shard) = info.shard {
        println!("shard     {shard}{}", if info.placed { ", where it was put at its creation" } else { "" });
    }
    let messages = info.messages.unwrap_or_else(|| info.next.get().saturating_sub(info.first.get()));
    println!(
        "messages  {}: offsets from {}, next {}",
        print::number(messages),
        info.first.get(),
        info.next.get()
    );
    if let Some(bytes) = info.bytes {
        println!("data      {} bytes", print::number(bytes));
    }
    println!("options   {}", options_in_words(&info.options));
}

fn options_in_words(options: &RoomOptions) -> String {
    let retained = [
        options.retain_ms.map(|ms| humantime::format_duration(Duration::from_millis(ms)).to_string()),
        options.retain_messages.map(|messages| print::count(messages, "message")),
        options.retain_bytes.map(|bytes| print::count(bytes, "byte")),
    ];
    let retained: Vec<String> = retained.into_iter().flatten().collect();
    let retained = match retained.as_slice() {
        [] => "keeps everything".to_owned(),
        bounds => format!("keeps at most {}", bounds.join(", ")),
    };
    let presence = if options.presence == Some(false) { ", no presence" } else { "" };
    let members = options
        .max_members
        .map_or(String::new(), |most| format!(", at most {}", print::count(most.into(), "member")));
    retained + presence + &members
}

async fn create(
    client: &Client,
    room: RoomName,
    (options, placement): (RoomOptions, Placement),
    json: bool,
) -> Result<()> {
    let ok = client.room(room.clone()).create(options, Some(placement)).await?;
    if json {
        return print::json(&json!({
            "room": room, "owner": ok.owner, "epoch": ok.epoch, "life": ok.life.to_string(),
        }));
    }
    println!("{room} created; its owner is {}, epoch {}", ok.owner, ok.epoch.get());
    Ok(())
}

async fn delete(client: &Client, room: RoomName, yes: bool) -> Result<()> {
    if !yes {
        if !std::io::stdin().is_terminal() {
            bail!("deleting {room} loses all its messages: say --yes to do it without being asked");
        }
        print!("Delete {room} and all its messages? Type the room's name: ");
        std::io::stdout().flush()?;
        let mut typed = String::new();
        std::io::stdin().read_line(&mut typed)?;
        if typed.trim() != room.as_str() {
            bail!("that is another name: nothing was deleted");
        }
    }
    client.room(room.clone()).delete().await?;
    println!("{room} deleted");
    Ok(())
}
