//! A way to a node that can be closed: connections stay open, and nothing comes through any more.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Gate {
    /// Of the node, by this way.
    pub(crate) url: String,
    closed: watch::Sender<bool>,
}

impl Gate {
    /// A way to the node at `url`.
    pub(crate) async fn before(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gate = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            closed: watch::Sender::new(false),
        };
        let (node, closed) = (url.strip_prefix("http://").unwrap().to_owned(), gate.closed.subscribe());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = TcpStream::connect(&node).await.unwrap().into_split();
                tokio::spawn(pass(near_read, far_write, closed.clone()));
                tokio::spawn(pass(far_read, near_write, closed.clone()));
            }
        });
        gate
    }

    /// Nothing comes through from now on.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, closed: watch::Receiver<bool>) {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut bytes).await;
        if *closed.borrow() {
            // Both ends stay open.
            return std::future::pending().await;
        }
        match read {
            Ok(0) | Err(_) => return,
            Ok(read) => to.write_all(&bytes[..read]).await.unwrap(),
        }
    }
}
