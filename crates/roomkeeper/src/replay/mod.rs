//! `roomkeeper replay`: plays chat logs as live rooms, then proves that the rooms are the logs.
//!
//! One file is one room and every line of it one message, so that a room can be held against its file byte
//! by byte. [`line`], [`log_file`] and [`wire`] turn files into messages, [`player`] and [`nicks`] publish
//! them, [`watcher`] and [`verify`] read them back, [`compare`] finds differences, [`company`] holds members against
//! speakers, [`report`] tells it all.

mod company;
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
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::cli::trouble::{FINE, NO, NO_ANSWER};
use crate::cli::{CodecArg, ConnectArgs, print};
use company::Company;
use compare::{Differences, check_acks};
use log_file::{LogFile, rooms_for};
use nicks::Nicks;
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
    /// Have every nick join when it first speaks and stay to the end, and compare the members with who speaks in the
    /// log; as many rooms at a time as their nicks' sockets allow
    #[arg(long)]
    presence: bool,
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
    let sockets = Sockets::new(&args);
    let start = Instant::now();
    let playing = stream::iter(&logs)
        .map(|log| play_room(log, &client, &args, (&sockets, &progress)))
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
    (sockets, progress): (&Sockets, &Progress),
) -> RoomReport {
    let mut report = RoomReport {
        room: log.room.clone(),
        lines: log.len().into(),
        nicks: log.nicks.len() as u64,
        acked: 0,
        next: None,
        history: Differences::default(),
        subscribers: Vec::new(),
        members: None,
        replicas: None,
        error: None,
    };
    let free = sockets.take(log).await;
    if let Err(error) = fill_in(&mut report, log, client, args, (free.limit, progress)).await {
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
    (sockets, progress): (usize, &Progress),
) -> Result<(), Error> {
    let company = if args.presence { Some(Company::join(client, log.room.clone()).await?) } else { None };
    let mut watchers = Vec::new();
    for _ in 0..args.subscribers {
        watchers.push(Watcher::start(log.clone(), client).await?);
    }
    let pace = args.speed.map_or(Pace::AsAcked, Pace::Times);
    let mut nicks = Nicks::new(client, log.room.clone(), sockets);
    if args.presence {
        nicks = nicks.that_join();
    }
    let acks = play(log, &mut nicks, pace, progress).await?;
    report.acked = acks.iter().flatten().count() as u64;
    let (history, next) = read_back(log, client).await?;
    report.next = Some(next);
    report.history = history;
    report.history.add(&check_acks(&acks));
    for watcher in watchers {
        report.subscribers.push(watcher.finish(next, args.patience).await?);
    }
    if let Some(company) = company {
        report.members = Some(company.compare(log.senders(), nicks, args.patience).await?);
    }
    Ok(())
}

/// The sockets of all rooms' nicks.
struct Sockets {
    /// For one room, where nicks hang up for each other.
    per_room: usize,
    /// Where each nick keeps its own: so many over all rooms, and as many as it needs to the largest room, alone.
    all: Option<(Semaphore, u32)>,
}

/// What a room may have of them, for as long as this is kept.
struct Free<'s> {
    limit: usize,
    _permit: Option<SemaphorePermit<'s>>,
}

impl Sockets {
    fn new(args: &ReplayArgs) -> Self {
        let all = u32::try_from(args.sockets).unwrap_or(u32::MAX).clamp(1, 1 << 20);
        let all = args.presence.then(|| (Semaphore::new(all as usize), all));
        Self { per_room: args.sockets / usize::from(args.parallel), all }
    }

    async fn take(&self, log: &LogFile) -> Free<'_> {
        let Some((semaphore, all)) = &self.all else {
            return Free { limit: self.per_room, _permit: None };
        };
        let limit = log.nicks.len();
        let permits = u32::try_from(limit).unwrap_or(u32::MAX).min(*all);
        // Nobody closes it.
        Free { limit, _permit: semaphore.acquire_many(permits).await.ok() }
    }
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
