//! An owner with thousands of subscribers is killed: all come back, and each is sent every message once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use roomkeeper_client::{Client, ClientConfig, Event, Subscription, message};
use roomkeeper_protocol::{Data, From};
use roomkeeper_types::{Offset, RoomName};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::figures::{Figures, Limits, Row};
use crate::cluster::{Cluster, Setup};

const SESSIONS: usize = 2_000;
/// Joined at a time, so that the start is no storm of its own.
const AT_ONCE: usize = 50;
/// Between two messages of the room.
const PUBLISH: Duration = Duration::from_millis(200);
/// The room is written to for so long after the kill.
const AFTER: Duration = Duration::from_secs(8);
/// A session that has not seen the last message by then has missed it.
const END_LIMIT: Duration = Duration::from_secs(30);

/// What one session went through.
#[derive(Debug, Default)]
struct Session {
    resumed: Option<Instant>,
    missed: u64,
    repeated: u64,
}

pub(super) async fn run(setup: Setup, trials: usize) -> Result<Vec<Row>> {
    let (mut times, mut missed, mut repeated, mut resumed) = (Figures::default(), 0, 0, 0);
    for trial in 1..=trials {
        let mut cluster = Cluster::start_with(setup).await?;
        let (killed, sessions) = one(&mut cluster).await?;
        for session in &sessions {
            missed += session.missed;
            repeated += session.repeated;
            if let Some(at) = session.resumed {
                resumed += 1;
                times.add(at.saturating_duration_since(killed));
            }
        }
        println!("  trial {trial}: {} sessions", sessions.len());
    }
    let all = (SESSIONS * trials) as u64;
    let count = |what: &str, count, wanted| Row::Count {
        what: format!("sessions of a killed owner, {what}"),
        count,
        of: Some(all),
        wanted: Some(wanted),
    };
    Ok(vec![
        Row::Times {
            what: "sessions of a killed owner, from the kill to the resumption".to_owned(),
            figures: times,
            limits: Limits { max: Some(Duration::from_secs(5)), ..Limits::default() },
        },
        count("resumed", resumed, all),
        count("messages missed", missed, 0),
        count("messages repeated", repeated, 0),
    ])
}

async fn one(cluster: &mut Cluster) -> Result<(Instant, Vec<Session>)> {
    let room: RoomName = "crowd".parse()?;
    // Publishing goes through a client of its own, whose socket is not one of the sessions'.
    let client = Client::new(crate::admission::config(cluster.urls()))?;
    let writer = Arc::new(client.room(room.clone()));
    writer.publish(vec![message(Data::Json("0".into()))]).await?;
    // What the server skips counts as missed.
    let crowd = Client::new(ClientConfig { fill_holes: false, ..crate::admission::config(cluster.urls()) })?;
    let (end, ended) = watch::channel(None);
    let mut sessions = JoinSet::new();
    let joins = futures::stream::iter((0..SESSIONS).map(|_| crowd.room(room.clone())));
    let mut joins =
        joins.map(|room| async move { room.subscribe(From::Latest).await }).buffer_unordered(AT_ONCE);
    while let Some(subscription) = joins.next().await {
        let subscription = subscription.context("a session cannot join")?;
        sessions.spawn(session(subscription, ended.clone()));
    }
    drop(joins);
    println!("  {SESSIONS} sessions are there");
    let (stop, stopped) = watch::channel(false);
    let publishing = tokio::spawn(publish(Arc::clone(&writer), stopped));
    sleep(PUBLISH * 5).await;
    let victim = cluster.owner_of(&room).await?;
    let killed = Instant::now();
    cluster.kill9(victim).await?;
    sleep(AFTER).await;
    stop.send_replace(true);
    let failed = publishing.await?;
    ensure!(failed == 0, "{failed} publishes failed over all retries");
    let next = client.room_info(&room).await?.next;
    end.send_replace(Some(next));
    Ok((killed, sessions.join_all().await))
}

async fn publish(room: Arc<roomkeeper_client::Room>, stopped: watch::Receiver<bool>) -> u64 {
    let mut failed = 0;
    while !*stopped.borrow() {
        let answer = room.publish(vec![message(Data::Json("1".into()))]).await;
        failed += u64::from(answer.is_err());
        sleep(PUBLISH).await;
    }
    failed
}

/// Reads until the offset before `ended`'s, and notes what came twice or not at all.
async fn session(mut subscription: Subscription, mut ended: watch::Receiver<Option<Offset>>) -> Session {
    let mut seen = Session::default();
    let mut expected = subscription.joined().from;
    let mut last_call: Option<Instant> = None;
    loop {
        let end = *ended.borrow_and_update();
        if let Some(end) = end {
            let called = *last_call.get_or_insert_with(Instant::now);
            if expected >= end {
                return seen;
            }
            if called.elapsed() >= END_LIMIT {
                seen.missed += end.0 - expected.0;
                return seen;
            }
        }
        let event = tokio::select! {
            changed = ended.changed(), if end.is_none() => {
                if changed.is_err() {
                    return seen;
                }
                continue;
            }
            event = timeout(END_LIMIT, subscription.next()) => event,
        };
        match event {
            Ok(Some(Ok(Event::Items(items)))) => {
                for item in items {
                    seen.repeated += u64::from(item.offset < expected);
                    seen.missed += item.offset.0.saturating_sub(expected.0);
                    expected = expected.max(item.offset.next());
                }
            }
            Ok(Some(Ok(Event::Reconnected(_)))) => {
                seen.resumed.get_or_insert_with(Instant::now);
            }
            Ok(Some(Ok(_))) => {}
            // Over: whatever else there was, it was not sent.
            Ok(Some(Err(_)) | None) | Err(_) => {
                seen.missed += end.map_or(1, |end| end.0.saturating_sub(expected.0));
                return seen;
            }
        }
    }
}
