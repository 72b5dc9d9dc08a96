//! How much clients may ask for: rates of a connection, a user and a room, and the sockets of a user.
//!
//! Who exceeds a rate is refused with `rate_limited`, a definite no that says when to come back; nobody is
//! disconnected for it. A room's rate is kept by its owner. A connection, and what its user has, is measured by the
//! node that reads its commands: the one that it is connected to, but for a room socket that is relayed frame by frame,
//! which its owner reads.

mod bucket;
mod connections;
mod keyed;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use roomkeeper_protocol::{Error, ErrorCode};
use roomkeeper_types::{RoomName, UserId};

use crate::config::GatewayConfig;
use crate::metrics::{Limit, Limited};
use bucket::{Bucket, Rate};
use connections::UserConnections;
use keyed::Buckets;

pub(crate) use connections::UserConnection;

/// How often buckets that are full again are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What clients may ask for, and what of it they have had.
pub(crate) struct Limiter {
    commands: Option<Rate>,
    bytes: Option<Rate>,
    messages: Option<Rate>,
    users: Option<Buckets<UserId>>,
    rooms: Option<Buckets<RoomName>>,
    connections: Option<Arc<UserConnections>>,
    limited: Limited,
}

/// What one connection has had.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    commands: Mutex<Bucket>,
    bytes: Mutex<Bucket>,
    messages: Mutex<Bucket>,
}

/// Who publishes, as far as this node is to measure it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Publisher<'p> {
    /// Over this connection.
    pub(crate) meter: Option<&'p Meter>,
    /// In this user's name.
    pub(crate) user: Option<&'p UserId>,
    /// To this room, of which this node is the owner.
    pub(crate) room: Option<&'p RoomName>,
}

/// A limit, in words and for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bound {
    kind: Limit,
    what: &'static str,
}

const COMMANDS: Bound =
    Bound { kind: Limit::ConnectionCommands, what: "commands per second of one connection" };
const BYTES: Bound = Bound { kind: Limit::ConnectionBytes, what: "bytes per second of one connection" };
const MESSAGES: Bound =
    Bound { kind: Limit::ConnectionMessages, what: "messages per second of one connection" };
const USER: Bound = Bound { kind: Limit::UserMessages, what: "messages per second of one user" };
const ROOM: Bound = Bound { kind: Limit::RoomMessages, what: "messages per second to one room" };
const SOCKETS: Bound = Bound { kind: Limit::UserConnections, what: "sockets of one user on this node" };

/// More was asked for than there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded {
    bound: Bound,
    most: u32,
    /// After this time it may be asked for again; `None`: after something else has happened.
    wait: Option<Duration>,
}

impl Limiter {
    pub(crate) fn new(config: &GatewayConfig, limited: Limited) -> Self {
        let rates = &config.rates;
        Self {
            commands: Rate::new(rates.commands_per_connection),
            bytes: Rate::new(rates.bytes_per_connection),
            messages: Rate::new(rates.messages_per_connection),
            users: Rate::new(rates.messages_per_user).map(Buckets::new),
            rooms: Rate::new(rates.messages_per_room).map(Buckets::new),
            connections: NonZeroU32::new(config.max_connections_per_user).map(UserConnections::new),
            limited,
        }
    }

    /// Takes a command of so many bytes from what its connection may ask for.
    ///
    /// # Errors
    /// It may not ask for so much now.
    pub(crate) fn command(&self, meter: &Meter, bytes: usize, now: Instant) -> Result<(), Exceeded> {
        if let Some(rate) = self.commands {
            let taken = meter.commands.lock().take(rate, 1, now);
            taken.map_err(|wait| self.exceeded(COMMANDS, rate, wait))?;
        }
        if let Some(rate) = self.bytes {
            let taken = meter.bytes.lock().take(rate, bytes as u64, now);
            taken.map_err(|wait| self.exceeded(BYTES, rate, wait))?;
        }
        Ok(())
    }

