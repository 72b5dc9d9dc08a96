//! `roomkeeper room tail`: what happens in a room, as it happens.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use futures::StreamExt;
use roomkeeper_client::protocol::{self, Data, Item, Member};
use roomkeeper_client::types::{ConsumerId, Offset, RoomName, Timestamp};
use roomkeeper_client::{Client, Event, Presence, SubscribeOptions};
use serde_json::{Value, json};

/// Flags of `room tail`.
#[derive(Debug, Args)]
pub(super) struct TailArgs {
    /// The room
    room: RoomName,
    /// Where to start: latest, beginning, committed (with --consumer), or an offset
    /// [default: latest, or committed with --consumer]
    #[arg(long, value_name = "FROM", value_parser = parse_from)]
    from: Option<protocol::From>,
    /// Stop after this many messages
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Commit each message under this name once it is printed, and go on behind what was committed
    #[arg(long, value_name = "NAME")]
    consumer: Option<ConsumerId>,
    /// Be sent no more than so many messages ahead of what is committed, or of what is read
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    credit: Option<u64>,
    /// Tell who comes and goes too
    #[arg(long)]
    presence: bool,
    /// Which messages: only those that have offsets, or open holds too
    #[arg(long, value_enum, default_value = "committed")]
    isolation: IsolationArg,
}

/// Which messages a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IsolationArg {
    /// Only what has an offset
    Committed,
    /// Open holds too
    Uncommitted,
}

impl From<IsolationArg> for protocol::Isolation {
    fn from(arg: IsolationArg) -> Self {
        match arg {
            IsolationArg::Committed => Self::Committed,
            IsolationArg::Uncommitted => Self::Uncommitted,
        }
    }
}

impl TailArgs {
    fn options(&self) -> SubscribeOptions {
        let usual = if self.consumer.is_some() { protocol::From::Committed } else { protocol::From::Latest };
        SubscribeOptions {
            from: self.from.unwrap_or(usual),
            consumer: self.consumer.clone(),
            credit: self.credit,
            isolation: self.isolation.into(),
            presence: self.presence.then_some(true),
        }
    }
}

/// Prints messages to standard output, and what else happens to standard error; as JSON all to standard output.
pub(super) async fn run(client: &Client, args: TailArgs, json: bool) -> Result<()> {
    let room = client.room(args.room.clone());
    let mut subscription = room.subscribe(args.options()).await?;
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(event) = subscription.next().await else { break };
        let event = event?;
        let Event::Items(items) = event else {
            if json {
                event_json(&event).map_or(Ok(()), print)?;
            } else {
                event_lines(&event).iter().for_each(|line| eprintln!("-- {line}"));
            }
            continue;
        };
        for item in items.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            print(if json { item_json(item).to_string() } else { item_line(item) })?;
            if args.consumer.is_some() {
                subscription.commit(item.offset).await?;
            }
            left -= 1;
        }
    }
    Ok(())
}

/// What could not be printed must not be committed.
fn print(line: String) -> Result<()> {
    writeln!(std::io::stdout(), "{line}").context("writing to standard output")
}

fn item_line(item: &Item) -> String {
    format!("{} {} <{}> {}", item.offset.get(), time(item.time), item.from, text(&item.data))
}

fn time(at: Timestamp) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(at.millis())).to_string()
}

