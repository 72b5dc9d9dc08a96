//! Clients without the SDK: they follow redirects and `moved`, and retry nothing. Whatever else they are answered
//! is a failure.

mod ready;
mod rest;
mod room_socket;
mod session_socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use roomkeeper_types::MessageId;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

pub(crate) use ready::Ready;

/// A publisher's pause between two publishes.
const PAUSE: Duration = Duration::from_millis(30);
/// Redirects followed for one publish.
const HOPS_MAX: usize = 4;

/// How a client publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Way {
    Rest,
    RoomSocket,
    SessionSocket,
}

/// What a publisher went through.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) way: Way,
    pub(crate) room: String,
    /// Ids and offsets, in the order of the acks.
    pub(crate) acked: Vec<(String, u64)>,
    pub(crate) failed: Vec<String>,
    /// Redirects and `moved` followed, sockets opened again.
    pub(crate) followed: u64,
    /// Sent again over another socket, as the node closed the first one for draining.
    pub(crate) again: u64,
    pub(crate) longest: Duration,
}

/// One message to publish.
struct Message {
    id: String,
    fields: Value,
}

impl Message {
    fn new(room: &str) -> Self {
        let id = MessageId::generate().to_string();
        let fields = json!({ "room": room, "messages": [{ "id": id, "data": "x" }] });
        Self { id, fields }
    }
}

/// A client that publishes, and counts what it follows.
trait Publisher: Send {
    /// Publishes; the reply's `ok`.
    async fn publish(&mut self, message: &Message, report: &mut Report) -> Result<Value>;
}

/// Publishers that run until they are told to stop.
pub(crate) struct Publishers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Report>>,
}

impl Publishers {
    /// Starts one of each kind for each room.
    pub(crate) fn start(ready: &Ready, rooms: &[String]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for room in rooms {
            let stop = || Arc::clone(&stop);
            tasks.push(tokio::spawn(run(
                Way::Rest,
                room.clone(),
                rest::Rest::new(ready.clone(), room),
                stop(),
            )));
            let socket = room_socket::RoomSocket::new(ready.clone(), room);
            tasks.push(tokio::spawn(run(Way::RoomSocket, room.clone(), socket, stop())));
            let socket = session_socket::SessionSocket::new(ready.clone());
            tasks.push(tokio::spawn(run(Way::SessionSocket, room.clone(), socket, stop())));
        }
        Self { stop, tasks }
    }

    /// Stops them and returns what they went through.
    pub(crate) async fn finish(self) -> Vec<Report> {
        self.stop.store(true, Ordering::Relaxed);
        let mut reports = Vec::new();
        for task in self.tasks {
            reports.push(task.await.expect("a publisher does not panic"));
        }
        reports
    }
}

async fn run(way: Way, room: String, mut publisher: impl Publisher, stop: Arc<AtomicBool>) -> Report {
    let (acked, failed) = (Vec::new(), Vec::new());
    let mut report = Report { way, room, acked, failed, followed: 0, again: 0, longest: Duration::ZERO };
    while !stop.load(Ordering::Relaxed) {
        let message = Message::new(&report.room);
        let begun = Instant::now();
        match publisher.publish(&message, &mut report).await {
            Ok(ok) => match ok["offsets"][0].as_u64() {
                Some(offset) => report.acked.push((message.id, offset)),
                None => report.failed.push(format!("no offset: {ok}")),
            },
            Err(error) => report.failed.push(format!("{error:#}")),
        }
        report.longest = report.longest.max(begun.elapsed());
        sleep(PAUSE).await;
    }
    report
}
