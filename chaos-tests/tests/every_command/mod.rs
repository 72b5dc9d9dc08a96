//! All commands, and sockets of both kinds and codecs to send them by.

use chaos_tests::probe::Socket;
use roomkeeper_protocol::{
    Codec, Command, Commit, Create, Credit, Data, Error, Frame, From, Heartbeat, History, HoldRef, Isolation,
    Join, NewMessage, Publish, Request, RoomRef, Seen, ServerFrame, Signal,
};
use roomkeeper_types::{MessageId, Offset, RoomName};

/// A good command of each kind about a room; on a room socket without naming it.
pub(crate) fn every_command(room: Option<&RoomName>) -> Vec<Command> {
    let named = || RoomRef { room: room.cloned(), life: None };
    let message = || NewMessage { id: MessageId::generate(), data: Data::json_string("x"), sent: None };
    let publish = |hold_ms| {
        let (room, messages) = (named(), vec![message()]);
        Command::Publish(Publish { room, messages, expect: None, hold_ms, timeout_ms: None })
    };
    let hold = || HoldRef { room: named(), ids: vec![MessageId::generate()] };
    let history = |isolation| History { room: named(), from: From::Beginning, limit: None, isolation };
    let seen = Seen { here: true, seen: Vec::new(), upto: None };
    let join = |from, consumer: Option<&str>, isolation| {
        let consumer = consumer.map(|name| name.parse().unwrap());
        Command::Join(Join { room: named(), from, consumer, credit: None, isolation, presence: Some(true) })
    };
    vec![
        join(From::Latest, None, Isolation::Committed),
        join(From::Committed, Some("c"), Isolation::Uncommitted),
        publish(None),
        publish(Some(1_000)),
        Command::Signal(Signal { room: named(), data: Data::json_string("x") }),
        Command::History(history(Isolation::Committed)),
        Command::History(history(Isolation::Uncommitted)),
        Command::Commit(Commit { room: named(), consumer: "c".parse().unwrap(), offset: Offset(1) }),
        Command::Credit(Credit { room: named(), more: 1 }),
        Command::Heartbeat(Heartbeat { rooms: vec![(room.cloned(), seen)] }),
        Command::Presence(named()),
        Command::Create(Create { room: room.cloned(), ..Create::default() }),
        Command::Delete(named()),
        Command::Confirm(hold()),
        Command::Rollback(hold()),
    ]
}

/// A socket of either codec.
pub(crate) struct Line {
    pub(crate) socket: Socket,
    codec: Codec,
    next_id: u32,
}

impl Line {
    /// Opens one with these headers beside the codec's.
    pub(crate) async fn open(codec: Codec, url: &str, headers: &[(&'static str, &str)]) -> Self {
        let mut offer = headers.to_vec();
        if codec == Codec::Proto {
            offer.push(("sec-websocket-protocol", "roomkeeper.v1.proto"));
        }
        Self { socket: Socket::open(url, &offer).await.unwrap(), codec, next_id: 0 }
    }

    /// Sends a command and awaits its one reply.
    pub(crate) async fn ask(&mut self, command: Command) -> Result<(), Error> {
        self.next_id += 1;
        let kind = command.kind();
        match self.codec.encode_request(&Request { id: self.next_id, command }) {
            Frame::Text(text) => self.socket.send_text(std::str::from_utf8(&text).unwrap()).await.unwrap(),
            Frame::Binary(bytes) => self.socket.send_binary(bytes).await.unwrap(),
        }
        loop {
            let frame = match self.codec {
                Codec::Json => Frame::Text(self.socket.frame().await.unwrap().to_string().into()),
                Codec::Proto => Frame::Binary(self.socket.binary().await.unwrap()),
            };
            match self.codec.decode_server(&frame, |_| Some(kind)).unwrap() {
                Some(ServerFrame::Reply(id, result)) => {
                    assert_eq!(id, self.next_id, "a second reply, or one to something else: {result:?}");
                    return result.map(drop);
                }
                Some(ServerFrame::Push(_)) | None => {}
            }
        }
    }

    /// The code that a command is refused with.
    pub(crate) async fn refusal(&mut self, command: Command) -> &'static str {
        self.ask(command).await.err().map_or("ok", |error| error.code.name())
    }
}