fn text(data: &Data) -> String {
    match data {
        // A JSON string reads better without its quotes.
        Data::Json(json) => serde_json::from_slice::<String>(json)
            .unwrap_or_else(|_| String::from_utf8_lossy(json).into_owned()),
        Data::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn item_json(item: &Item) -> Value {
    let mut object = json!({
        "offset": item.offset, "epoch": item.epoch, "id": item.id, "from": item.from, "time": item.time,
    });
    put_data(&mut object, &item.data);
    object
}

fn put_data(object: &mut Value, data: &Data) {
    match data {
        Data::Json(json) => object["data"] = serde_json::from_slice(json).unwrap_or(Value::Null),
        Data::Binary(bytes) => object["data_text"] = String::from_utf8_lossy(bytes).into(),
    }
}

/// What happened besides messages, in words.
fn event_lines(event: &Event) -> Vec<String> {
    match event {
        Event::Presence(Presence { joined, left, count, .. }) => {
            let line = |what: &str, member: &Member| format!("{} {what}, {count} here", who(member));
            let joined = joined.iter().map(|member| line("came", member));
            joined.chain(left.iter().map(|member| line("went", member))).collect()
        }
        Event::Signal { from, data } => vec![format!("signal of {from}: {}", text(data))],
        Event::Held { items, expires } => {
            let until = time(*expires);
            let line =
                |item: &Item| format!("held until {until}: {} <{}> {}", item.id, item.from, text(&item.data));
            items.iter().map(line).collect()
        }
        Event::RolledBack(ids) => ids.iter().map(|id| format!("rolled back: {id}")).collect(),
        Event::Moved(hint) => {
            let to = hint.node.map_or("another node".to_owned(), |node| node.to_string());
            vec![format!("the room moves to {to}")]
        }
        Event::Reconnected(ok) => vec![format!("connected again, to {}, epoch {}", ok.owner, ok.epoch.get())],
        _ => Vec::new(),
    }
}

fn who(member: &Member) -> String {
    match &member.device {
        Some(device) => format!("{} on {device}", member.user),
        None => member.user.to_string(),
    }
}

/// The same as one JSON object with one field.
fn event_json(event: &Event) -> Option<String> {
    let object = match event {
        Event::Presence(Presence { joined, left, count, settled, .. }) => json!({"presence": {
            "joined": members_json(joined), "left": members_json(left), "count": count, "settled": settled,
        }}),
        Event::Signal { from, data } => {
            let mut signal = json!({ "from": from });
            put_data(&mut signal, data);
            json!({ "signal": signal })
        }
        Event::Held { items, expires } => {
            let items: Vec<Value> = items.iter().map(item_json).collect();
            json!({"held": { "items": items, "expires": expires }})
        }
        Event::RolledBack(ids) => json!({"rolled_back": { "ids": ids }}),
        Event::Moved(hint) => json!({"moved": { "node": hint.node, "epoch": hint.epoch }}),
        Event::Reconnected(ok) => json!({"reconnected": { "owner": ok.owner, "epoch": ok.epoch }}),
        _ => return None,
    };
    Some(object.to_string())
}

/// Members as the protocol writes them.
pub(super) fn members_json(members: &[Member]) -> Vec<Value> {
    let member =
        |member: &Member| json!({"user": member.user, "device": member.device, "since": member.since});
    members.iter().map(member).collect()
}

/// A member's time, for people.
pub(super) fn since(member: &Member) -> String {
    time(member.since)
}

fn parse_from(text: &str) -> Result<protocol::From, String> {
    match text {
        "latest" => Ok(protocol::From::Latest),
        "beginning" => Ok(protocol::From::Beginning),
        "committed" => Ok(protocol::From::Committed),
        offset => match offset.trim_start_matches('o').parse() {
            Ok(offset @ 1..) => Ok(protocol::From::Offset(Offset(offset))),
            _ => Err("expected latest, beginning, committed, or an offset from 1 on".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use roomkeeper_client::protocol::{From, Isolation};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        tail: TailArgs,
    }

    fn options(line: &str) -> SubscribeOptions {
        Cli::try_parse_from(format!("tail {line}").split(' ')).unwrap().tail.options()
    }

    #[test]
    fn start_of_a_tail_is_a_word_or_an_offset() {
        assert_eq!(parse_from("latest"), Ok(From::Latest));
        assert_eq!(parse_from("committed"), Ok(From::Committed));
        assert_eq!(parse_from("o12"), Ok(From::Offset(Offset(12))));
        assert_eq!(parse_from("7"), Ok(From::Offset(Offset(7))));
        for text in ["", "0", "-1", "first"] {
            assert!(parse_from(text).is_err(), "{text}");
        }
    }

    #[test]
    fn consumer_starts_behind_its_cursor_unless_told_otherwise() {
        assert_eq!(options("general"), From::Latest.into());
        let mailer = SubscribeOptions::consumer("mailer".parse().unwrap());
        assert_eq!(options("general --consumer mailer"), mailer);
        let from_the_beginning = SubscribeOptions { from: From::Beginning, credit: Some(5), ..mailer };
        assert_eq!(options("general --consumer mailer --from beginning --credit 5"), from_the_beginning);
        let all = options("general --presence --isolation uncommitted");
        assert_eq!((all.presence, all.isolation), (Some(true), Isolation::Uncommitted));
        assert!(Cli::try_parse_from(["tail", "general", "--credit", "0"]).is_err());
    }

    #[test]
    fn what_happens_is_told_in_words_and_in_json() {
        let member =
            Member { user: "ann".parse().unwrap(), device: Some("phone".into()), since: Timestamp(5) };
        let presence = Presence {
            joined: vec![member],
            left: Vec::new(),
            count: 3,
            settled: true,
            members: std::sync::Arc::default(),
        };
        let presence = Event::Presence(presence);
        assert_eq!(event_lines(&presence), ["ann on phone came, 3 here"]);
        let json: Value = serde_json::from_str(&event_json(&presence).unwrap()).unwrap();
        assert_eq!(json["presence"]["joined"][0]["device"], "phone");
        let signal = Event::Signal { from: "ann".parse().unwrap(), data: Data::json_string("typing") };
        assert_eq!(event_lines(&signal), ["signal of ann: typing"]);
        assert_eq!(event_json(&signal).unwrap(), r#"{"signal":{"data":"typing","from":"ann"}}"#);
    }
}
