//! One who holds messages, then confirms them, rolls them back, or leaves them to run out.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use roomkeeper_client::{Error, Room};
use roomkeeper_protocol::{Data, NewMessage};
use roomkeeper_types::{MessageId, Offset};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::tally::refused;
use crate::history::event::{Content, Event, Id};
use crate::history::holds::{HoldInvoke, HoldOk, SettleInvoke, Word};
use crate::history::{At, Recorder};

/// Tries of a word whose outcome stays unknown.
const TRIES: u32 = 8;
/// Between two holds.
const PAUSE_MS: std::ops::RangeInclusive<u64> = 100..=350;
/// A hold that is left alone runs out after this.
const SHORT_MS: std::ops::RangeInclusive<u64> = 500..=1_000;
/// Others would only run out long after the run.
const LONG: Duration = Duration::from_secs(600);
/// From the end of a hold's time until it is looked for: it must be gone, by whatever clock.
const GONE_AFTER: Duration = Duration::from_millis(300);
/// Holds that stay open to the end.
const OPEN: usize = 3;

/// One who holds.
pub(super) struct Holder {
    recorder: Recorder,
    /// With little patience, so that what is asked when an owner dies ends unknown.
    room: Room,
    rng: StdRng,
    /// Holds left alone, and when they are to be looked for.
    alone: Vec<(Held, Instant)>,
    left: Left,
}

/// A hold that was taken, or may have been.
struct Held {
    hold: Id,
    messages: Vec<NewMessage>,
}

/// What is left at the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Left {
    /// Messages that are held.
    pub(super) open: BTreeSet<MessageId>,
    /// Messages of which nobody knows whether they are.
    pub(super) perhaps: BTreeSet<MessageId>,
}

impl Holder {
    pub(super) fn new(recorder: Recorder, room: Room, rng: StdRng) -> Self {
        Self { recorder, room, rng, alone: Vec::new(), left: Left::default() }
    }

    /// Runs until it is stopped, and until what was left alone has run out.
    pub(super) async fn run(mut self, stop: watch::Receiver<bool>) -> Left {
        let mut opened = 0;
        while !*stop.borrow() {
            match self.rng.random_range(0..10) {
                0 | 1 if opened < OPEN => {
                    opened += 1;
                    self.open().await;
                }
                0..4 => self.leave_alone().await,
                4..7 => self.settle(Word::Confirm).await,
                _ => self.settle(Word::Rollback).await,
            }
            self.look_for_those_alone(Instant::now()).await;
            sleep(Duration::from_millis(self.rng.random_range(PAUSE_MS))).await;
        }
        if let Some(last) = self.alone.iter().map(|(_, at)| *at).max() {
            sleep_until(last).await;
            self.look_for_those_alone(last).await;
        }
        self.left
    }

    async fn open(&mut self) {
        let (held, taken) = self.hold(LONG).await;
        self.leave(&held, taken);
    }

    /// Notes what may be open in the end.
    fn leave(&mut self, held: &Held, is_open: bool) {
        let ids = held.messages.iter().map(|message| message.id);
        if is_open { self.left.open.extend(ids) } else { self.left.perhaps.extend(ids) }
    }

    async fn leave_alone(&mut self) {
        let time = Duration::from_millis(self.rng.random_range(SHORT_MS));
        let (held, taken) = self.hold(time).await;
        if !taken {
            self.leave(&held, false);
        }
        // Its time begins when it is stored, which was before the answer.
        self.alone.push((held, Instant::now() + time + GONE_AFTER));
    }

    async fn look_for_those_alone(&mut self, now: Instant) {
        let (due, alone) = std::mem::take(&mut self.alone).into_iter().partition(|(_, at)| *at <= now);
        self.alone = alone;
        let due: Vec<(Held, Instant)> = due;
        for (held, _) in due {
            if !self.say(&held, Word::Confirm).await {
                self.leave(&held, false);
            }
        }
    }

    /// Holds messages and gives the word; then now and then once more, and what can no longer be.
    async fn settle(&mut self, word: Word) {
        let (held, taken) = self.hold(LONG).await;
        self.think().await;
        let known = self.say(&held, word).await;
        if known && self.rng.random_bool(0.3) {
            let too_late = if word == Word::Confirm { Word::Rollback } else { Word::Confirm };
            self.say(&held, word).await;
            self.say(&held, too_late).await;
        }
        // What was not known to be taken may be taken late.
        if !known || !taken {
            self.leave(&held, false);
        }
    }

    async fn think(&mut self) {
        sleep(Duration::from_millis(self.rng.random_range(0..200))).await;
    }

    /// Holds one to three messages; whether they are known to be held.
    async fn hold(&mut self, time: Duration) -> (Held, bool) {
        let hold = self.recorder.new_id();
        let count = self.rng.random_range(1..=3);
        let messages: Vec<NewMessage> = (0..count)
            .map(|part| {
                let text = format!(r#"{{"hold":{},"part":{part}}}"#, hold.0);
                NewMessage { id: MessageId(self.rng.random()), data: Data::Json(text.into()), sent: None }
            })
            .collect();
        for _ in 0..TRIES {
            let op = self.recorder.new_id();
            let (room, ms) = (self.room.name().clone(), u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            let contents = messages.iter().map(Content::from).collect();
            self.recorder.record(Event::HoldInvoke(HoldInvoke { op, hold, room, ms, messages: contents }));
            match self.room.hold(messages.clone(), time).await {
                Ok(ok) => {
                    let at_wall = |at: roomkeeper_types::Timestamp| -> At {
                        self.recorder.at_wall(at.millis().saturating_mul(1_000))
                    };
                    let (expires, offsets) = (ok.expires.map(at_wall), Vec::new());
                    self.recorder.record(Event::HoldOk(HoldOk { op, offsets, expires }));
                    return (Held { hold, messages }, true);
                }
                Err(error) => {
                    let is_known = is_known(&error);
                    self.recorder.record(refused(op, &error));
                    if is_known {
                        break;
                    }
                }
            }
        }
        (Held { hold, messages }, false)
    }

    /// Says what becomes of a hold, again while nobody knows; whether it is known in the end.
    async fn say(&self, held: &Held, word: Word) -> bool {
        let ids: Vec<MessageId> = held.messages.iter().map(|message| message.id).collect();
        for _ in 0..TRIES {
            let (op, hold) = (self.recorder.new_id(), held.hold);
            self.recorder.record(Event::SettleInvoke(SettleInvoke { op, hold, word }));
            let said: Result<Vec<Offset>, Error> = match word {
                Word::Confirm => self.room.confirm(ids.clone()).await.map(|ok| ok.offsets),
                Word::Rollback => self.room.rollback(ids.clone()).await.map(|()| Vec::new()),
            };
            match said {
                Ok(offsets) => {
                    self.recorder.record(Event::HoldOk(HoldOk { op, offsets, expires: None }));
                    return true;
                }
                Err(error) => {
                    let is_known = is_known(&error);
                    self.recorder.record(refused(op, &error));
                    if is_known {
                        return true;
                    }
                }
            }
        }
        false
    }
}

fn is_known(error: &Error) -> bool {
    error.code().is_some_and(|code| !code.is_unknown())
}
