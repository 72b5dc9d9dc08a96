//! Guests: their tokens allow to read one room, and run out in seconds. They try everything else, at whichever node.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use rand::RngExt;
use rand::rngs::StdRng;
use roomkeeper_types::{MessageId, RoomName};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::history::Recorder;
use crate::history::access::{GuestAsked, GuestEnd, GuestIn, GuestTold};
use crate::history::event::{Event, Id};
use crate::probe::{Socket, socket_url};

/// Seconds that a token is good for.
const SECONDS: std::ops::RangeInclusive<u64> = 2..=3;
const PAUSE: Duration = Duration::from_millis(100);
/// How long a guest listens between two questions.
const LISTEN_MS: std::ops::RangeInclusive<u64> = 50..=250;
/// A socket that outlives its token by so much is given up: a node that is paused closes nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// Goes to one node after the other, each time with another token.
pub(super) struct Guests {
    pub(super) recorder: Recorder,
    pub(super) urls: Vec<String>,
    /// The room that they may read.
    pub(super) own: RoomName,
    /// A room that they may not.
    pub(super) other: RoomName,
    pub(super) rng: StdRng,
}

impl Guests {
    /// Runs until it is stopped.
    pub(super) async fn run(mut self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            // The node may be dead: another one will do.
            let _ = self.visit(&stop).await;
            sleep(PAUSE).await;
        }
    }

    async fn visit(&mut self, stop: &watch::Receiver<bool>) -> Result<()> {
        let node = self.rng.random_range(0..self.urls.len());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
        let exp = now.as_secs() + self.rng.random_range(SECONDS);
        let scopes = json!([{ "rooms": self.own, "actions": ["subscribe", "history"] }]);
        let token = crate::admission::token_of("guest", exp, scopes)?;
        let mut socket = Socket::open(&socket_url(&self.urls[node], "/v1/ws"), &[]).await?;
        socket.ok("hello", json!({ "token": token })).await?;
        let (guest, rooms) = (self.recorder.new_id(), vec![self.own.clone()]);
        let expires = self.recorder.at_wall(exp * 1_000_000);
        self.recorder.record(Event::GuestIn(GuestIn { guest, node, rooms, expires }));
        let ended = self.stay(&mut socket, guest, stop).await;
        let (code, left) = match ended {
            Ok(left) => (None, left),
            Err(code) => (code, false),
        };
        self.recorder.record(Event::GuestEnd(GuestEnd { guest, code, left }));
        Ok(())
    }

    /// Asks and listens until the socket ends, with its close code; `Ok`: it went by itself, or gave up.
    async fn stay(
        &mut self,
        socket: &mut Socket,
        guest: Id,
        stop: &watch::Receiver<bool>,
    ) -> Result<bool, Option<u16>> {
        let patience = tokio::time::Instant::now() + PATIENCE;
        self.ask(socket, guest, self.own.clone(), "join", json!({ "from": "latest" })).await?;
        loop {
            if *stop.borrow() || tokio::time::Instant::now() > patience {
                return Ok(true);
            }
            let (own, command, fields) = self.draw();
            let room = if own { self.own.clone() } else { self.other.clone() };
            self.ask(socket, guest, room, command, fields).await?;
            let listen = Duration::from_millis(self.rng.random_range(LISTEN_MS));
            let end = tokio::time::Instant::now() + listen;
            while let Ok(frame) = timeout(end - tokio::time::Instant::now(), socket.any()).await {
                self.note(guest, &frame?);
            }
        }
    }

    /// Something to ask for, and whether of the own room.
    fn draw(&mut self) -> (bool, &'static str, Value) {
        let message = json!([{ "id": MessageId(self.rng.random()), "data": "not allowed" }]);
        match self.rng.random_range(0..10) {
            0 => (true, "history", json!({ "from": "beginning", "limit": 1 })),
            1 => (true, "publish", json!({ "messages": message })),
            2 => (true, "presence", json!({})),
            3 => (true, "signal", json!({ "data": 1 })),
            4 => (false, "publish", json!({ "messages": message })),
            5 => (false, "history", json!({ "from": "beginning", "limit": 1 })),
            6 => (false, "commit", json!({ "consumer": "worker", "offset": 1 })),
            7 => (false, "presence", json!({})),
            _ => {
                (false, "join", json!({ "from": "beginning", "isolation": "uncommitted", "presence": true }))
            }
        }
    }

    async fn ask(
        &self,
        socket: &mut Socket,
        guest: Id,
        room: RoomName,
        command: &str,
        mut fields: Value,
    ) -> Result<(), Option<u16>> {
        fields["room"] = json!(room);
        let since = self.recorder.now();
        let answer = socket.ask(command, fields).await?;
        for push in socket.take_pushes() {
            self.note(guest, &push);
        }
        let code = answer.err().map(|error| error["code"].as_str().unwrap_or_default().to_owned());
        let command = command.to_owned();
        self.recorder.record(Event::GuestAsked(GuestAsked { guest, room, command, since, code }));
        Ok(())
    }

    fn note(&self, guest: Id, push: &Value) {
        for (name, fields) in push.as_object().into_iter().flatten() {
            // Where a room has gone says nothing of what is in it.
            let Ok(room) = fields["room"].as_str().unwrap_or_default().parse() else { continue };
            if name == "moved" || name == "redirect" {
                continue;
            }
            let items = fields["items"].as_array();
            let last = items.and_then(|items| items.last()?["offset"].as_u64()).map(roomkeeper_types::Offset);
            let push = name.clone();
            self.recorder.record(Event::GuestTold(GuestTold { guest, room, push, last }));
        }
    }
}
