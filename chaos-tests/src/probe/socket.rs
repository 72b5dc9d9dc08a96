//! A WebSocket, frame by frame.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Response};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::LIMIT;

/// Headers of a handshake.
pub type Offer<'h> = &'h [(&'static str, &'h str)];

/// The answer to a handshake that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The status.
    pub status: u16,
    /// The `Location`, empty where there is none.
    pub location: String,
}

impl Refused {
    fn new(response: &Response<Option<Vec<u8>>>) -> Self {
        let location = response.headers().get("location").and_then(|value| value.to_str().ok());
        Self { status: response.status().as_u16(), location: location.unwrap_or_default().to_owned() }
    }
}

/// How a socket ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The server's close code.
    Code(u16),
    /// Without one.
    Dropped(String),
}

/// A JSON socket (or any, for [`Socket::send_binary`]) whose replies are awaited one by one.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: u64,
    /// Pushes that came while a reply was awaited.
    pushes: VecDeque<Value>,
}

impl Socket {
    /// Opens a socket at `ws://…`.
    ///
    /// # Errors
    /// The handshake was not accepted, or there was no answer.
    pub async fn open(url: &str, headers: Offer<'_>) -> Result<Self> {
        match Self::try_open(url, headers).await? {
            Ok(socket) => Ok(socket),
            Err(refused) => bail!("{url} refused the handshake: {refused:?}"),
        }
    }

