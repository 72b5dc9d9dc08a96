//! `roomkeeper room presence`, `commit` and `cursor`: who is in a room, and how far its consumers are.

use anyhow::Result;
use clap::Args;
use roomkeeper_client::Client;
use roomkeeper_client::types::{ConsumerId, Offset, RoomName};
use serde_json::json;

use super::tail::{members_json, since};
use crate::cli::print;

/// A consumer's cursor.
#[derive(Debug, Args)]
pub(super) struct CursorArgs {
    /// The room
    room: RoomName,
    /// The consumer's name
    consumer: ConsumerId,
}

/// Flags of `room commit`.
#[derive(Debug, Args)]
pub(super) struct CommitArgs {
    #[command(flatten)]
    cursor: CursorArgs,
    /// The last message that counts as processed
    #[arg(value_parser = parse_offset)]
    offset: Offset,
}

/// Prints who is there.
pub(super) async fn presence(client: &Client, room: RoomName, json: bool) -> Result<()> {
    let members = client.room(room).presence().await?;
    if json {
        members_json(&members).iter().for_each(|member| println!("{member}"));
        return Ok(());
    }
    let mut table = print::table(["USER", "DEVICE", "SINCE"]);
    for member in &members {
        let device = member.device.clone().unwrap_or_else(|| "-".to_owned());
        table.add_row([member.user.to_string(), device, since(member)]);
    }
    print::show(&table);
    println!("{}", print::count(members.len() as u64, "member"));
    Ok(())
}

/// Moves a cursor and prints it.
pub(super) async fn commit(client: &Client, args: CommitArgs, json: bool) -> Result<()> {
    let CursorArgs { room, consumer } = args.cursor;
    let committed = client.room(room).commit(consumer.clone(), args.offset).await?;
    show(&consumer, committed, json);
    Ok(())
}

/// Prints a cursor.
pub(super) async fn cursor(client: &Client, args: CursorArgs, json: bool) -> Result<()> {
    let committed = client.room(args.room).cursor(args.consumer.clone()).await?;
    show(&args.consumer, committed, json);
    Ok(())
}

fn show(consumer: &ConsumerId, committed: Offset, json: bool) {
    if json {
        println!("{}", json!({ "consumer": consumer, "committed": committed }));
    } else {
        println!("{}", committed.get());
    }
}

fn parse_offset(text: &str) -> Result<Offset, String> {
    match text.trim_start_matches('o').parse() {
        Ok(offset @ 1..) => Ok(Offset(offset)),
        _ => Err("expected an offset from 1 on".to_owned()),
    }
}
