//! Everybody of the load who does more than to publish and to read messages.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::{Context, Result};
use roomkeeper_client::{Client, ClientConfig, Route};
use roomkeeper_types::RoomName;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::bidder::Bidder;
use super::consumer::{Consumer, note_cursors};
use super::guest::Guests;
use super::holder::{Holder, Left};
use super::visitor::{Visitor, settle};
use super::watcher::Wishes;
use super::{Heads, Plan, all_ended};
use crate::history::Recorder;

/// From a question to its end, for those who want outcomes that nobody knows: shorter than most outages.
const LITTLE_PATIENCE: Duration = Duration::from_millis(1_500);
/// Bidders are writers too; their numbers begin here.
const BIDDERS: u32 = 1_000;

/// Those who run.
#[derive(Debug)]
pub(super) struct Features {
    config: ClientConfig,
    rooms: Vec<RoomName>,
    holders: JoinSet<(RoomName, Left)>,
    consumers: JoinSet<()>,
    others: JoinSet<()>,
}

/// What the subscriber of that number asks for in a room with features: the second one is told of holds and members,
/// one more beside the usual ones of members only. The first one may be one who crashes, and is no member.
pub(super) fn wishes(plan: &Plan, number: u32) -> Wishes {
    let member = (plan.members && number > 0).then(|| format!("{}/{}", plan.user, device(number)));
    Wishes { member, holds: number == 1 }
}

/// The device that this subscriber is on.
pub(super) fn device(number: u32) -> String {
    format!("stay-{number}")
}

impl Features {
    /// Starts them, with clients of these settings.
    pub(super) fn start(
        recorder: &Recorder,
        plan: &Plan,
        config: ClientConfig,
        stopped: &watch::Receiver<bool>,
        heads: &watch::Receiver<Option<Heads>>,
    ) -> Result<Self> {
        let (rooms, urls) = (plan.featured().to_vec(), config.urls.clone());
        let mut all = Self {
            config: config.clone(),
            rooms,
            holders: JoinSet::new(),
            consumers: JoinSet::new(),
            others: JoinSet::new(),
        };
        for (number, room) in all.rooms.iter().enumerate() {
            // Every other one by a relay.
            let route = if number % 2 == 0 { Route::Redirect } else { Route::Proxy };
            let impatient = ClientConfig { deadline: LITTLE_PATIENCE, route, ..config.clone() };
            let client = Client::new(impatient.clone())?;
            let holder = Holder::new(recorder.clone(), client.room(room.clone()), plan.rng("holder", number));
            let (name, stop) = (room.clone(), stopped.clone());
            all.holders.spawn(async move { (name, holder.run(stop).await) });
            let rng = plan.rng("consumer", number);
            let consumer = Consumer::new(recorder.clone(), client.clone(), room.clone(), rng);
            all.consumers.spawn(consumer.run(heads.clone()));
            let bidder = BIDDERS + u32::try_from(number)?;
            let rng = plan.rng("bidder", number);
            let bidder = Bidder::new(bidder, recorder.clone(), client, room.clone(), rng);
            all.others.spawn(bidder.run(stopped.clone()));
            if plan.members {
                let (room, rng) = (room.clone(), plan.rng("visitor", number));
                let visitor = Visitor { recorder: recorder.clone(), config: impatient, room, rng };
                all.others.spawn(visitor.run(stopped.clone()));
            }
        }
        if plan.guests
            && let [own, .., other] = plan.rooms.as_slice()
        {
            let (recorder, own, other) = (recorder.clone(), own.clone(), other.clone());
            let guests = Guests { recorder, urls, own, other, rng: plan.rng("guests", 0) };
            all.others.spawn(guests.run(stopped.clone()));
        }
        Ok(all)
    }

    /// Waits for those who were told to stop; what is held in the end.
    pub(super) async fn stopped(&mut self) -> Result<HashMap<RoomName, Left>> {
        let mut left = HashMap::new();
        while let Some(ended) = self.holders.join_next().await {
            let (room, held) = ended.context("a holder ended by itself")?;
            left.insert(room, held);
        }
        all_ended(&mut self.others).await?;
        Ok(left)
    }

    /// Waits until nodes know who is there, and notes it. Those who stay are still there.
    pub(super) async fn settle(&self, recorder: &Recorder, client: &Client, stayed: u32) -> Result<()> {
        let user = self.config.user.as_ref().map_or("anonymous", |user| user.as_str());
        let stayed: BTreeSet<String> =
            (1..=stayed).map(|number| format!("{user}/{}", device(number))).collect();
        for room in &self.rooms {
            let settled = settle(recorder, &self.config, client, room, &stayed).await;
            settled.with_context(|| format!("nobody says who is in room {room}"))?;
        }
        Ok(())
    }

    /// Waits until consumers have all there is, and notes their cursors.
    pub(super) async fn end(mut self, recorder: &Recorder, client: &Client) -> Result<()> {
        all_ended(&mut self.consumers).await?;
        note_cursors(recorder, client, &self.rooms).await.context("a cursor cannot be read")
    }
}