    /// Takes the messages of a publish from all that limits them, or from nothing.
    ///
    /// # Errors
    /// One of them has not so many now.
    pub(crate) fn publish(&self, by: Publisher<'_>, messages: usize, now: Instant) -> Result<(), Exceeded> {
        let amount = messages as u64;
        let own = by.meter.zip(self.messages);
        let user = by.user.zip(self.users.as_ref());
        let room = by.room.zip(self.rooms.as_ref());
        let put_back_own = || {
            if let Some((meter, rate)) = own {
                meter.messages.lock().put_back(rate, amount);
            }
        };
        if let Some((meter, rate)) = own {
            let taken = meter.messages.lock().take(rate, amount, now);
            taken.map_err(|wait| self.exceeded(MESSAGES, rate, wait))?;
        }
        if let Some((user, users)) = user
            && let Err(wait) = users.take(user, amount, now)
        {
            put_back_own();
            return Err(self.exceeded(USER, users.rate(), wait));
        }
        if let Some((room, rooms)) = room
            && let Err(wait) = rooms.take(room, amount, now)
        {
            put_back_own();
            if let Some((user, users)) = user {
                users.put_back(user, amount);
            }
            return Err(self.exceeded(ROOM, rooms.rate(), wait));
        }
        Ok(())
    }

    /// Whether there is a limit that a publish may meet.
    pub(crate) fn limits_messages(&self) -> bool {
        self.messages.is_some() || self.users.is_some() || self.rooms.is_some()
    }

    /// What was exceeded still is, for so long.
    pub(crate) fn still(&self, exceeded: Exceeded, wait: Duration) -> Exceeded {
        self.limited.of(exceeded.bound.kind).inc();
        Exceeded { wait: Some(wait), ..exceeded }
    }

    /// Whether there is a limit that a command may meet.
    pub(crate) fn limits_commands(&self) -> bool {
        self.commands.is_some() || self.bytes.is_some()
    }

    /// One more socket of a user. `None`: it is not counted, as there is no limit, or as nobody has said who it is.
    ///
    /// # Errors
    /// The user has as many as it may have.
    pub(crate) fn connect(&self, user: &UserId) -> Result<Option<UserConnection>, Exceeded> {
        let Some(connections) = &self.connections else { return Ok(None) };
        if *user == UserId::anonymous() {
            return Ok(None);
        }
        match connections.open(user) {
            Some(open) => Ok(Some(open)),
            None => {
                self.limited.of(SOCKETS.kind).inc();
                Err(Exceeded { bound: SOCKETS, most: connections.most(), wait: None })
            }
        }
    }

    /// Forgets users and rooms that have had nothing for a while. Never returns.
    pub(crate) async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            let now = Instant::now();
            if let Some(users) = &self.users {
                users.sweep(now);
            }
            if let Some(rooms) = &self.rooms {
                rooms.sweep(now);
            }
        }
    }

    fn exceeded(&self, bound: Bound, rate: Rate, wait: Duration) -> Exceeded {
        self.limited.of(bound.kind).inc();
        Exceeded { bound, most: rate.per_second(), wait: Some(wait) }
    }
}

impl Exceeded {
    /// When it may be asked for again, if it is now.
    pub(crate) fn until(self, now: Instant) -> Option<Instant> {
        self.wait.map(|wait| now + wait)
    }
}

impl From<Exceeded> for Error {
    fn from(Exceeded { bound, most, wait }: Exceeded) -> Self {
        // Rounded up: a moment too early is too early.
        let ms = wait.map(|wait| u32::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX));
        let when = match ms {
            Some(ms) => format!("try again in {ms} ms"),
            None => "close another one first".to_owned(),
        };
        let text = format!("{}: at most {most}; {when}", bound.what);
        Self { retry_after_ms: ms, ..Self::new(ErrorCode::RateLimited, text) }
    }
}

#[cfg(test)]
mod tests {
    use roomkeeper_protocol::Codec;

    use super::*;
    use crate::config::RateLimits;

    fn limiter(change: impl FnOnce(&mut GatewayConfig)) -> Limiter {
        let mut config = GatewayConfig::default();
        change(&mut config);
        Limiter::new(&config, Limited::default())
    }

    fn text(result: Result<(), Exceeded>) -> String {
        let error = Error::from(result.unwrap_err());
        assert_eq!((error.code, error.retry), (ErrorCode::RateLimited, true));
        error.message
    }

