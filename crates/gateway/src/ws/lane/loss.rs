//! A lane whose seat is lost: the client is told where to go on, and what it had sent is not left behind.
//!
//! Publishes under way go to the next owner from here, in their order: of a planned move no publish is told
//! anything but its outcome. A room socket stays for that, and a little longer for what its client sent before it
//! heard; nothing is served on it but what the next owner answers.

use std::time::{Duration, Instant};

use roomkeeper_protocol::{OwnerHint, Push};
use roomkeeper_types::RoomName;
use tokio::time::{sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{Flow, Lane, Seat};
use crate::host::Tenure;
use crate::route::{OWNERSHIP_ENDS, owner_hint};
use crate::ws::conn::{Conn, Outgoing};

/// How long a lost room waits for its last outcomes and for the name of its new owner.
const LAST_WORD: Duration = Duration::from_millis(50);
/// How long a room socket stays after its client was told that the room has moved.
const LINGER: Duration = Duration::from_millis(250);
/// How long the next owner is still waited for when the socket is to be closed.
const STOPPING: Duration = Duration::from_secs(1);
/// Between two tries to reach the next owner.
const RETRY: Duration = Duration::from_millis(50);

impl Lane {
    /// The seat is gone, a publish was refused or ended unknown: tells the client where to go on, and hands what
    /// is under way to the next owner, or answers it. [`Flow::End`]: the socket is to be closed.
    pub(super) async fn lose(&mut self) -> Flow {
        let Some(mut seat) = self.seat.take() else { return Flow::On };
        let deadline = Instant::now() + LAST_WORD;
        if self.window.is_broken() && seat.is_current() {
            drop(timeout(OWNERSHIP_ENDS, seat.lost()).await);
        } else if !self.window.is_fenced() {
            // What was proposed in time may still be committed.
            drop(timeout_at(deadline.into(), self.window.settled()).await);
        }
        let moved = !seat.is_current();
        let resend = moved && !self.relays_no_more();
        let under_way = self.window.first_deadline().is_some();
        let fenced = (self.window.is_fenced() || (under_way && !resend)) && !self.fence_told;
        self.fence_told |= fenced;
        self.arm(None);
        self.conn.send(Outgoing::Unsubscribe(self.room.clone()));
        if self.leaving.is_none() && (self.joined || fenced || self.conn.single) {
            let hint = match seat.hint() {
                Some(hint) => hint,
                None => {
                    let stale = moved.then(|| seat.tenure());
                    find_owner(&self.conn, &self.room, stale, deadline).await
                }
            };
            self.conn.push(Push::Moved(hint));
        }
        self.joined = false;
        if !resend {
            // Behind the word that the room has moved, for a relay that brings them elsewhere.
            self.window.give_up();
        }
        seat.abandon().await;
        if self.conn.single {
            if !resend {
                return Flow::End;
            }
            self.leaving.get_or_insert(Instant::now() + LINGER);
        }
        if resend && under_way {
            self.resend(seat.tenure()).await;
        }
        Flow::On
    }

    /// Hands all that is under way to the next owner, once there is one; what cannot wait so long is unknown.
    async fn resend(&mut self, former: Tenure) {
        let first = self.window.first_deadline().unwrap_or_else(Instant::now);
        let deadline = first.min(self.hold());
        let stop = self.stop().clone();
        loop {
            let found = tokio::select! {
                found = self.take_seat(Some(former), deadline) => found,
                () = stopped_for(&stop, STOPPING) => Ok(()),
            };
            match found {
                Ok(()) => break,
                Err(error) if Instant::now() + RETRY < deadline => {
                    tracing::debug!(room = %self.room, %error, "the next owner is not reached yet");
                    sleep(RETRY).await;
                }
                Err(_) => break,
            }
        }
        match &mut self.seat {
            Some(Seat::Remote(seat)) => seat.begin_anew().await,
            Some(Seat::Local(_)) => {}
            None => {
                self.window.give_up();
                if !std::mem::replace(&mut self.fence_told, true) && !self.conn.single {
                    let hint = find_owner(&self.conn, &self.room, Some(former), Instant::now()).await;
                    self.conn.push(Push::Moved(hint));
                }
                return;
            }
        }
        for (publish, answer) in self.window.again() {
            self.submit(publish, answer).await;
        }
        let next = self.window.first_deadline();
        self.arm(next);
    }
}

async fn stopped_for(stop: &CancellationToken, time: Duration) {
    stop.cancelled().await;
    sleep(time).await;
}

/// What the client is told of the room's owner, which is waited for until `deadline`.
async fn find_owner(conn: &Conn, room: &RoomName, stale: Option<Tenure>, deadline: Instant) -> OwnerHint {
    let shard = conn.edge.whereabouts.find(room).shard;
    let stale = stale.filter(|stale| stale.shard == shard).map(|stale| stale.epoch);
    let route = conn.edge.host.wait_route(shard, stale, deadline).await;
    owner_hint(&conn.edge, room, &route)
}
