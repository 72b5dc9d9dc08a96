//! The task behind a room's handle: it owns the socket and does what the session says.
//!
//! It is always in one of three states: idle (nothing to do, no socket), connecting (waiting for a backoff
//! or a handshake) and serving a socket. Calls are taken in all three; the session knows what is sent when.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use roomkeeper_protocol::{CloseCode, DecodeError, OwnerHint};
use roomkeeper_types::RoomName;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::backoff::Backoff;
use crate::dial::dial;
use crate::handle::{Handle, Op, Waiter};
use crate::hedge::hedge;
use crate::link::{Io, Link};
use crate::looks::Looks;
use crate::outlet::{Outlet, Reader};
use crate::session::{Effect, Session, Settings};
use crate::silence::{Silence, Verdict};
use crate::targets::Targets;
use crate::token::Renewal;
use crate::{ClientConfig, Error, Metrics};

/// Calls taken, and frames read, before the other gets its turn.
const BATCH: usize = 256;

/// Starts a room's task.
pub(crate) fn spawn(
    config: Arc<ClientConfig>,
    metrics: Arc<Metrics>,
    targets: Targets,
    room: RoomName,
) -> Handle {
    let (handle, ops) = Handle::new(config.window);
    let hello = roomkeeper_protocol::Hello {
        user: config.user.clone(),
        device: config.device.clone(),
        client: Some(concat!("roomkeeper-rust/", env!("CARGO_PKG_VERSION")).into()),
        ..Default::default()
    };
    let settings =
        Settings { patience: config.deadline, fill_holes: config.fill_holes, seed: rand::random() };
    let driver = Driver {
        session: Session::new(hello, settings),
        renewal: Renewal::new(config.token.clone()),
        config,
        metrics,
        targets,
        room,
        ops,
        taken: Vec::with_capacity(BATCH),
        closing: false,
        outlet: Outlet::default(),
        backoff: Backoff::default(),
        hints: 0,
        looks: Looks::new(),
        sockets: 0,
    };
    tokio::spawn(driver.run());
    handle
}

struct Driver {
    config: Arc<ClientConfig>,
    metrics: Arc<Metrics>,
    targets: Targets,
    room: RoomName,
    session: Session<Waiter>,
    ops: mpsc::Receiver<Op>,
    /// Scratch space for the calls just taken.
    taken: Vec<Op>,
    /// The last handle is gone.
    closing: bool,
    outlet: Outlet,
    renewal: Renewal,
    backoff: Backoff,
    /// Hints of an owner followed since a command last succeeded.
    hints: usize,
    looks: Looks,
    /// Sockets opened so far.
    sockets: u64,
}

/// Why a connection ended.
enum Outcome {
    /// Try again, there if the hint says where.
    Reconnect(Error, Option<OwnerHint>),
    /// The session has failed for good.
    Failed,
    /// The handle is gone and everything is answered.
    Finished,
}

impl Driver {
    async fn run(mut self) {
        let mut wait = Duration::ZERO;
        loop {
            if !self.idle().await {
                return;
            }
            let outcome = match self.connect(wait).await {
                Ok(Some((link, token))) => self.serve(link, token).await,
                // Everything was given up before there was a connection.
                Ok(None) => continue,
                Err(error) => Outcome::Reconnect(error, None),
            };
            wait = match outcome {
                Outcome::Reconnect(cause, hint) => self.lost(cause, hint),
                Outcome::Failed => Duration::ZERO,
                Outcome::Finished => return,
            };
        }
    }

    /// Waits until a connection is needed; `false` when none will be any more.
    async fn idle(&mut self) -> bool {
        loop {
            drop(self.perform());
            if self.session.has_work() {
                return true;
            }
            if self.closing {
                return false;
            }
            tokio::select! {
                reader = self.outlet.changed() => self.read_by(reader),
                taken = self.ops.recv_many(&mut self.taken, BATCH) => self.take(taken),
            }
        }
    }

    /// Waits, then opens a socket to the next node, with the token for it; `None` if nobody needs it any more.
    async fn connect(&mut self, wait: Duration) -> Result<Option<(Link, Option<String>)>, Error> {
        let base = self.targets.next().ok_or(Error::NoUrl)?;
        let other = self.targets.peek(&base);
        let (config, metrics, room) = (self.config.clone(), self.metrics.clone(), self.room.clone());
        let dialing = async move {
            sleep(wait).await;
            let token = match &config.token {
                Some(source) => Some(source.get().await?),
                None => None,
            };
            let first = dial(&config, &metrics, &base, &room);
            let link = match &other {
                Some(other) => hedge(first, dial(&config, &metrics, other, &room)).await?,
                None => first.await?,
            };
            Ok((link, token))
        };
        let mut dialing = pin!(dialing);
        loop {
            self.looks.set_busy(true);
            tokio::select! {
                result = &mut dialing => return result.map(Some),
                reader = self.outlet.changed() => self.read_by(reader),
                taken = self.ops.recv_many(&mut self.taken, BATCH), if !self.closing => self.take(taken),
                now = self.looks.next(None) => self.session.tick(now),
            }
            drop(self.perform());
            if !self.session.has_work() {
                return Ok(None);
            }
        }
    }

