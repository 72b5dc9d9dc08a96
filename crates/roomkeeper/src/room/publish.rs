//! `roomkeeper room publish`, `confirm`, `rollback` and `signal`: what goes into a room.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use roomkeeper_client::protocol::{Data, NewMessage};
use roomkeeper_client::types::{MessageId, Offset, RoomName};
use roomkeeper_client::{Client, message};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

/// Flags of `room publish`.
#[derive(Debug, Args)]
pub(super) struct PublishArgs {
    /// The room
    room: RoomName,
    /// The text; without it, standard input is read
    text: Option<String>,
    /// The text is JSON already, instead of the content of a JSON string
    #[arg(long)]
    data: bool,
    /// Hold it back, all lines as one, until it is confirmed or rolled back, or for this long (10s, 5m); prints
    /// the ids for `room confirm` and `room rollback`
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    hold: Option<Duration>,
}

/// A hold.
#[derive(Debug, Args)]
pub(super) struct HoldArgs {
    /// The room
    room: RoomName,
    /// The ids of all messages of the hold, as `room publish --hold` printed them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<MessageId>,
}

/// Flags of `room signal`.
#[derive(Debug, Args)]
pub(super) struct SignalArgs {
    /// The room
    room: RoomName,
    /// The text
    text: String,
    /// The text is JSON already, instead of the content of a JSON string
    #[arg(long)]
    data: bool,
}

/// Appends a message, or one per line, and prints offsets; held, prints ids.
pub(super) async fn publish(client: &Client, args: PublishArgs) -> Result<()> {
    let new = |text: &str| anyhow::Ok(message(data_of(text, args.data)?));
    let room = client.room(args.room);
    match (args.text, args.hold) {
        (Some(text), None) => {
            let ok = room.publish(vec![new(&text)?]).await?;
            show_offsets(&ok.offsets);
            Ok(())
        }
        (Some(text), Some(time)) => hold(&room, vec![new(&text)?], time).await,
        (None, None) => publish_lines(client, room, args.data).await,
        (None, Some(time)) => {
            let mut messages = Vec::new();
            let mut lines = lines();
            while let Some(line) = next_line(&mut lines).await? {
                messages.push(new(&line)?);
            }
            hold(&room, messages, time).await
        }
    }
}

/// One message per line, several on their way at a time, offsets printed in order.
async fn publish_lines(client: &Client, room: roomkeeper_client::Room, is_json: bool) -> Result<()> {
    let mut lines = lines();
    let (sender, mut tickets) = tokio::sync::mpsc::channel(client.config().window);
    let publishing = async move {
        while let Some(line) = next_line(&mut lines).await? {
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
            show_offsets(&ok.offsets);
        }
        anyhow::Ok(())
    };
    tokio::try_join!(publishing, printing).map(drop)
}

async fn hold(room: &roomkeeper_client::Room, messages: Vec<NewMessage>, time: Duration) -> Result<()> {
    if messages.is_empty() {
        bail!("there is nothing to hold: standard input has no line");
    }
    let ids: Vec<MessageId> = messages.iter().map(|message| message.id).collect();
    room.hold(messages, time).await?;
    ids.iter().for_each(|id| println!("{id}"));
    Ok(())
}

/// Appends a hold and prints the offsets of its messages.
pub(super) async fn confirm(client: &Client, HoldArgs { room, ids }: HoldArgs) -> Result<()> {
    show_offsets(&client.room(room).confirm(ids).await?.offsets);
    Ok(())
}

/// Drops a hold.
pub(super) async fn rollback(client: &Client, HoldArgs { room, ids }: HoldArgs) -> Result<()> {
    client.room(room).rollback(ids).await?;
    println!("rolled back");
    Ok(())
}

/// Tells those who are there.
pub(super) async fn signal(client: &Client, args: SignalArgs) -> Result<()> {
    client.room(args.room).signal(data_of(&args.text, args.data)?).await?;
    Ok(())
}

fn show_offsets(offsets: &[Offset]) {
    offsets.iter().for_each(|offset| println!("{}", offset.get()));
}

fn lines() -> Lines<BufReader<Stdin>> {
    BufReader::new(tokio::io::stdin()).lines()
}

async fn next_line(lines: &mut Lines<BufReader<Stdin>>) -> Result<Option<String>> {
    lines.next_line().await.context("reading standard input")
}

fn data_of(text: &str, is_json: bool) -> Result<Data> {
    if is_json { Ok(Data::json(text.to_owned())?) } else { Ok(Data::json_string(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_published_as_a_json_string_unless_it_is_json() {
        assert_eq!(data_of("a\"b", false).unwrap(), Data::Json(r#""a\"b""#.into()));
        assert_eq!(data_of(r#"{"a":1}"#, true).unwrap(), Data::Json(r#"{"a":1}"#.into()));
        assert!(data_of("{", true).is_err());
    }
}