    #[test]
    fn limiter_of_the_default_settings_limits_nothing() {
        let (limiter, meter, now) = (limiter(|_| ()), Meter::default(), Instant::now());
        let (user, room) = ("ann".parse().unwrap(), "a".parse().unwrap());
        let by = Publisher { meter: Some(&meter), user: Some(&user), room: Some(&room) };
        for _ in 0..100_000 {
            assert_eq!(limiter.command(&meter, 1 << 20, now), Ok(()));
            assert_eq!(limiter.publish(by, 1_000, now), Ok(()));
        }
        assert!(limiter.connect(&user).unwrap().is_none());
    }

    #[test]
    fn refusal_says_which_limit_it_is_and_when_to_come_back() {
        let limiter = limiter(|config| {
            config.rates = RateLimits {
                commands_per_connection: 10,
                bytes_per_connection: 1_000,
                messages_per_connection: 20,
                messages_per_user: 30,
                messages_per_room: 40,
            };
            config.max_connections_per_user = 1;
        });
        let (meter, now) = (Meter::default(), Instant::now());
        assert_eq!(limiter.command(&meter, 900, now), Ok(()));
        let said = text(limiter.command(&meter, 200, now));
        assert_eq!(said, "bytes per second of one connection: at most 1000; try again in 100 ms");
        for _ in 0..8 {
            limiter.command(&meter, 0, now).unwrap();
        }
        let said = text(limiter.command(&meter, 0, now));
        assert_eq!(said, "commands per second of one connection: at most 10; try again in 100 ms");
        let (user, room) = ("ann".parse().unwrap(), "a".parse().unwrap());
        let cases = [
            (Publisher { meter: Some(&meter), ..Publisher::default() }, "connection: at most 20"),
            (Publisher { user: Some(&user), ..Publisher::default() }, "one user: at most 30"),
            (Publisher { room: Some(&room), ..Publisher::default() }, "one room: at most 40"),
        ];
        for (by, words) in cases {
            limiter.publish(by, 50, now).unwrap();
            let said = text(limiter.publish(by, 1, now));
            assert!(said.contains(words), "{said}");
        }
        let _open = limiter.connect(&user).unwrap();
        let said = Error::from(limiter.connect(&user).unwrap_err()).message;
        assert_eq!(said, "sockets of one user on this node: at most 1; close another one first");
    }

    #[test]
    fn publish_that_one_limit_refuses_costs_nothing_at_the_others() {
        let limiter = limiter(|config| {
            config.rates.messages_per_connection = 10;
            config.rates.messages_per_user = 10;
            config.rates.messages_per_room = 5;
        });
        let (meter, now) = (Meter::default(), Instant::now());
        let user = "ann".parse().unwrap();
        let [full, other]: [RoomName; 2] = ["full", "other"].map(|room| room.parse().unwrap());
        let to = |room| Publisher { meter: Some(&meter), user: Some(&user), room: Some(room) };
        limiter.publish(to(&full), 5, now).unwrap();
        for _ in 0..10 {
            assert_eq!(limiter.publish(to(&full), 1, now).unwrap_err().bound, ROOM);
        }
        limiter.publish(to(&other), 5, now).unwrap();
        assert_eq!(limiter.publish(to(&other), 1, now).unwrap_err().bound, MESSAGES);
    }

    /// The metric of a size is found by what the error says.
    #[test]
    fn size_that_is_refused_is_told_from_the_others() {
        let limits = roomkeeper_protocol::Limits { max_frame: 4096, max_message: 4, max_batch: 1 };
        let message = |data: &str| {
            let id = roomkeeper_types::MessageId::generate();
            format!(r#"{{"id": "{id}", "data": {data}}}"#)
        };
        let refusal = |messages: &[String]| {
            let frame = format!(r#"{{"id": 1, "publish": {{"messages": [{}]}}}}"#, messages.join(","));
            let frame = roomkeeper_protocol::Frame::Text(frame.into());
            Codec::Json.decode_request(&frame, &limits).unwrap_err().error
        };
        assert_eq!(Limit::of_size(&refusal(&[message("1"), message("2")])), Some(Limit::BatchMessages));
        assert_eq!(Limit::of_size(&refusal(&[message("12345")])), Some(Limit::MessageBytes));
        let frame = Error::new(ErrorCode::TooLarge, "body: expected at most 4096 bytes");
        assert_eq!(Limit::of_size(&frame), Some(Limit::FrameBytes));
        assert_eq!(Limit::of_size(&Error::bad_request("messages: expected 1 to 5")), None);
    }
}