    /// Serves one socket until it ends.
    async fn serve(&mut self, mut link: Link, token: Option<String>) -> Outcome {
        self.metrics.connected(self.sockets > 0);
        self.sockets += 1;
        self.session.connected(token);
        self.metrics.republished(self.session.take_republished());
        let mut silence = Silence::new(&self.config, Instant::now());
        loop {
            if let Err(error) = self.transmit(&mut link) {
                return Outcome::Reconnect(error, None);
            }
            if let Some(outcome) = self.perform() {
                return outcome;
            }
            if self.closing && !self.session.has_work() {
                link.close().await;
                return Outcome::Finished;
            }
            let read = !self.outlet.is_full();
            if let Some(now) = self.looks.set_busy(self.session.is_busy()) {
                silence.settle(now);
            }
            // In this order, so that a busy socket starves neither the deadlines nor the subscriber; calls
            // get their turn because a read is bounded.
            tokio::select! {
                biased;
                now = self.looks.next(self.session.next_beat()) => {
                    self.session.tick(now);
                    if !read {
                        // A socket that is not read says nothing about its server.
                        silence.heard(now);
                    }
                    let verdict = silence.look(now, self.session.awaits_answer(), self.session.next_beat());
                    if let Err(error) = act_on(verdict, &mut link) {
                        return Outcome::Reconnect(error, None);
                    }
                }
                reader = self.outlet.changed() => self.read_by(reader),
                token = self.renewal.next() => self.session.renew(token),
                io = link.io(read) => {
                    let now = Instant::now();
                    if !matches!(io, Ok(Io::Writable)) {
                        silence.heard(now);
                    }
                    if let Some(outcome) = self.arrived(&mut link, io, now) {
                        return outcome;
                    }
                    self.take_ready();
                }
                taken = self.ops.recv_many(&mut self.taken, BATCH), if !self.closing => self.take(taken),
            }
        }
    }

