//! What all benchmarks share: flags, rooms of their own, the measured span.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use roomkeeper_client::protocol::{Data, NewMessage};
use roomkeeper_client::types::{MessageId, RoomName};
use roomkeeper_client::{Client, ClientConfig, Error, Room, message};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use crate::cli::{CodecArg, ConnectArgs};

/// The smallest and largest payload: a time stamp fits, and a message holds it.
const SIZES: std::ops::RangeInclusive<i64> = 24..=65_536;

/// Flags of every benchmark.
#[derive(Debug, Clone, Args)]
pub(crate) struct CommonArgs {
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// Bytes of each message's data
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(SIZES))]
    pub(crate) size: u32,
    /// Length of the measured span
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,
    /// Load before the measured span
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) warmup: Duration,
    /// Subprotocol of the sockets
    #[arg(long, value_enum, default_value = "proto")]
    pub(crate) codec: CodecArg,
    /// Leave the rooms and their messages behind
    #[arg(long)]
    pub(crate) keep: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// What was measured, on what.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Cluster {
    pub(crate) nodes: usize,
    pub(crate) shards: usize,
}

/// A client, the cluster it found, and rooms made for one run.
pub(crate) struct Bench {
    pub(crate) client: Client,
    pub(crate) cluster: Cluster,
    names: Vec<RoomName>,
    keep: bool,
}

impl Bench {
    /// Connects, with rooms named for this run.
    ///
    /// # Errors
    /// Nobody is there.
    pub(crate) async fn start(args: &CommonArgs, rooms: u32, window: usize) -> Result<Self> {
        let map = args.connect.map().await?;
        let mut config = args.connect.config();
        for node in &map.nodes {
            if !config.urls.contains(&node.url) {
                config.urls.push(node.url.clone());
            }
        }
        let client = Client::new(ClientConfig {
            user: "bench".parse().ok(),
            codec: args.codec.into(),
            window,
            ..config
        })?;
        let id = MessageId::generate().to_string();
        let run = id.rsplit('-').next().unwrap_or_default();
        let names = (0..rooms).map(|n| format!("bench-{run}.{n}").parse()).collect::<Result<_, _>>()?;
        let cluster = Cluster { nodes: map.nodes.len(), shards: map.shards.len() };
        Ok(Self { client, cluster, names, keep: args.keep })
    }

    /// A new socket to the n-th room, modulo their number, connected.
    ///
    /// # Errors
    /// There is no connection.
    pub(crate) async fn open(&self, n: usize) -> Result<Room, Error> {
        let room = self.client.room(self.names[n % self.names.len()].clone());
        room.connect().await?;
        Ok(room)
    }

    /// Deletes the run's rooms, unless they are to be kept.
    pub(crate) async fn finish(&self) {
        if self.keep {
            return;
        }
        for name in &self.names {
            if let Err(error) = self.client.room(name.clone()).delete().await {
                eprintln!("room {name} stays behind: {error}");
            }
        }
    }
}

/// Messages of one size. The data begins with the time it was made, in microseconds since the run began.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    start: Instant,
    size: usize,
}

/// Digits of the time stamp.
const STAMP: usize = 12;

impl Payload {
    pub(crate) fn new(size: u32) -> Self {
        Self { start: Instant::now(), size: size as usize }
    }

    /// The next message: a JSON string of exactly `size` bytes with its quotes.
    pub(crate) fn message(&self) -> NewMessage {
        let micros = self.start.elapsed().as_micros();
        let width = self.size - 2 - STAMP;
        message(Data::Json(format!("\"{micros:0STAMP$}{:x<width$}\"", "").into()))
    }

    /// How long ago a message was made, if this run made it.
    pub(crate) fn age(&self, data: &Data) -> Option<Duration> {
        let stamp = std::str::from_utf8(data.bytes().get(1..=STAMP)?).ok()?;
        let made = Duration::from_micros(stamp.parse().ok()?);
        self.start.elapsed().checked_sub(made)
    }
}

/// When the measured span begins and ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    begin: Instant,
    end: Instant,
}

impl Span {
    pub(crate) fn starting_now(args: &CommonArgs) -> Self {
        let begin = Instant::now() + args.warmup;
        Self { begin, end: begin + args.duration }
    }

    /// Whether something that happened then counts.
    pub(crate) fn contains(&self, at: Instant) -> bool {
        self.begin <= at && at < self.end
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self, at: Instant) -> bool {
        at >= self.end
    }

    /// Waits for its begin.
    pub(crate) async fn begun(&self) {
        sleep_until(self.begin).await;
    }

    /// Waits for its end.
    pub(crate) async fn over(&self) {
        sleep_until(self.end).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_json_of_the_size_asked_for_and_knows_its_age() {
        for size in [24, 128, 65_536] {
            let payload = Payload::new(size);
            let data = payload.message().data;
            assert_eq!(data.bytes().len(), size as usize);
            assert_eq!(Data::json(data.bytes().clone()), Ok(data.clone()));
            assert!(payload.age(&data).unwrap() < Duration::from_secs(60));
        }
        assert_eq!(Payload::new(24).age(&Data::json_string("x")), None);
    }
}
