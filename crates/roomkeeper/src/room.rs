//! `roomkeeper room …`: rooms by hand.

use std::io::{IsTerminal, Write};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use futures::StreamExt;
use roomkeeper_client::protocol::{self, Data, Item, Placement, RoomOptions, Rooms};
use roomkeeper_client::types::{Offset, RoomName};
use roomkeeper_client::{Client, Event, LocalCopy, RoomInfo, message};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

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
    Tail {
        /// The room
        room: RoomName,
        /// Where to start: latest, beginning, or an offset
        #[arg(long, default_value = "latest", value_parser = parse_from)]
        from: protocol::From,
        /// Stop after this many messages
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// Append a message, or one per line of standard input
    Publish {
        /// The room
        room: RoomName,
        /// The text; without it, standard input is read
        text: Option<String>,
        /// The text is JSON already, instead of the content of a JSON string
        #[arg(long)]
        data: bool,
    },
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
        RoomCommand::Tail { room, from, count } => tail(&client, room, from, count, args.json).await,
        RoomCommand::Publish { room, text: Some(text), data } => {
            publish(&client, room, [text].into_iter(), data).await
        }
        RoomCommand::Publish { room, text: None, data } => publish_lines(&client, room, data).await,
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

async fn tail(
    client: &Client,
    name: RoomName,
    from: protocol::From,
    count: Option<u64>,
    json: bool,
) -> Result<()> {
    let room = client.room(name);
    let mut subscription = room.subscribe(from).await?;
    let mut left = count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(event) = subscription.next().await else { break };
        match event? {
            Event::Items(items) => {
                for item in items.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
                    println!("{}", if json { item_json(item) } else { item_line(item) });
                    left -= 1;
                }
            }
            Event::Moved(hint) => {
                let to = hint.node.map_or("another node".to_owned(), |node| node.to_string());
                eprintln!("-- the room moves to {to}");
            }
            Event::Reconnected(ok) => {
                eprintln!("-- connected again, to {}, epoch {}", ok.owner, ok.epoch.get());
            }
            _ => {}
        }
    }
    Ok(())
}

fn item_line(item: &Item) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(item.time.millis());
    let text = match &item.data {
        // A JSON string reads better without its quotes.
        Data::Json(json) => serde_json::from_slice::<String>(json)
            .unwrap_or_else(|_| String::from_utf8_lossy(json).into_owned()),
        Data::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    };
    format!("{} {} <{}> {text}", item.offset.get(), humantime::format_rfc3339_millis(time), item.from)
}

fn item_json(item: &Item) -> String {
    let mut object = json!({
        "offset": item.offset, "epoch": item.epoch, "id": item.id, "from": item.from, "time": item.time,
    });
    match &item.data {
        Data::Json(json) => {
            object["data"] = serde_json::from_slice(json).unwrap_or(serde_json::Value::Null);
        }
        Data::Binary(bytes) => object["data_text"] = String::from_utf8_lossy(bytes).into(),
    }
    object.to_string()
}

fn data_of(text: &str, is_json: bool) -> Result<Data> {
    if is_json { Ok(Data::json(text.to_owned())?) } else { Ok(Data::json_string(text)) }
}

async fn publish(
    client: &Client,
    name: RoomName,
    texts: impl Iterator<Item = String>,
    is_json: bool,
) -> Result<()> {
    let room = client.room(name);
    for text in texts {
        let ok = room.publish(vec![message(data_of(&text, is_json)?)]).await?;
        println!("{}", ok.offsets.first().map_or(0, |offset| offset.get()));
    }
    Ok(())
}

/// One message per line, several on their way at a time, offsets printed in order.
async fn publish_lines(client: &Client, name: RoomName, is_json: bool) -> Result<()> {
    let room = client.room(name);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (sender, mut tickets) = tokio::sync::mpsc::channel(client.config().window);
    let publishing = async move {
        while let Some(line) = lines.next_line().await.context("reading standard input")? {
            let ticket = room.publish_pipelined(vec![message(data_of(&line, is_json)?)]).await?;
            if sender.send(ticket).await.is_err() {
                break;
            }
        }
        anyhow::Ok(())
    };
    let printing = async move {
        while let Some(ticket) = tickets.recv().await {
            let ok = ticket.await?;
            println!("{}", ok.offsets.first().map_or(0, |offset| offset.get()));
        }
        anyhow::Ok(())
    };
    tokio::try_join!(publishing, printing).map(drop)
}

fn parse_from(text: &str) -> Result<protocol::From, String> {
    match text {
        "latest" => Ok(protocol::From::Latest),
        "beginning" => Ok(protocol::From::Beginning),
        offset => match offset.trim_start_matches('o').parse() {
            Ok(offset @ 1..) => Ok(protocol::From::Offset(Offset(offset))),
            _ => Err("expected latest, beginning, or an offset from 1 on".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_of_a_tail_is_a_word_or_an_offset() {
        assert_eq!(parse_from("latest"), Ok(protocol::From::Latest));
        assert_eq!(parse_from("o12"), Ok(protocol::From::Offset(Offset(12))));
        assert_eq!(parse_from("7"), Ok(protocol::From::Offset(Offset(7))));
        for text in ["", "0", "-1", "first"] {
            assert!(parse_from(text).is_err(), "{text}");
        }
    }

    #[test]
    fn options_are_said_in_words() {
        let none = RoomOptions::default();
        let table = [
            (none, "keeps everything"),
            (RoomOptions { presence: Some(true), ..none }, "keeps everything"),
            (RoomOptions { retain_ms: Some(604_800_000), ..none }, "keeps at most 7days"),
            (
                RoomOptions {
                    retain_messages: Some(1_000),
                    retain_bytes: Some(1),
                    presence: Some(false),
                    max_members: Some(2),
                    ..none
                },
                "keeps at most 1,000 messages, 1 byte, no presence, at most 2 members",
            ),
        ];
        for (options, words) in table {
            assert_eq!(options_in_words(&options), words);
        }
    }

    #[test]
    fn text_is_published_as_a_json_string_unless_it_is_json() {
        assert_eq!(data_of("a\"b", false).unwrap(), Data::Json(r#""a\"b""#.into()));
        assert_eq!(data_of(r#"{"a":1}"#, true).unwrap(), Data::Json(r#"{"a":1}"#.into()));
        assert!(data_of("{", true).is_err());
    }
}
