//! Notes what a subscriber of a room is sent, until it has everything below the head.

use std::time::Duration;

use futures::StreamExt;
use rand::RngExt;
use rand::rngs::StdRng;
use roomkeeper_client::{Client, Error, Event as Told, Subscription};
use roomkeeper_protocol::{From, JoinOk};
use roomkeeper_types::{Offset, RoomName};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::Heads;
use crate::history::Recorder;
use crate::history::event::{Event, Id, Place, Seen};

/// How long a subscriber may take to reach the head once nothing is published any more.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(30);

/// A subscriber.
pub(super) struct Watcher {
    recorder: Recorder,
    client: Client,
    room: RoomName,
    sub: Id,
    subscription: Subscription,
    /// The offset that has to come next.
    next: Offset,
}

/// What a subscriber waits for.
enum Step {
    Told(Option<Result<Told, Error>>),
    Late,
    Head,
    Crash,
}

fn place(ok: &JoinOk) -> Place {
    Place { from: ok.from, head: ok.next, owner: ok.owner, epoch: ok.epoch }
}

impl Watcher {
    /// Joins from the beginning on.
    pub(super) async fn join(recorder: Recorder, client: Client, room: RoomName) -> Result<Self, Error> {
        Self::join_at(recorder, client, room, From::Beginning).await
    }

    async fn join_at(recorder: Recorder, client: Client, room: RoomName, from: From) -> Result<Self, Error> {
        let (sub, asked) = (recorder.new_id(), Some(recorder.now()));
        let subscription = client.room(room.clone()).subscribe(from).await?;
        let (place, room_joined) = (place(subscription.joined()), room.clone());
        recorder.record(Event::SubOk { sub, room: room_joined, asked, place });
        Ok(Self { recorder, client, room, sub, next: place.from, subscription })
    }

    /// Runs until it has reached the head that is made known in the end. With `churn` it crashes now and then,
    /// after about that long, and another subscriber goes on where it was.
    pub(super) async fn run(
        mut self,
        churn: Option<Duration>,
        mut rng: StdRng,
        patience: Duration,
        mut heads: watch::Receiver<Option<Heads>>,
    ) {
        let mut head = None;
        let mut crash = crash_time(churn, &mut rng);
        let error = loop {
            if head.is_some_and(|head| self.next >= head) {
                break None;
            }
            // While the load goes on, a room may be silent for as long as an outage lasts.
            let patience = if head.is_some() { CATCH_UP_LIMIT } else { patience };
            let step = tokio::select! {
                changed = heads.changed(), if head.is_none() => {
                    if changed.is_err() {
                        break Some("the run was given up".to_owned());
                    }
                    Step::Head
                }
                () = sleep_until(crash.unwrap_or_else(Instant::now)), if crash.is_some() => Step::Crash,
                told = timeout(patience, self.subscription.next()) => told.map_or(Step::Late, Step::Told),
            };
            match step {
                Step::Head => {
                    let known = heads.borrow_and_update();
                    head = known.as_ref().and_then(|heads| heads.get(&self.room).copied());
                    crash = None;
                }
                Step::Crash => {
                    let (recorder, client, room) = (self.recorder, self.client, self.room);
                    drop(self.subscription);
                    let from = From::Offset(self.next);
                    match Self::join_at(recorder.clone(), client, room, from).await {
                        Ok(next) => self = next,
                        Err(error) => {
                            let error = Some(format!("could not go on: {error}"));
                            recorder.record(Event::SubEnd { sub: self.sub, error });
                            return;
                        }
                    }
                    crash = crash_time(churn, &mut rng);
                }
                Step::Told(Some(Ok(told))) => self.note(told),
                Step::Told(Some(Err(Error::Gap { expected, got }))) => {
                    let why = "the server skipped messages".to_owned();
                    self.recorder.record(Event::Gap { sub: self.sub, expected, got: Some(got), why });
                    break Some("the client gave up after a gap".to_owned());
                }
                Step::Told(Some(Err(error))) => break Some(error.to_string()),
                Step::Told(None) => break Some("the subscription ended".to_owned()),
                Step::Late => break Some(format!("nothing more came for {patience:?}")),
            }
        };
        self.recorder.record(Event::SubEnd { sub: self.sub, error });
    }

    fn note(&mut self, told: Told) {
        let sub = self.sub;
        let event = match told {
            Told::Items(items) => {
                self.next = items.last().map_or(self.next, |item| self.next.max(item.offset.next()));
                Event::Deliver { sub, items: items.iter().map(Seen::from).collect() }
            }
            Told::Reconnected(ok) => Event::ResumeOk { sub, place: place(&ok) },
            Told::Moved(hint) => Event::Redirect { sub, owner: hint.node, epoch: hint.epoch },
            // Not asked for.
            _ => return,
        };
        self.recorder.record(event);
    }
}

/// Half to one and a half times as long from now.
fn crash_time(churn: Option<Duration>, rng: &mut StdRng) -> Option<Instant> {
    churn.map(|churn| Instant::now() + churn.mul_f64(rng.random_range(0.5..1.5)))
}
