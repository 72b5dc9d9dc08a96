//! From a suspicion to a new leader of every group that the suspect led.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use roomkeeper_consensus::GroupId;
use roomkeeper_types::NodeId;

use super::accuse::Led;
use super::backoff::Patience;
use super::verdict::{Verdict, judge};
use crate::events::{Event, EventKind};
use crate::node::Shared;
use crate::pings::Suspicion;

/// A new leader is there after so long, or the round is repeated.
const ROUND_PAUSE: Duration = Duration::from_millis(40);
/// So often another node's accusation is reason to ask again at once: who sees a process die a moment before the others
/// finds nobody who agrees, and should not be late for that. Each of them nudges the others, so that it has an end.
const NUDGES: usize = 3;
/// Rounds are never closer than this.
const ROUND_MIN: Duration = Duration::from_millis(2);
/// Rounds in a row. After that Raft's timers are faster than trying harder; a suspect that still leads something
/// is looked at again after [`REST`].
const ROUNDS: usize = 5;
const REST: Duration = Duration::from_millis(500);

/// Pursues every suspect until nothing is led by it here or it is suspected no more. One task per suspect at a
/// time.
pub(crate) async fn pursue_suspects(shared: Arc<Shared>) {
    let mut changes = shared.pings.changes();
    let patience = Mutex::new(Patience::default());
    let mut pursued = BTreeSet::new();
    let mut pursuits = FuturesUnordered::new();
    loop {
        for suspicion in shared.pings.suspicions() {
            if pursued.insert(suspicion.node) {
                let (shared, patience) = (shared.clone(), &patience);
                pursuits.push(async move {
                    pursue(&shared, suspicion, patience).await;
                    suspicion.node
                });
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            Some(node) = pursuits.next() => { pursued.remove(&node); }
        }
    }
}

/// What a round came to.
enum Round {
    /// The suspect leads nothing here.
    Done,
    /// Some group has no new leader yet.
    Again,
    /// Others hear the suspect.
    Alive,
}

async fn pursue(shared: &Shared, suspicion: Suspicion, patience: &Mutex<Patience>) {
    let Suspicion { node, cause, since, known } = suspicion;
    let tell = |event: Event| match known {
        true => shared.events.record(Event { from: Some(node), ..event }),
        // A node that was not there yet when this one started.
        false => tracing::debug!(%node, reason = event.reason, "suspicion"),
    };
    tell(Event::new(EventKind::Suspicion, format!("{node} is suspected: {cause}")));
    let (mut rounds, mut nudges) = (0, NUDGES);
    while let Some(now) = shared.pings.suspicion(node) {
        let accused = shared.failover.accused.notified();
        let pause = match round(shared, now).await {
            Round::Done => REST,
            Round::Again => {
                rounds += 1;
                if rounds % ROUNDS == 0 { REST } else { ROUND_PAUSE }
            }
            Round::Alive => patience.lock().was_alive(node, Instant::now()),
        };
        let mut changes = shared.pings.changes();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // Another node suspects it too by now.
            () = accused, if nudges > 0 || pause > ROUND_PAUSE => {
                tokio::time::sleep(if nudges > 0 { ROUND_MIN } else { ROUND_PAUSE }).await;
                nudges = nudges.saturating_sub(1);
            }
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
    let event = Event::new(EventKind::Suspicion, format!("{node} is not suspected any more"));
    tell(Event { duration: Some(since.elapsed()), ..event });
}

/// Asks once and does what follows, for all groups of the suspect.
async fn round(shared: &Shared, suspicion: Suspicion) -> Round {
    let suspect = suspicion.node;
    let led = shared.led_by(suspect);
    if led.is_empty() {
        return Round::Done;
    }
    let heard = shared.hear_voters(suspect, &led).await;
    // It may have spoken meanwhile, or it was this node that slept.
    if shared.pings.suspicion(suspect).is_none() {
        return Round::Done;
    }
    let none = BTreeMap::new();
    let mut alive = false;
    let mut mine = Vec::new();
    for led in &led {
        let said = heard.get(&led.group.id()).unwrap_or(&none);
        let verdict = judge(led.group.replica(), led.epoch, &led.status.voters, said);
        tracing::debug!(group = %led.group.id(), epoch = %led.epoch, %suspect, ?verdict, "leader suspected");
        match verdict {
            Verdict::TakeOver => mine.push(led),
            Verdict::Alive(_) => alive = true,
            Verdict::LeaveTo(_) | Verdict::Past(_) | Verdict::NoMajority => {}
        }
    }
    let campaigns = mine.into_iter().map(|led| take_over(shared, suspicion, suspect, led));
    join_all(campaigns).await;
    if alive { Round::Alive } else { Round::Again }
}

async fn take_over(shared: &Shared, suspicion: Suspicion, suspect: NodeId, led: &Led) {
    let group = led.group.id();
    let reason = format!("took over from {suspect}: {}", suspicion.cause);
    if let GroupId::Shard(shard) = group {
        shared.failover.set_reason(shard, reason.clone(), suspicion.since);
    }
    match led.group.take_over(led.epoch).await {
        Ok(()) if group == GroupId::Meta => {
            let event = Event::new(EventKind::Election, format!("meta: campaigns, {reason}"));
            let (from, to) = (Some(suspect), Some(shared.identity.node));
            shared.events.record(Event { epoch: Some(led.epoch), from, to, ..event });
        }
        Ok(()) => {}
        Err(error) => tracing::debug!(%group, %error, "not taken over"),
    }
}
