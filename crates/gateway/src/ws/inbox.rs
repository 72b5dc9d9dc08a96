//! The reading half of a socket: frames in, commands out.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use roomkeeper_protocol::{CloseCode, Command, DecodeError, Error, ErrorCode, Frame, Request};
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{self, Message};

use super::conn::{Conn, Outgoing, units};
use super::ticket::Ticket;

/// The reading half of a socket.
pub(crate) struct Inbox<S> {
    stream: S,
    conn: Arc<Conn>,
    /// Read, but not admitted yet.
    parked: Option<Parked>,
}

/// A frame that waits for its turn.
struct Parked {
    request: Result<Request, DecodeError>,
    /// What it takes.
    units: u32,
    bytes: usize,
}

/// What a socket brought.
pub(crate) enum Input {
    /// A command and the duty to answer it.
    Command(Command, Ticket),
    /// The client is gone.
    Gone,
    /// The client broke the rules of the socket; the reply and the close frame are queued.
    Refused,
}

impl<S> Inbox<S>
where
    S: Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
{
    pub(crate) fn new(stream: S, conn: Arc<Conn>) -> Self {
        Self { stream, conn, parked: None }
    }

    /// The next command, once there is room for it: until then nothing more is read, so that a client which
    /// takes no replies is held up by its own socket. Frames that are no commands are answered here. May be
    /// dropped while it waits.
    pub(crate) async fn next(&mut self) -> Input {
        loop {
            if let Some(Parked { units, .. }) = &self.parked {
                let permit = self.conn.admit(*units).await;
                if let Some(parked) = self.parked.take()
                    && let Some(command) = self.unpark(parked, permit)
                {
                    return command;
                }
            }
            let Some(message) = self.stream.next().await else { return Input::Gone };
            self.conn.note_alive();
            match message {
                Ok(Message::Text(text)) => self.read(&Frame::Text(Bytes::from(text))),
                Ok(Message::Binary(bytes)) => self.read(&Frame::Binary(bytes)),
                Ok(Message::Close(_)) => return Input::Gone,
                // Pings are answered by the socket itself.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(error) => return self.fail(&error),
            }
        }
    }

    /// The command of a frame that has its turn. What is none, or too much, is answered.
    fn unpark(&self, parked: Parked, permit: Option<OwnedSemaphorePermit>) -> Option<Input> {
        let now = Instant::now();
        let ticket = |id, kind| Ticket::new(id, (kind, now), self.conn.clone(), permit);
        let limiter = &self.conn.edge.limiter;
        let admitted = self.conn.meter().map_or(Ok(()), |meter| limiter.command(meter, parked.bytes, now));
        match (parked.request, admitted) {
            (Ok(Request { id, command }), Ok(())) => {
                let ticket = ticket(id, Some(command.kind()));
                Some(Input::Command(command, ticket))
            }
            (Ok(Request { id, command }), Err(exceeded)) => {
                ticket(id, Some(command.kind())).answer(Err(exceeded.into()));
                None
            }
            (Err(refused), _) => {
                ticket(refused.id, None).answer(Err(refused.error));
                None
            }
        }
    }

    fn read(&mut self, frame: &Frame) {
        self.conn.edge.metrics.bytes_received.inc_by(frame.bytes().len() as u64);
        let request = self.conn.codec.decode_request(frame, &self.conn.edge.config.limits);
        let command = request.as_ref().ok().map(|request| &request.command);
        let reads = matches!(command, Some(Command::History(_) | Command::Rooms(_)));
        let bytes = frame.bytes().len();
        self.parked = Some(Parked { request, units: units(bytes, reads), bytes });
    }

    fn fail(&self, error: &tungstenite::Error) -> Input {
        let Some(refusal) = Refusal::of(error) else { return Input::Gone };
        tracing::debug!(%error, "a socket is refused");
        self.conn.refuse(refusal.error);
        self.conn.send(Outgoing::Close(refusal.close, refusal.reason));
        Input::Refused
    }

    /// The stream, to see the closing through.
    pub(crate) fn into_stream(self) -> S {
        self.stream
    }
}

/// Why a socket is closed on its client.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    /// The reply, under number 0.
    pub(crate) error: Error,
    pub(crate) close: CloseCode,
    pub(crate) reason: &'static str,
}

impl Refusal {
    /// Whether the client broke a rule of the socket; `None` where it is simply gone.
    pub(crate) fn of(error: &tungstenite::Error) -> Option<Self> {
        match error {
            tungstenite::Error::Capacity(_) => Some(Self {
                error: Error::new(ErrorCode::TooLarge, "the frame is longer than max_frame"),
                close: CloseCode::TooLarge,
                reason: "frame too large",
            }),
            tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
            tungstenite::Error::Protocol(_) | tungstenite::Error::Utf8(_) => Some(Self {
                error: Error::bad_request(format!("the frame breaks the WebSocket protocol: {error}")),
                close: CloseCode::ProtocolError,
                reason: "protocol error",
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::error::CapacityError;

    use super::*;

    #[test]
    fn socket_error_of_the_client_names_its_close_code() {
        let close = |error| Refusal::of(&error).map(|refusal| refusal.close);
        let too_long = CapacityError::MessageTooLong { size: 9, max_size: 8 };
        assert_eq!(close(tungstenite::Error::Capacity(too_long)), Some(CloseCode::TooLarge));
        let unmasked = ProtocolError::UnmaskedFrameFromClient;
        assert_eq!(close(tungstenite::Error::Protocol(unmasked)), Some(CloseCode::ProtocolError));
        assert_eq!(close(tungstenite::Error::Utf8("x".into())), Some(CloseCode::ProtocolError));
        let reset = ProtocolError::ResetWithoutClosingHandshake;
        assert_eq!(close(tungstenite::Error::Protocol(reset)), None);
        assert_eq!(close(tungstenite::Error::ConnectionClosed), None);
    }
}