    /// A connection ended or could not be made: how long to wait before the next one.
    fn lost(&mut self, error: Error, hint: Option<OwnerHint>) -> Duration {
        tracing::debug!(room = %self.room, %error, "connection lost");
        if !error.is_retryable() {
            self.session.fail(error);
            return Duration::ZERO;
        }
        let asked = match &error {
            Error::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let jitter = self.backoff.next(&mut rand::rng()).max(asked);
        if let Error::Disconnected { url, .. } | Error::Unreachable { url, .. } = &error {
            self.targets.failed(url);
        }
        self.session.disconnected(error);
        self.renewal.stop();
        let Some(OwnerHint { url, retry_after_ms, .. }) = hint else { return jitter };
        let asked = Duration::from_millis(retry_after_ms.into());
        // It moved, but nobody knows where to.
        let Some(url) = url else { return jitter.max(asked) };
        self.hints += 1;
        if self.hints > self.config.hops_max {
            // Two nodes that name each other: back to the seeds.
            return jitter.max(asked);
        }
        if let Err(error) = self.targets.learn(&url) {
            tracing::warn!(room = %self.room, %error, "the owner's address is unusable");
            return jitter;
        }
        self.metrics.redirected();
        if self.hints == 1 { asked } else { asked.max(jitter) }
    }

    /// Hands the session's requests to the socket, as many as it takes.
    fn transmit(&mut self, link: &mut Link) -> Result<(), Error> {
        let now = Instant::now();
        while link.is_writable()? {
            let Some(request) = self.session.transmit(now) else { break };
            let (id, frame) = (request.id, link.encode(request));
            match self.session.check_size(frame.bytes().len()) {
                Ok(()) => link.write(frame)?,
                Err(error) => self.session.refuse(id, error),
            }
        }
        Ok(())
    }

    /// Takes in what arrived, and what else has arrived by now; `Some` if that ends the connection.
    fn arrived(&mut self, link: &mut Link, first: Result<Io, Error>, now: Instant) -> Option<Outcome> {
        let mut next = Some(first);
        let mut left = BATCH;
        while let Some(io) = next {
            match io {
                Ok(Io::Frame(frame)) => {
                    match link.codec().decode_server(&frame, |id| self.session.kind_of(id)) {
                        Ok(Some(frame)) => self.session.received(frame, now),
                        Ok(None) => {}
                        Err(error) => self.unreadable(link, error),
                    }
                }
                Ok(Io::Alive | Io::Writable) => {}
                Ok(Io::Closed { code, reason }) => return Some(self.closed(link, code, reason)),
                // What came before the end counts, a hint of the new owner above all.
                Err(error) => return Some(self.perform().unwrap_or(Outcome::Reconnect(error, None))),
            }
            left -= 1;
            // Whatever is taken from the link must be handled, so it is not asked for more than that.
            next = if left > 0 { link.next_ready() } else { None };
        }
        None
    }

    /// A frame that makes no sense: its command fails, or everything where it has none.
    fn unreadable(&mut self, link: &Link, DecodeError { id, error }: DecodeError) {
        let error = Error::Unreadable { url: link.url().to_owned(), reason: error.message };
        if id == 0 {
            self.session.fail(error);
        } else {
            self.session.refuse(id, error);
        }
    }

    /// The server closed the socket: the code's range says what to do.
    fn closed(&mut self, link: &Link, code: u16, reason: String) -> Outcome {
        if let Some(outcome) = self.perform() {
            return outcome;
        }
        // A token that ran out, or was taken back, and there may be another one.
        let was_token = code == CloseCode::Unauthorized.number() && self.session.is_healthy();
        if CloseCode::should_reconnect(code) || (was_token && self.renewal.is_possible()) {
            let error = Error::disconnected(link.url(), format!("closed with {code} {reason}"));
            return Outcome::Reconnect(error, None);
        }
        self.session.fail(Error::Closed { code, reason });
        Outcome::Failed
    }

    fn read_by(&mut self, reader: Reader) {
        match reader {
            Reader::Took => {}
            Reader::Read(offset) => self.session.read(offset),
            Reader::Gone => self.session.unsubscribe(),
        }
    }

    /// The calls that wait already, without waiting for more.
    fn take_ready(&mut self) {
        for _ in 0..BATCH {
            match self.ops.try_recv() {
                Ok(op) => self.start(op),
                Err(_) => break,
            }
        }
    }

    /// The calls that `recv_many` has put into `taken`.
    fn take(&mut self, count: usize) {
        self.closing |= count == 0;
        let mut taken = std::mem::take(&mut self.taken);
        for op in taken.drain(..) {
            self.start(op);
        }
        self.taken = taken;
    }

    fn start(&mut self, op: Op) {
        let deadline = Instant::now() + self.config.deadline;
        match op {
            Op::Call { command, waiter } => self.session.call(command, waiter, deadline),
            Op::Subscribe { options, way, waiter } => {
                if self.session.subscribe(options, waiter, deadline) {
                    self.outlet.open(way);
                }
            }
            Op::Connect { waiter } => self.session.greet(waiter, deadline),
        }
    }

    /// Does what the session wants done; `Some` if that ends the connection.
    fn perform(&mut self) -> Option<Outcome> {
        let mut outcome = None;
        while let Some(effect) = self.session.effect() {
            match effect {
                Effect::Answer(waiter, result) => waiter.answer(result),
                Effect::Event(event) => {
                    if !self.outlet.push(Ok(event)) {
                        self.metrics.signal_dropped();
                    }
                }
                Effect::Unsubscribed(error) => {
                    if let Some(error) = error {
                        self.outlet.push(Err(error));
                    }
                    self.outlet.finish();
                }
                Effect::Healthy => {
                    self.backoff.reset();
                    self.hints = 0;
                }
                Effect::Expires(at) => self.renewal.expires(at),
                Effect::Hole(offset) => {
                    tracing::warn!(room = %self.room, %offset, "the server skipped a message");
                    self.metrics.hole();
                }
                // Behind the answers that end a connection there is often a word about the new owner.
                Effect::Reconnect(cause, hint) => {
                    if !matches!(outcome, Some(Outcome::Failed | Outcome::Reconnect(_, Some(_)))) {
                        outcome = Some(Outcome::Reconnect(cause, hint));
                    }
                }
                Effect::Failed => outcome = Some(Outcome::Failed),
            }
        }
        outcome
    }
}

/// Does what a server's silence asks for.
fn act_on(verdict: Verdict, link: &mut Link) -> Result<(), Error> {
    match verdict {
        Verdict::Fine => Ok(()),
        Verdict::Ping => link.ping(),
        Verdict::Gone(silence) => {
            Err(Error::disconnected(link.url(), format!("the server was silent for {silence:?}")))
        }
    }
}
