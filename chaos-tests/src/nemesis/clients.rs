//! Clients that behave badly.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::join_all;
use rand::RngExt;
use roomkeeper_client::{Client, ClientConfig, Subscription};
use roomkeeper_protocol::From;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{Done, Field, Nemesis, Target};

/// Subscribers that read nothing: their sockets' windows close, and the node has to let go of them or wait without
/// holding anything back for others.
#[derive(Debug)]
pub struct SlowSubscribers {
    count: usize,
    held: Vec<Subscription>,
}

impl SlowSubscribers {
    /// So many.
    #[must_use]
    pub const fn new(count: usize) -> Self {
        Self { count, held: Vec::new() }
    }
}

impl Nemesis for SlowSubscribers {
    fn name(&self) -> &'static str {
        "slow_subscribers"
    }

    fn target(&self) -> Target {
        Target::Nobody
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, _: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            // One push may wait for its reader: then the socket itself is not read any more.
            let config = ClientConfig { buffer: 1, ..crate::admission::config(field.cluster.urls()) };
            let client = Client::new(config)?;
            for _ in 0..self.count {
                let room = field.rooms[field.rng.random_range(0..field.rooms.len())].clone();
                self.held.push(client.room(room).subscribe(From::Beginning).await?);
            }
            Ok(format!("{} subscribers", self.held.len()))
        })
    }

    fn end<'a>(&'a mut self, _: &'a mut Field, _: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let count = self.held.drain(..).count();
            Ok(format!("{count} left"))
        })
    }
}

/// Clients that come and go all the time, all at once.
#[derive(Debug)]
pub struct ReconnectStorm {
    clients: usize,
    running: Option<JoinHandle<u64>>,
    stop: Option<tokio::sync::watch::Sender<bool>>,
}

impl ReconnectStorm {
    /// So many at a time.
    #[must_use]
    pub const fn new(clients: usize) -> Self {
        Self { clients, running: None, stop: None }
    }
}

impl Nemesis for ReconnectStorm {
    fn name(&self) -> &'static str {
        "reconnect_storm"
    }

    fn target(&self) -> Target {
        Target::Nobody
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, _: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let (stop, stopped) = tokio::sync::watch::channel(false);
            let config = crate::admission::config(field.cluster.urls());
            let (rooms, clients) = (field.rooms.clone(), self.clients);
            self.stop = Some(stop);
            self.running = Some(tokio::spawn(async move {
                let mut joined = 0;
                while !*stopped.borrow() {
                    let joins = (0..clients).map(|n| join(config.clone(), rooms[n % rooms.len()].clone()));
                    joined += join_all(joins).await.into_iter().filter(Result::is_ok).count() as u64;
                    sleep(Duration::from_millis(50)).await;
                }
                joined
            }));
            Ok(format!("{} clients at a time", self.clients))
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, _: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            self.stop.take().context("no storm")?.send_replace(true);
            let joined = self.running.take().context("no storm")?.await?;
            field.recorder.count("storm_joins", joined);
            Ok(format!("{joined} joined and left"))
        })
    }
}

/// Joins a room with a socket of its own, and leaves without a word.
async fn join(config: ClientConfig, room: roomkeeper_types::RoomName) -> Result<()> {
    Client::new(config)?.room(room).subscribe(From::Latest).await?;
    Ok(())
}
