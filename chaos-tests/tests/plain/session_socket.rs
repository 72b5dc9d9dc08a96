//! Publishes over a socket for many rooms, which stays where it is while they move.

use anyhow::{Context, Result, bail};
use chaos_tests::probe::{Socket, socket_url};
use serde_json::Value;

use super::{HOPS_MAX, Message, Publisher, Ready, Report};

pub(crate) struct SessionSocket {
    ready: Ready,
    socket: Option<Socket>,
}

impl SessionSocket {
    pub(crate) fn new(ready: Ready) -> Self {
        Self { ready, socket: None }
    }
}

impl Publisher for SessionSocket {
    async fn publish(&mut self, message: &Message, report: &mut Report) -> Result<Value> {
        let mut last = None;
        for _ in 0..=HOPS_MAX {
            let mut socket = match self.socket.take() {
                Some(socket) => socket,
                None => Socket::open(&socket_url(&self.ready.pick().await, "/v1/ws"), &[]).await?,
            };
            match socket.call("publish", message.fields.clone()).await {
                Ok(reply) => {
                    self.socket = Some(socket);
                    return reply.or_else(|error| bail!("refused: {error}"));
                }
                // Closed for draining before it was read: sent over the next socket, with its id.
                Err(ended) => {
                    report.again += 1;
                    last = Some(ended);
                }
            }
        }
        bail!(last.context("no try")?)
    }
}
