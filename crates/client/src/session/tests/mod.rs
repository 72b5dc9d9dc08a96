//! Stories of connections that come and go, told without a socket. A caller is a number; the server is the
//! test.

use bytes::Bytes;
use roomkeeper_protocol::{
    Data, From, HelloOk, Item, JoinOk, Member, NewMessage, PresenceOk, PresencePush, Publish, PublishOk,
    RoomRef,
};
use roomkeeper_types::{
    ClusterId, Epoch, LifeId, MessageId, NodeId, Offset, RoomName, ShardId, Timestamp, UserId,
};

use super::*;
use crate::{Presence, SubscribeOptions};

mod credit;
mod holes;
mod others;
mod reconnects;

const LIFE: LifeId = LifeId { shard: ShardId(3), index: 17, ordinal: 0 };

/// A session, its server's side, and what both have seen.
struct Story {
    session: Session<u32>,
    now: Instant,
}

/// An effect, as far as the stories look.
#[derive(Debug, PartialEq)]
enum Told {
    Stored(u32, u64),
    Joined(u32),
    Greeted(u32),
    Failed(u32, &'static str),
    Items(Vec<u64>),
    Presence(String),
    Signal,
    Held(u8),
    RolledBack(u8),
    Hole(u64),
    Expires(u64),
    Resumed,
    Moved,
    Over(Option<&'static str>),
    Reconnect,
    GivenUp,
}

fn room() -> RoomName {
    "general".parse().unwrap()
}

fn user() -> UserId {
    "ann".parse().unwrap()
}

fn server_error(code: ErrorCode) -> roomkeeper_protocol::Error {
    roomkeeper_protocol::Error::new(code, "as the story goes")
}

fn lost() -> Error {
    Error::disconnected("http://a:1", "reset")
}

fn short(error: &Error) -> &'static str {
    match error {
        Error::Deadline { .. } => "deadline",
        Error::Gap { .. } => "gap",
        Error::Recreated => "recreated",
        Error::Trimmed { .. } => "trimmed",
        Error::AlreadySubscribed => "already subscribed",
        Error::Closed { .. } => "closed",
        Error::Server(error) => error.code.name(),
        _ => "other",
    }
}

fn item(offset: u64) -> Item {
    Item {
        offset: Offset(offset),
        epoch: Epoch(1),
        id: MessageId([offset as u8; 16]),
        from: user(),
        time: Timestamp(1),
        sent: None,
        data: Data::Binary(Bytes::new()),
    }
}

/// `+` who came, `-` who went, `=` who is there.
fn names(presence: &Presence) -> String {
    let names = |sign: &str, members: &[Member]| {
        let names: Vec<&str> = members.iter().map(|member| member.user.as_str()).collect();
        format!("{sign}{}", names.join(","))
    };
    [names("+", &presence.joined), names("-", &presence.left), names("=", &presence.members)].join(" ")
}

/// What a request says, shortly: `publish 7`, `join offset 3`, …
fn say(command: &Command) -> String {
    match command {
        Command::Publish(publish) => {
            let life = if publish.room.life.is_some() { " of this life" } else { "" };
            format!("publish {}{life}", publish.messages[0].id.0[0])
        }
        Command::Join(join) => {
            let from = match join.from {
                From::Offset(offset) => offset.to_string(),
                From::Range(first, last) => format!("{first}..={last}"),
                from => format!("{from:?}").to_lowercase(),
            };
            let credit = join.credit.map(|credit| format!(" credit {credit}")).unwrap_or_default();
            format!("join {from}{credit}")
        }
        Command::Commit(commit) => format!("commit {}", commit.offset),
        Command::Credit(credit) => format!("credit {}", credit.more),
        Command::Heartbeat(heartbeat) => {
            let (_, seen) = &heartbeat.rooms[0];
            let ids: Vec<u8> = seen.seen.iter().map(|id| id.0[0]).collect();
            format!("heartbeat upto {} seen {ids:?}", seen.upto.unwrap())
        }
        other => other.name().to_owned(),
    }
}

impl Story {
    fn new() -> Self {
        let settings = Settings { patience: Duration::from_secs(30), fill_holes: true, seed: 1 };
        Self { session: Session::new(Hello::default(), settings), now: Instant::now() }
    }

    /// A session that has joined with these options, at that offset, and has said so.
    fn joined_with(options: SubscribeOptions, from: u64) -> Self {
        let mut story = Self::new();
        story.subscribe(options, 90);
        story.connect(from);
        assert_eq!(story.told(), [Told::Joined(90)]);
        story
    }

    /// A connection whose join is answered with that offset. Returns what the join said.
    fn connect(&mut self, from: u64) -> String {
        self.session.connected(None);
        let said = self.said();
        assert_eq!(said[0], "hello");
        self.greeted(1);
        self.joined(2, from);
        said[1].clone()
    }

    /// The connection is lost.
    fn lose(&mut self) {
        self.session.disconnected(lost());
    }