    /// The same where a refusal is expected.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn try_open(url: &str, headers: Offer<'_>) -> Result<Result<Self, Refused>> {
        let mut request = url.into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(value)?);
        }
        match timeout(LIMIT, connect_async(request)).await.with_context(|| format!("handshake with {url}"))? {
            Ok((stream, _)) => Ok(Ok(Self { stream, next_id: 0, pushes: VecDeque::new() })),
            Err(Error::Http(response)) => Ok(Err(Refused::new(&response))),
            Err(error) => Err(error).with_context(|| format!("handshake with {url}")),
        }
    }

    /// Sends a text frame as it is.
    ///
    /// # Errors
    /// The socket is gone.
    pub async fn send_text(&mut self, text: &str) -> Result<()> {
        self.send(Message::text(text)).await
    }

    /// Sends a binary frame as it is.
    ///
    /// # Errors
    /// The socket is gone.
    pub async fn send_binary(&mut self, bytes: impl Into<Bytes>) -> Result<()> {
        self.send(Message::binary(bytes)).await
    }

    async fn send(&mut self, message: Message) -> Result<()> {
        timeout(LIMIT, self.stream.send(message)).await.context("sending")?.context("sending")
    }

    /// Sends a command under the next number and awaits its reply: the `ok`, or the `error`.
    ///
    /// # Errors
    /// No reply, or one to something else.
    pub async fn call(&mut self, command: &str, fields: Value) -> Result<Result<Value, Value>> {
        self.next_id += 1;
        let mut frame = Map::from_iter([("id".to_owned(), json!(self.next_id))]);
        frame.insert(command.to_owned(), fields);
        self.send_text(&Value::Object(frame).to_string()).await?;
        let mut reply = self.reply().await.with_context(|| format!("reply to {command}"))?;
        ensure!(reply["id"] == self.next_id, "expected a reply to {}: {reply}", self.next_id);
        Ok(match reply.get_mut("ok") {
            Some(ok) => Ok(ok.take()),
            None => Err(reply["error"].take()),
        })
    }

    /// The same where the socket may end: what it ended with, if the server said so.
    ///
    /// # Errors
    /// The close code; none where the connection broke, or there was no reply in time.
    pub async fn ask(&mut self, command: &str, fields: Value) -> Result<Result<Value, Value>, Option<u16>> {
        self.next_id += 1;
        let mut frame = Map::from_iter([("id".to_owned(), json!(self.next_id))]);
        frame.insert(command.to_owned(), fields);
        // Behind a socket that cannot be written to any more there may be a close code to read.
        let sent = self.send_text(&Value::Object(frame).to_string()).await;
        loop {
            let mut frame = self.any().await?;
            if sent.is_ok() && frame["id"] == self.next_id {
                return Ok(match frame.get_mut("ok") {
                    Some(ok) => Ok(ok.take()),
                    None => Err(frame["error"].take()),
                });
            }
            self.pushes.push_back(frame);
        }
    }

    /// The next frame, or how the socket ended.
    ///
    /// # Errors
    /// As [`Socket::ask`].
    pub async fn any(&mut self) -> Result<Value, Option<u16>> {
        match self.next().await {
            Ok(Ok(Message::Text(text))) => serde_json::from_str(&text).map_err(|_| None),
            Ok(Err(End::Code(code))) => Err(Some(code)),
            _ => Err(None),
        }
    }

    /// A command that has to succeed.
    ///
    /// # Errors
    /// It does not.
    pub async fn ok(&mut self, command: &str, fields: Value) -> Result<Value> {
        match self.call(command, fields).await? {
            Ok(ok) => Ok(ok),
            Err(error) => bail!("{command} was refused: {error}"),
        }
    }

    /// The next frame that has an id. Pushes before it are kept.
    ///
    /// # Errors
    /// None comes in time, or the socket ends.
    pub async fn reply(&mut self) -> Result<Value> {
        loop {
            let frame = self.frame().await?;
            if frame.get("id").is_some() {
                return Ok(frame);
            }
            self.pushes.push_back(frame);
        }
    }

    /// The next push.
    ///
    /// # Errors
    /// None comes in time, the socket ends, or a reply comes that nobody awaits.
    pub async fn push(&mut self) -> Result<Value> {
        if let Some(push) = self.pushes.pop_front() {
            return Ok(push);
        }
        let frame = self.frame().await?;
        ensure!(frame.get("id").is_none(), "a reply that nobody awaits: {frame}");
        Ok(frame)
    }

    /// The pushes that came while replies were awaited.
    pub fn take_pushes(&mut self) -> Vec<Value> {
        self.pushes.drain(..).collect()
    }

    /// The next `count` messages of a room, over as many pushes as it takes. Those of other rooms are kept.
    ///
    /// # Errors
    /// They do not come in time.
    pub async fn messages(&mut self, room: &str, count: usize) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut others = Vec::new();
        while items.len() < count {
            let push = self.push().await.with_context(|| format!("{} of {count} messages", items.len()))?;
            match push["messages"]["items"].as_array() {
                Some(pushed) if push["messages"]["room"] == room => items.extend(pushed.iter().cloned()),
                _ => others.push(push),
            }
        }
        others.into_iter().rev().for_each(|push| self.pushes.push_front(push));
        Ok(items)
    }

    /// The next binary frame.
    ///
    /// # Errors
    /// Another kind comes, or none in time.
    pub async fn binary(&mut self) -> Result<Bytes> {
        match self.next().await? {
            Ok(Message::Binary(bytes)) => Ok(bytes),
            other => bail!("expected a binary frame, got {other:?}"),
        }
    }

    /// Reads on to the end: the frames before it, and how it ended.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn rest(&mut self) -> Result<(Vec<Value>, End)> {
        let mut frames = Vec::from(std::mem::take(&mut self.pushes));
        loop {
            match self.next().await? {
                Ok(Message::Text(text)) => frames.push(serde_json::from_str(&text)?),
                Ok(other) => bail!("unexpected {other:?}"),
                Err(end) => return Ok((frames, end)),
            }
        }
    }

    /// The next frame that comes, reply or push, whichever it is.
    ///
    /// # Errors
    /// None comes in time, or the socket ends.
    pub async fn frame(&mut self) -> Result<Value> {
        match self.next().await? {
            Ok(Message::Text(text)) => Ok(serde_json::from_str(&text)?),
            Ok(other) => bail!("expected a text frame, got {other:?}"),
            Err(end) => bail!("the socket ended: {end:?}"),
        }
    }

    /// The next message with content, or the end.
    async fn next(&mut self) -> Result<Result<Message, End>> {
        loop {
            let message = timeout(LIMIT, self.stream.next()).await.context("no frame in time")?;
            return Ok(match message {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(Some(close)))) => Err(End::Code(close.code.into())),
                Some(Ok(Message::Close(None))) => Err(End::Dropped("closed without a code".to_owned())),
                Some(Ok(message)) => Ok(message),
                Some(Err(error)) => Err(End::Dropped(error.to_string())),
                None => Err(End::Dropped("end of stream".to_owned())),
            });
        }
    }
}

/// The address of a node's sockets: `ws://` for `http://`, and the path.
#[must_use]
pub fn socket_url(base: &str, path: &str) -> String {
    format!("{}{path}", base.replacen("http", "ws", 1))
}
