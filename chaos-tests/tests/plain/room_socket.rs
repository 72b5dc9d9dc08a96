//! Publishes over a socket to one room, and goes where `moved` says.

use std::time::Duration;

use anyhow::{Result, bail};
use chaos_tests::probe::{Socket, socket_url};
use serde_json::Value;
use tokio::time::sleep;

use super::{HOPS_MAX, Message, Publisher, Ready, Report};

pub(crate) struct RoomSocket {
    ready: Ready,
    path: String,
    socket: Option<Socket>,
}

impl RoomSocket {
    pub(crate) fn new(ready: Ready, room: &str) -> Self {
        Self { ready, path: format!("/v1/rooms/{room}/ws"), socket: None }
    }

    async fn open(&self, base: &str, report: &mut Report) -> Result<Socket> {
        let mut url = socket_url(base, &self.path);
        for _ in 0..=HOPS_MAX {
            match Socket::try_open(&url, &[]).await? {
                Ok(socket) => return Ok(socket),
                Err(refused) if refused.status == 307 => {
                    report.followed += 1;
                    url = refused.location;
                }
                Err(refused) => bail!("{url}: {refused:?}"),
            }
        }
        bail!("too many redirects, the last one to {url}")
    }
}

impl Publisher for RoomSocket {
    async fn publish(&mut self, message: &Message, report: &mut Report) -> Result<Value> {
        let mut socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let base = self.ready.pick().await;
                self.open(&base, report).await?
            }
        };
        let reply = socket.call("publish", message.fields.clone()).await?;
        // The room moves: the next one is sent to where it went.
        match socket.take_pushes().into_iter().find(|push| push.get("moved").is_some()) {
            None => self.socket = Some(socket),
            Some(push) => {
                report.followed += 1;
                let wait = push["moved"]["retry_after_ms"].as_u64().unwrap_or(0);
                sleep(Duration::from_millis(wait)).await;
                if let Some(base) = push["moved"]["url"].as_str() {
                    self.socket = Some(self.open(base, report).await?);
                }
            }
        }
        reply.or_else(|error| bail!("refused: {error}"))
    }
}