    /// That much time passes, a tenth of a second at a time.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(100);
            self.session.tick(self.now);
        }
    }

    fn commit(&mut self, consumer: &str, offset: u64) {
        let (room, consumer) = (RoomRef::default(), consumer.parse().unwrap());
        let commit = Command::Commit(roomkeeper_protocol::Commit { room, consumer, offset: Offset(offset) });
        self.session.call(commit, 70, self.now + Duration::from_secs(30));
    }

    fn publish(&mut self, n: u8) {
        let message = NewMessage { id: MessageId([n; 16]), data: Data::json_string("x"), sent: None };
        let publish = Publish {
            room: RoomRef::default(),
            messages: vec![message],
            expect: None,
            hold_ms: None,
            timeout_ms: None,
        };
        let deadline = self.now + Duration::from_secs(30);
        self.session.call(Command::Publish(publish), n.into(), deadline);
    }

    fn subscribe(&mut self, options: impl Into<SubscribeOptions>, waiter: u32) {
        self.session.subscribe(options.into(), waiter, self.now + Duration::from_secs(30));
    }

    /// What goes out now, as text, with the ids it goes under.
    fn sent(&mut self) -> Vec<(CommandId, String)> {
        let mut sent = Vec::new();
        while let Some(request) = self.session.transmit(self.now) {
            sent.push((request.id, say(&request.command)));
        }
        sent
    }

    /// What goes out now, as text.
    fn said(&mut self) -> Vec<String> {
        self.sent().into_iter().map(|(_, text)| text).collect()
    }

    fn reply(&mut self, id: CommandId, result: Result<Reply, roomkeeper_protocol::Error>) {
        self.session.received(ServerFrame::Reply(id, result), self.now);
    }

    fn stored(&mut self, id: CommandId, offset: u64) {
        let ok = PublishOk {
            epoch: Epoch(1),
            offsets: vec![Offset(offset)],
            duplicates: vec![false],
            held: false,
            expires: None,
        };
        self.reply(id, Ok(Reply::Publish(ok)));
    }

    fn refused(&mut self, id: CommandId, code: ErrorCode) {
        self.reply(id, Err(server_error(code)));
    }

    fn greeted(&mut self, id: CommandId) {
        self.greet(id, None);
    }

    /// With a token that is good until then.
    fn greeted_until(&mut self, id: CommandId, expires: u64) {
        self.greet(id, Some(Timestamp(expires)));
    }

    fn greet(&mut self, id: CommandId, expires: Option<Timestamp>) {
        let hello = HelloOk {
            node: NodeId(1),
            cluster: ClusterId([1; 16]),
            user: user(),
            session: "s".into(),
            heartbeat_ms: [3500, 7000],
            limits: Limits::default(),
            features: Vec::new(),
            expires,
        };
        self.reply(id, Ok(Reply::Hello(hello)));
    }

    fn joined(&mut self, id: CommandId, from: u64) {
        self.joined_at(id, from, 1);
    }

    fn joined_at(&mut self, id: CommandId, from: u64, epoch: u64) {
        let ok = JoinOk {
            room: room(),
            owner: NodeId(1),
            epoch: Epoch(epoch),
            life: LIFE,
            first: Offset(1),
            next: Offset(from),
            from: Offset(from),
            members: Some(1),
            committed: None,
            unread: None,
        };
        self.reply(id, Ok(Reply::Join(ok)));
    }

    fn push(&mut self, offsets: impl IntoIterator<Item = u64>) {
        let items = offsets.into_iter().map(item).collect();
        self.pushed(Push::Messages { room: room(), items });
    }

    fn sync(&mut self, offsets: impl IntoIterator<Item = u64>) {
        let items = offsets.into_iter().map(item).collect();
        self.pushed(Push::Sync { room: room(), items });
    }

    fn pushed(&mut self, push: Push) {
        self.session.received(ServerFrame::Push(push), self.now);
    }

    /// What the session wants done, health reports left out.
    fn told(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(effect) = self.session.effect() {
            told.push(match effect {
                Effect::Healthy => continue,
                Effect::Answer(who, Ok(Reply::Publish(ok))) => Told::Stored(who, ok.offsets[0].0),
                Effect::Answer(who, Ok(Reply::Hello(_))) => Told::Greeted(who),
                Effect::Answer(who, Ok(_)) => Told::Joined(who),
                Effect::Answer(who, Err(error)) => Told::Failed(who, short(&error)),
                Effect::Event(Event::Items(items)) => {
                    Told::Items(items.iter().map(|item| item.offset.0).collect())
                }
                Effect::Event(Event::Presence(presence)) => Told::Presence(names(&presence)),
                Effect::Event(Event::Signal { .. }) => Told::Signal,
                Effect::Event(Event::Held { items, .. }) => Told::Held(items[0].id.0[0]),
                Effect::Event(Event::RolledBack(ids)) => Told::RolledBack(ids[0].0[0]),
                Effect::Hole(offset) => Told::Hole(offset.0),
                Effect::Expires(at) => Told::Expires(at.0),
                Effect::Event(Event::Reconnected(_)) => Told::Resumed,
                Effect::Event(Event::Moved(_)) => Told::Moved,
                Effect::Unsubscribed(error) => Told::Over(error.as_ref().map(short)),
                Effect::Reconnect(cause, _) => {
                    assert!(cause.is_retryable() || cause.code().is_some(), "{cause}");
                    Told::Reconnect
                }
                Effect::Failed => Told::GivenUp,
            });
        }
        told
    }
}
