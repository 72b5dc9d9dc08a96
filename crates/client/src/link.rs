//! One open WebSocket: frames out in batches, frames in as they come, neither waiting for the other.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::{FutureExt, SinkExt, StreamExt};
use roomkeeper_protocol::{Codec, Frame, Request};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WsCloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Utf8Bytes};

use crate::Error;

/// Bytes of the read and write buffers of a socket.
const BUFFER: usize = 64 << 10;
/// Largest message a server may send: a history page of 1,000 messages of 64 KiB does not fit, and the
/// server then answers with fewer.
const MESSAGE_MAX: usize = 16 << 20;

/// Sizes for the WebSocket library.
pub(crate) fn socket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX))
}

/// What a socket did.
#[derive(Debug)]
pub(crate) enum Io {
    /// A frame arrived.
    Frame(Frame),
    /// A ping or pong arrived: the server lives.
    Alive,
    /// The server closed the socket.
    Closed { code: u16, reason: String },
    /// There is room to write again.
    Writable,
}

/// One open WebSocket to a node.
#[derive(Debug)]
pub(crate) struct Link {
    ws: WebSocketStream<TcpStream>,
    codec: Codec,
    url: String,
    /// Frames may wait in the write buffer.
    unflushed: bool,
    /// The socket took no more.
    full: bool,
}

impl Link {
    pub(crate) fn new(ws: WebSocketStream<TcpStream>, codec: Codec, url: String) -> Self {
        Self { ws, codec, url, unflushed: false, full: false }
    }

    /// The node, for messages to people.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn codec(&self) -> Codec {
        self.codec
    }

    /// Whether the socket takes another frame now. If not, [`Link::io`] returns [`Io::Writable`] later.
    pub(crate) fn is_writable(&mut self) -> Result<bool, Error> {
        if self.full {
            return Ok(false);
        }
        match self.ws.poll_ready_unpin(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result.map(|()| true).map_err(|error| self.ended(&error)),
            Poll::Pending => {
                self.full = true;
                self.unflushed = true;
                Ok(false)
            }
        }
    }

    /// A request in the socket's subprotocol.
    pub(crate) fn encode(&self, request: &Request) -> Frame {
        self.codec.encode_request(request)
    }

    /// Adds a frame to what is written next. Call only while [`Link::is_writable`].
    pub(crate) fn write(&mut self, frame: Frame) -> Result<(), Error> {
        let message = match frame {
            Frame::Text(text) => Utf8Bytes::try_from(text).map(Message::Text).map_err(|_| {
                Error::Unreadable { url: "the caller".into(), reason: "data that is no JSON text".into() }
            })?,
            Frame::Binary(bytes) => Message::Binary(bytes),
        };
        self.push(message)
    }

    /// Asks the server for a sign of life.
    pub(crate) fn ping(&mut self) -> Result<(), Error> {
        if self.is_writable()? { self.push(Message::Ping(Bytes::new())) } else { Ok(()) }
    }

    /// Waits until something has happened, and flushes what was written meanwhile. With `read` false the
    /// server's frames stay where they are. Nothing is lost when the future is dropped.
    pub(crate) async fn io(&mut self, read: bool) -> Result<Io, Error> {
        loop {
            let message = poll_fn(|cx| self.poll_io(cx, read)).await?;
            match message {
                Some(message) => {
                    if let Some(io) = self.sort(message) {
                        return Ok(io);
                    }
                }
                None => return Ok(Io::Writable),
            }
        }
    }

    /// The next frame, if one has arrived already.
    pub(crate) fn next_ready(&mut self) -> Option<Result<Io, Error>> {
        loop {
            let result = match self.ws.next().now_or_never()? {
                Some(Ok(message)) => self.sort(message).map(Ok),
                Some(Err(error)) => Some(Err(self.ended(&error))),
                None => Some(Err(self.dropped())),
            };
            if result.is_some() {
                return result;
            }
        }
    }

    /// Says goodbye, as far as that works without waiting for the server.
    pub(crate) async fn close(mut self) {
        let frame = CloseFrame { code: WsCloseCode::Normal, reason: Utf8Bytes::from_static("") };
        if let Err(error) = self.ws.close(Some(frame)).await {
            tracing::debug!(url = self.url, %error, "close failed");
        }
    }

    /// `Some(None)`: writable again.
    fn poll_io(&mut self, cx: &mut Context<'_>, read: bool) -> Poll<Result<Option<Message>, Error>> {
        if self.unflushed {
            match self.ws.poll_flush_unpin(cx) {
                Poll::Ready(Ok(())) => {
                    self.unflushed = false;
                    if std::mem::take(&mut self.full) {
                        return Poll::Ready(Ok(None));
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.ended(&error))),
                Poll::Pending => {}
            }
        }
        if !read {
            return Poll::Pending;
        }
        match self.ws.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(message))) => Poll::Ready(Ok(Some(message))),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(self.ended(&error))),
            Poll::Ready(None) => Poll::Ready(Err(self.dropped())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn push(&mut self, message: Message) -> Result<(), Error> {
        self.unflushed = true;
        self.ws.start_send_unpin(message).map_err(|error| self.ended(&error))
    }

    fn sort(&mut self, message: Message) -> Option<Io> {
        match message {
            Message::Text(text) => Some(Io::Frame(Frame::Text(text.into()))),
            Message::Binary(bytes) => Some(Io::Frame(Frame::Binary(bytes))),
            Message::Ping(_) => {
                // The library has queued the pong: it leaves with the next flush.
                self.unflushed = true;
                Some(Io::Alive)
            }
            Message::Pong(_) => Some(Io::Alive),
            Message::Close(Some(frame)) => {
                Some(Io::Closed { code: frame.code.into(), reason: frame.reason.as_str().to_owned() })
            }
            Message::Close(None) => Some(Io::Closed { code: 1005, reason: String::new() }),
            Message::Frame(_) => None,
        }
    }

    fn ended(&self, error: &WsError) -> Error {
        Error::disconnected(&self.url, error)
    }

    fn dropped(&self) -> Error {
        Error::disconnected(&self.url, "closed without a word")
    }
}
