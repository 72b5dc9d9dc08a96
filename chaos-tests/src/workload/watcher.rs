//! Notes what a subscriber of a room is sent, until it has everything below the head. One that is told of holds stays
//! until it knows which are open, too.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use rand::RngExt;
use rand::rngs::StdRng;
use roomkeeper_client::{Client, Error, Event as Told, SubscribeOptions, Subscription};
use roomkeeper_protocol::{From, Isolation, JoinOk};
use roomkeeper_types::{MessageId, Offset, RoomName};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::{End, Heads, company};
use crate::history::Recorder;
use crate::history::event::{Content, Event, Id, Place, Seen};
use crate::history::presence::MemberJoin;

/// How long a subscriber may take to reach the head once nothing is published any more.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(30);

/// What a subscriber asks for.
#[derive(Clone)]
pub(super) struct Wishes {
    /// Who it is as a member that is told of the others, `user/device`; `None`: it is told of nobody.
    pub(super) member: Option<String>,
    /// Whether it is told of holds.
    pub(super) holds: bool,
}

/// A subscriber.
pub(super) struct Watcher {
    recorder: Recorder,
    client: Client,
    room: RoomName,
    wishes: Wishes,
    member: Option<Id>,
    /// Held messages, as far as it was told.
    open: BTreeSet<MessageId>,
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

pub(super) fn place(ok: &JoinOk) -> Place {
    Place { from: ok.from, head: ok.next, owner: ok.owner, epoch: ok.epoch }
}

impl Watcher {
    /// Joins from the beginning on.
    pub(super) async fn join(
        recorder: Recorder,
        client: Client,
        room: RoomName,
        wishes: Wishes,
    ) -> Result<Self, Error> {
        Self::join_at(recorder, client, room, wishes, From::Beginning).await
    }

    async fn join_at(
        recorder: Recorder,
        client: Client,
        room: RoomName,
        wishes: Wishes,
        from: From,
    ) -> Result<Self, Error> {
        let (sub, asked) = (recorder.new_id(), Some(recorder.now()));
        let member = wishes.member.clone().map(|name| {
            let member = recorder.new_id();
            recorder.record(Event::MemberJoin(MemberJoin { member, room: room.clone(), name }));
            member
        });
        let isolation = if wishes.holds { Isolation::Uncommitted } else { Isolation::Committed };
        let presence = member.map(|_| true);
        let options = SubscribeOptions { from, isolation, presence, ..SubscribeOptions::default() };
        let subscription = client.room(room.clone()).subscribe(options).await?;
        let (place, room_joined) = (place(subscription.joined()), room.clone());
        let (following, sees_holds) = (None, wishes.holds);
        recorder.record(Event::SubOk { sub, room: room_joined, asked, place, following, sees_holds });
        if let Some(member) = member {
            recorder.record(Event::MemberIn { member, sub: Some(sub) });
        }
        let (next, open) = (place.from, BTreeSet::new());
        Ok(Self { recorder, client, room, wishes, member, open, sub, next, subscription })
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
        let mut head: Option<End> = None;
        let mut crash = crash_time(churn, &mut rng);
        let error = loop {
            if head.as_ref().is_some_and(|end| self.has_all(end)) {
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
                    head = known.as_ref().and_then(|heads| heads.get(&self.room).cloned());
                    crash = None;
                }
                Step::Crash => {
                    let Self { recorder, client, room, wishes, .. } = self;
                    drop(self.subscription);
                    let from = From::Offset(self.next);
                    match Self::join_at(recorder.clone(), client, room, wishes, from).await {
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
        if let Some(member) = self.member {
            self.recorder.record(Event::MemberOut { member });
        }
    }

    /// Whether it was told all there is.
    fn has_all(&self, end: &End) -> bool {
        let knows_holds = || {
            let may_be = |id: &MessageId| end.open.contains(id) || end.perhaps_open.contains(id);
            end.open.is_subset(&self.open) && self.open.iter().all(may_be)
        };
        self.next >= end.head && (!self.wishes.holds || knows_holds())
    }

    fn note(&mut self, told: Told) {
        let sub = self.sub;
        let event = match told {
            Told::Items(items) => {
                self.next = items.last().map_or(self.next, |item| self.next.max(item.offset.next()));
                self.open.retain(|id| items.iter().all(|item| item.id != *id));
                Event::Deliver { sub, items: items.iter().map(Seen::from).collect() }
            }
            Told::Reconnected(ok) => {
                self.open.clear();
                Event::ResumeOk { sub, place: place(&ok) }
            }
            Told::Held { items, .. } => {
                self.open.extend(items.iter().map(|item| item.id));
                Event::Held { sub, messages: items.iter().map(Content::from).collect() }
            }
            Told::RolledBack(ids) => {
                self.open.retain(|id| !ids.contains(id));
                Event::RolledBack { sub, ids }
            }
            Told::Presence(told) => Event::Presence { sub, company: company(&told) },
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
