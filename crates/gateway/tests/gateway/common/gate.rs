//! A way to a node that can be closed, or held up in one direction: connections stay open, and nothing comes through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Gate {
    /// Of the node, by this way.
    pub(crate) url: String,
    /// To the node.
    pub(crate) there: Direction,
    /// From it.
    pub(crate) back: Direction,
}

/// One direction of all connections through a gate.
#[derive(Clone)]
pub(crate) struct Direction {
    state: watch::Sender<State>,
    passed: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Held,
    Closed,
}

impl Gate {
    /// A way to the node at `url`.
    pub(crate) async fn before(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gate = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            there: Direction::new(),
            back: Direction::new(),
        };
        let node = url.strip_prefix("http://").unwrap().to_owned();
        let (there, back) = (gate.there.clone(), gate.back.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = TcpStream::connect(&node).await.unwrap().into_split();
                tokio::spawn(there.clone().pass(near_read, far_write));
                tokio::spawn(back.clone().pass(far_read, near_write));
            }
        });
        gate
    }

    /// Nothing comes through from now on, for ever.
    pub(crate) fn close(&self) {
        self.there.state.send_replace(State::Closed);
        self.back.state.send_replace(State::Closed);
    }
}

impl Direction {
    fn new() -> Self {
        Self { state: watch::Sender::new(State::Open), passed: Arc::default() }
    }

    /// What comes waits from now on.
    pub(crate) fn hold(&self) {
        self.state.send_replace(State::Held);
    }

    /// What was held comes through, and what comes from now on.
    pub(crate) fn let_go(&self) {
        self.state.send_replace(State::Open);
    }

    /// Bytes that came through so far.
    pub(crate) fn passed(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }

    async fn pass(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut state = self.state.subscribe();
        let mut bytes = vec![0; 16 << 10];
        loop {
            let read = from.read(&mut bytes).await;
            let now = *state.wait_for(|state| *state != State::Held).await.unwrap();
            if now == State::Closed {
                // Both ends stay open.
                return std::future::pending().await;
            }
            match read {
                Ok(0) | Err(_) => return,
                Ok(read) => {
                    // Counted first: who has received them finds them counted.
                    self.passed.fetch_add(read, Ordering::Relaxed);
                    to.write_all(&bytes[..read]).await.unwrap();
                }
            }
        }
    }
}
