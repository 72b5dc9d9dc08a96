//! The power of all nodes is cut at once: how soon are rooms served again, and is anything lost?

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use roomkeeper_protocol::From;
use roomkeeper_types::{MessageId, Offset};
use tokio::time::sleep;

use super::figures::{Figures, Limits, Row};
use super::probes::{Probes, Seen};
use crate::cluster::{Cluster, READY_LIMIT, Setup};

const ROOMS: usize = 5;
const STEADY: Duration = Duration::from_millis(1_500);
const POLL: Duration = Duration::from_millis(5);
const PAGE: u32 = 1_000;

pub(super) async fn run(setup: Setup, trials: usize) -> Result<Vec<Row>> {
    let mut cluster = Cluster::start_with(setup).await?;
    let probes = Probes::start(cluster.urls(), ROOMS)?;
    let all: Vec<usize> = (0..cluster.size()).collect();
    let (mut served, mut dropped) = (Figures::default(), 0);
    for trial in 1..=trials {
        probes.steady(STEADY, READY_LIMIT).await?;
        let cut = cluster.cut_power(&all).await?;
        dropped += cut.bytes_dropped;
        for k in &all {
            cluster.start_unready(*k)?;
        }
        let back = Instant::now();
        let mut longest = Duration::ZERO;
        for room in probes.rooms() {
            while probes.first_ack(&room, back)?.is_none() {
                cluster.see_that_all_run().await?;
                anyhow::ensure!(back.elapsed() < READY_LIMIT, "room {room} is not served again");
                sleep(POLL).await;
            }
            let first = probes.first_ack(&room, back)?.context("an ack went away")?;
            longest = longest.max(first - back);
        }
        println!("  trial {trial}: {} ms, {} bytes dropped", longest.as_millis(), cut.bytes_dropped);
        served.add(longest);
        cluster.wait_ready().await?;
    }
    let (mut acked, mut lost) = (0, 0);
    for (room, seen) in probes.finish().await? {
        acked += seen.stored.len() as u64;
        lost += missing(&cluster, &room, &seen).await?;
    }
    let max = Some(Duration::from_secs(5));
    Ok(vec![
        Row::Times {
            what: "power cut of all, from the last node's start to an ack in every room".to_owned(),
            figures: served,
            limits: Limits { max, ..Limits::default() },
        },
        Row::Count { what: "acked messages lost".to_owned(), count: lost, of: Some(acked), wanted: Some(0) },
        Row::Count { what: "bytes dropped by the cuts".to_owned(), count: dropped, of: None, wanted: None },
    ])
}

/// Acked messages that are not where their ack said.
async fn missing(cluster: &Cluster, room: &roomkeeper_types::RoomName, seen: &Seen) -> Result<u64> {
    let info = cluster.client().room_info(room).await?;
    let handle = cluster.client().room(room.clone());
    let mut log: HashMap<Offset, MessageId> = HashMap::new();
    let mut at = info.first;
    while at < info.next {
        let page = handle.history(From::Offset(at), PAGE).await?;
        anyhow::ensure!(page.next > at, "history of {room} stands still at {at}");
        at = page.next;
        log.extend(page.items.into_iter().map(|item| (item.offset, item.id)));
    }
    Ok(seen.stored.iter().filter(|(id, offset)| log.get(offset) != Some(id)).count() as u64)
}
