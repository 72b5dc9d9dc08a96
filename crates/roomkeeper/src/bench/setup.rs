//! What all benchmarks share: flags, rooms of their own.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use roomkeeper_client::types::{MessageId, RoomName};
use roomkeeper_client::{Client, ClientConfig, ClusterMap, Error, Room};
use serde::Serialize;

use crate::cli::{CodecArg, ConnectArgs};

/// Sockets that are opened, and rooms that are deleted, at the same time.
const AT_ONCE: usize = 64;

/// Flags of every benchmark.
#[derive(Debug, Clone, Args)]
pub(crate) struct CommonArgs {
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
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
    /// The cluster as it was found.
    pub(crate) map: ClusterMap,
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
        Ok(Self { client, cluster, map, names, keep: args.keep })
    }

    /// The n-th room, modulo their number, with a socket of its own.
    pub(crate) fn room(&self, n: usize) -> Room {
        self.room_of(&self.client, n)
    }

    /// The same of another client.
    pub(crate) fn room_of(&self, client: &Client, n: usize) -> Room {
        client.room(self.names[n % self.names.len()].clone())
    }

    /// The first `count` of [`Bench::room`], connected.
    ///
    /// # Errors
    /// There is no connection.
    pub(crate) async fn open(&self, count: u32) -> Result<Vec<Room>, Error> {
        all((0..count as usize).map(|n| async move {
            let room = self.room(n);
            room.connect().await?;
            Ok(room)
        }))
        .await
    }

    /// Deletes the run's rooms, unless they are to be kept.
    pub(crate) async fn finish(&self) {
        if self.keep {
            return;
        }
        let deleted = self.names.iter().map(|name| async move {
            if let Err(error) = self.client.room(name.clone()).delete().await {
                eprintln!("room {name} stays behind: {error}");
            }
        });
        stream::iter(deleted).buffer_unordered(AT_ONCE).collect::<()>().await;
    }
}

/// Does all of it, some at a time, and gives the results in order.
///
/// # Errors
/// The first one.
pub(crate) async fn all<T, F>(tasks: impl Iterator<Item = F>) -> Result<Vec<T>, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    stream::iter(tasks).buffered(AT_ONCE).try_collect().await
}
