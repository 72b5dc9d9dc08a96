//! `roomkeeper replay`: plays chat logs as live rooms, then proves that the rooms are the logs.
//!
//! One file is one room and every line of it one message, so that a room can be held against its file byte
//! by byte. [`line`], [`log_file`] and [`wire`] turn files into messages, [`player`] and [`nicks`] publish
//! them, [`watcher`] and [`verify`] read them back, [`compare`] finds differences, [`report`] tells them.

mod compare;
mod line;
mod log_file;
mod nicks;
mod player;
mod progress;
mod report;
mod verify;
mod watcher;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use futures::StreamExt;
use futures::stream;
use roomkeeper_auth::Peek;
use roomkeeper_client::types::{MessageId, Token, UserId};
use roomkeeper_client::{Client, ClientConfig, Error};
use tokio::time::Instant;

use crate::cli::trouble::{FINE, NO, NO_ANSWER};
use crate::cli::{CodecArg, ConnectArgs, print};
use compare::{Differences, check_acks};
use log_file::{LogFile, rooms_for};
use player::{Pace, play};
use progress::Progress;
use report::{Report, RoomReport};
use verify::{compare_replicas, read_back};
use watcher::Watcher;

/// Flags of `replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Chat logs: lines of `[HH:MM] <nick> text`, or with a channel, a date and seconds in front
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Play so many times as fast as it was spoken; without it, as fast as lines are acked
    #[arg(long, value_name = "X", value_parser = parse_speed)]
    speed: Option<f64>,
    /// Subscribers of each room, each connected to a random node
    #[arg(long, default_value_t = 3, value_name = "N")]
    subscribers: usize,
    /// Rooms played at the same time
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,
    /// Sockets of nicks open at the same time, over all rooms
    #[arg(long, default_value_t = 512, value_name = "N")]
    sockets: usize,
    /// How the rooms' names begin; the same prefix again plays into the same rooms, and stores nothing
    /// [default: a new one]
    #[arg(long, value_name = "PREFIX")]
    room_prefix: Option<String>,
    /// How long a line may take to be acked, and replicas to become equal
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = humantime::parse_duration)]
    patience: Duration,
    /// Subprotocol of the sockets
    #[arg(long, value_enum, default_value = "json")]
    codec: CodecArg,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Plays and compares. Exit code 0: every room is its log, 1: one is not, 2: one could not be played.
pub(crate) async fn run(args: ReplayArgs) -> Result<u8> {
    let prefix = args.room_prefix.clone().unwrap_or_else(new_prefix);
    let rooms = rooms_for(&args.files, &prefix)?;
    let sender = args.connect.token.as_ref().and_then(user_of);
    let logs: Vec<Arc<LogFile>> = args
        .files
        .iter()
        .zip(rooms)
        .map(|(path, room)| Ok(Arc::new(LogFile::read(path, room)?.sent_by(sender.clone()))))
        .collect::<Result<_>>()?;
    let client = connect(&args).await?;

    let lines: u64 = logs.iter().map(|log| u64::from(log.len())).sum();
    let progress = Progress::new(lines, logs.len() as u64, !args.json);
    if !args.json {
        println!(
            "Playing {} of {} into rooms {prefix}.*",
            print::count(lines, "line"),
            print::count(logs.len() as u64, "log")
        );
    }
    let start = Instant::now();
    let playing = stream::iter(&logs)
        .map(|log| play_room(log, &client, &args, &progress))
        .buffered(args.parallel.into())
        .collect::<Vec<_>>();
    let played = tokio::select! {
        played = playing => played,
        never = progress.draw(&client) => match never {},
    };
    let time = start.elapsed();
    progress.finish();

    // All rooms share one deadline: a node that is down delays the whole by it, not every room.
    let deadline = Instant::now() + args.patience;
    let reports = stream::iter(played)
        .map(|report| with_replicas(report, &client, deadline))
        .buffered(16)
        .collect::<Vec<_>>()
        .await;
    let report = Report::new(reports, time, client.metrics().counts());
    if args.json {
        print::json(&report)?
    } else {
        report.show()
    }
    Ok(match (report.has_errors(), report.equal) {
        (true, _) => NO_ANSWER,
        (false, true) => FINE,
        (false, false) => NO,
    })
}

/// A client that starts at any node of the cluster, not only at those that were named.
async fn connect(args: &ReplayArgs) -> Result<Client, Error> {
    let map = args.connect.map().await?;
    let mut config = args.connect.config();
    for node in map.nodes {
        if !config.urls.contains(&node.url) {
            config.urls.push(node.url);
        }
    }
    Client::new(ClientConfig {
        user: "replay".parse().ok(),
        codec: args.codec.into(),
        deadline: args.patience,
        ..config
    })
}

/// Plays one room while its subscribers watch, then reads it back.
async fn play_room(
    log: &Arc<LogFile>,
    client: &Client,
    args: &ReplayArgs,
    progress: &Progress,
) -> RoomReport {
    let mut report = RoomReport {
        room: log.room.clone(),
        lines: log.len().into(),
        nicks: log.nicks.len() as u64,
        acked: 0,
        next: None,
        history: Differences::default(),
        subscribers: Vec::new(),
        replicas: None,
        error: None,
    };
    if let Err(error) = fill_in(&mut report, log, client, args, progress).await {
        report.error = Some(error.to_string());
    }
    progress.room_done();
    report
}

async fn fill_in(
    report: &mut RoomReport,
    log: &Arc<LogFile>,
    client: &Client,
    args: &ReplayArgs,
    progress: &Progress,
) -> Result<(), Error> {
    let mut watchers = Vec::new();
    for _ in 0..args.subscribers {
        watchers.push(Watcher::start(log.clone(), client).await?);
    }
    let pace = args.speed.map_or(Pace::AsAcked, Pace::Times);
    let sockets = args.sockets / usize::from(args.parallel);
    let acks = play(log, client, sockets, pace, progress).await?;
    report.acked = acks.iter().flatten().count() as u64;
    let (history, next) = read_back(log, client).await?;
    report.next = Some(next);
    report.history = history;
    report.history.add(&check_acks(&acks));
    for watcher in watchers {
        report.subscribers.push(watcher.finish(next, args.patience).await?);
    }
    Ok(())
}

/// Adds what the replicas of a room that could be read have.
async fn with_replicas(report: RoomReport, client: &Client, deadline: Instant) -> RoomReport {
    match report.next {
        Some(next) if report.error.is_none() => {
            let replicas = compare_replicas(&report.room, next, client, deadline).await;
            RoomReport { replicas: Some(replicas), ..report }
        }
        _ => report,
    }
}

/// A prefix that no other run has: the last part of a fresh id.
fn new_prefix() -> String {
    let id = MessageId::generate().to_string();
    format!("replay-{}", id.rsplit('-').next().unwrap_or_default())
}

/// Whom a token makes the sender of all lines. What the nodes make of it they say themselves.
fn user_of(token: &Token) -> Option<UserId> {
    Some(Peek::at(token.secret()).ok()?.claims().ok()?.sub)
}

fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if f64::is_finite(speed) && speed > 0.0 => Ok(speed),
        _ => Err("expected a number above 0, such as 60".to_owned()),
    }
}
