//! A client of either subprotocol. Tests speak JSON to it; what a protobuf one sends and gets is translated.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http::HeaderName;
use roomkeeper_protocol::{Codec, CommandKind, Frame, Limits, ServerFrame};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Nothing here takes longer unless it never comes.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
    pushes: VecDeque<Value>,
    replies: VecDeque<Value>,
    next: u32,
    /// Of a protobuf client: what it sent and has no reply to.
    sent: Option<HashMap<u32, CommandKind>>,
}

/// The end of a socket: its close code, if it had one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended(pub(crate) Option<u16>);

impl Client {
    pub(crate) async fn open(base: &str, path: &str, headers: &[(&'static str, &str)]) -> Self {
        Self::try_open(base, path, headers).await.unwrap_or_else(|refusal| panic!("refused: {refusal:?}"))
    }

    /// A socket, or the answer that refused it.
    pub(crate) async fn try_open(
        base: &str,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Box<Response>> {
        let address = base.strip_prefix("http://").unwrap();
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        let tcp = TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        match client_async(request, tcp).await {
            Ok((socket, _)) => {
                Ok(Self { socket, pushes: VecDeque::new(), replies: VecDeque::new(), next: 0, sent: None })
            }
            Err(tungstenite::Error::Http(response)) => Err(response),
            Err(error) => panic!("{error}"),
        }
    }

    /// A client of the protobuf subprotocol.
    pub(crate) async fn open_proto(base: &str, path: &str) -> Self {
        let client = Self::open(base, path, &[("sec-websocket-protocol", Codec::Proto.subprotocol())]).await;
        Self { sent: Some(HashMap::new()), ..client }
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        if let Some(sent) = &mut self.sent {
            let frame = Frame::Text(text.to_owned().into());
            let request = Codec::Json.decode_request(&frame, &Limits::default()).unwrap();
            sent.insert(request.id, request.command.kind());
            let frame = Codec::Proto.encode_request(&request).into_bytes();
            return self.socket.send(Message::Binary(frame)).await.unwrap();
        }
        self.socket.send(Message::text(text.to_owned())).await.unwrap();
    }

    /// Sends a command and returns its number.
    pub(crate) async fn send(&mut self, command: &str, fields: Value) -> u32 {
        self.next += 1;
        let frame = json!({ "id": self.next, command: fields });
        self.send_text(&frame.to_string()).await;
        self.next
    }

    /// Sends a command and returns its reply's `ok`, or its `error`.
    pub(crate) async fn call(&mut self, command: &str, fields: Value) -> Result<Value, Value> {
        let id = self.send(command, fields).await;
        let reply = self.reply().await;
        assert_eq!(reply["id"], id, "{reply}");
        outcome(reply)
    }

    /// The same, of a command that succeeds.
    pub(crate) async fn ok(&mut self, command: &str, fields: Value) -> Value {
        self.call(command, fields).await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// The code of the error of a command that fails.
    pub(crate) async fn code(&mut self, command: &str, fields: Value) -> String {
        let error = self.call(command, fields).await.unwrap_err();
        error["code"].as_str().unwrap().to_owned()
    }

    /// Publishes one message; its offset.
    pub(crate) async fn publish(&mut self, room: Option<&str>, data: Value) -> u64 {
        let mut fields = json!({ "messages": [{ "id": super::uuid(), "data": data }] });
        if let Some(room) = room {
            fields["room"] = room.into();
        }
        self.ok("publish", fields).await["offsets"][0].as_u64().unwrap()
    }

    /// Publishes one message to a room socket's room, or hears how the socket ended.
    pub(crate) async fn try_publish(&mut self, data: Value) -> Result<u64, Ended> {
        self.next += 1;
        let fields = json!({ "messages": [{ "id": super::uuid(), "data": data }] });
        let frame = json!({ "id": self.next, "publish": fields }).to_string();
        // A socket that was closed still has its close frame to read.
        drop(self.socket.send(Message::text(frame)).await);
        loop {
            if let Some(reply) = self.replies.pop_front() {
                return Ok(outcome(reply).unwrap()["offsets"][0].as_u64().unwrap());
            }
            self.read().await?;
        }
    }

    /// The code of the error of a publish that fails, or how the socket ended before there was an answer.
    pub(crate) async fn try_publish_code(&mut self, data: Value) -> Result<String, Ended> {
        self.next += 1;
        let fields = json!({ "room": "chat", "messages": [{ "id": super::uuid(), "data": data }] });
        let frame = json!({ "id": self.next, "publish": fields }).to_string();
        // A socket that was closed still has its close frame to read.
        drop(self.socket.send(Message::text(frame)).await);
        loop {
            if let Some(reply) = self.replies.pop_front() {
                return Ok(outcome(reply).unwrap_err()["code"].as_str().unwrap().to_owned());
            }
            self.read().await?;
        }
    }

    /// Publishes 1 to `count` to a new room, all on their way at once, and sees each answered with its offset.
    pub(crate) async fn pipeline(&mut self, room: Option<&str>, count: u64) {
        let mut sent = VecDeque::new();
        for n in 1..=count {
            let fields = json!({ "room": room, "messages": [{ "id": super::uuid(), "data": n }] });
            sent.push_back(self.send("publish", fields).await);
        }
        for n in 1..=count {
            let reply = self.reply().await;
            assert_eq!((&reply["id"], &reply["ok"]["offsets"]), (&json!(sent.pop_front()), &json!([n])));
        }
    }

    /// The next reply, whichever command it is to.
    pub(crate) async fn reply(&mut self) -> Value {
        loop {
            if let Some(reply) = self.replies.pop_front() {
                return reply;
            }
            self.read().await.unwrap_or_else(|ended| panic!("no reply: {ended:?}"));
        }
    }

    /// The next push, or the end of the socket.
    pub(crate) async fn push(&mut self) -> Result<Value, Ended> {
        loop {
            if let Some(push) = self.pushes.pop_front() {
                return Ok(push);
            }
            self.read().await?;
        }
    }

    /// The next so many messages, one by one.
    pub(crate) async fn messages(&mut self, count: usize) -> Vec<Value> {
        let mut items = Vec::new();
        while items.len() < count {
            let push = self.push().await.unwrap_or_else(|ended| panic!("no message: {ended:?}"));
            items.extend(push["messages"]["items"].as_array().unwrap_or_else(|| panic!("{push}")).clone());
        }
        assert_eq!(items.len(), count, "{items:?}");
        items
    }

    /// The offsets of the next so many messages.
    pub(crate) async fn offsets(&mut self, count: usize) -> Vec<u64> {
        self.messages(count).await.iter().map(|item| item["offset"].as_u64().unwrap()).collect()
    }

    /// Pushes and replies until the socket ends.
    pub(crate) async fn rest(mut self) -> (Vec<Value>, Vec<Value>, Ended) {
        let ended = loop {
            if let Err(ended) = self.read().await {
                break ended;
            }
        };
        (self.pushes.into(), self.replies.into(), ended)
    }

    /// Whether nothing is pushed for so long.
    pub(crate) async fn is_quiet_for(&mut self, time: Duration) -> bool {
        let reading = async {
            while self.pushes.is_empty() {
                self.read().await.unwrap_or_else(|ended| panic!("the socket ended: {ended:?}"));
            }
        };
        tokio::time::timeout(time, reading).await.is_err()
    }

    /// Whether nothing was pushed that nobody took, up to the reply of one more command.
    pub(crate) async fn rest_is_quiet(&mut self) -> bool {
        self.ok("hello", json!({})).await;
        self.pushes.is_empty()
    }

    /// The pushes that were read so far and that nobody took.
    pub(crate) fn so_far(&mut self) -> Vec<Value> {
        self.pushes.drain(..).collect()
    }

    /// So many messages or more, however they come.
    pub(crate) async fn messages_at_least(&mut self, count: usize) {
        let mut found = 0;
        while found < count {
            let push = self.push().await.unwrap_or_else(|ended| panic!("no message: {ended:?}"));
            found += push["messages"]["items"].as_array().map_or(0, Vec::len);
        }
    }

    /// Whether no push came before what was read so far.
    pub(crate) fn no_push_yet(&self) -> bool {
        self.pushes.is_empty()
    }

    fn take(&mut self, frame: Value) {
        if frame.get("id").is_some() {
            self.replies.push_back(frame);
        } else {
            self.pushes.push_back(frame);
        }
    }

    async fn read(&mut self) -> Result<(), Ended> {
        let next = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a frame or the end");
        match next {
            Some(Ok(Message::Text(text))) => {
                self.take(serde_json::from_str(&text).unwrap());
                Ok(())
            }
            Some(Ok(Message::Binary(bytes))) => {
                let sent = self.sent.as_mut().expect("a protobuf client");
                let decoded =
                    Codec::Proto.decode_server(&Frame::Binary(bytes), |id| sent.remove(&id)).unwrap();
                let json = match decoded.expect("a frame to heed") {
                    ServerFrame::Reply(id, reply) => Codec::Json.encode_reply(id, &reply),
                    ServerFrame::Push(push) => Codec::Json.encode_push(&push),
                };
                self.take(serde_json::from_slice(json.bytes()).unwrap());
                Ok(())
            }
            Some(Ok(Message::Close(close))) => Err(Ended(close.map(|close| close.code.into()))),
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) | None => Err(Ended(None)),
        }
    }
}

/// A reply's `ok`, or its `error`.
fn outcome(mut reply: Value) -> Result<Value, Value> {
    match reply.get_mut("error") {
        Some(error) => Err(error.take()),
        None => Ok(reply["ok"].take()),
    }
}
