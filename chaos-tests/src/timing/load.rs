//! As much load as goes in, and nothing is done to the cluster: nobody may take a busy node for a dead one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use roomkeeper_client::{Client, ClientConfig, message};
use roomkeeper_protocol::Data;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::figures::Row;
use crate::cluster::{Cluster, Setup};

const ROOMS: usize = 8;
/// Publishes under way of each room.
const WINDOW: usize = 512;
/// Placement may still be moving when the nodes are ready.
const SETTLE: Duration = Duration::from_secs(2);

pub(super) async fn run(setup: Setup, seconds: usize) -> Result<Vec<Row>> {
    let cluster = Cluster::start_with(setup).await?;
    sleep(SETTLE).await;
    let client = Client::new(ClientConfig { window: WINDOW, ..crate::admission::config(cluster.urls()) })?;
    let (stop, stopped) = watch::channel(false);
    let (acked, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let before = cluster.epochs().await?;
    let mut writers = Vec::new();
    for n in 0..ROOMS {
        let room = client.room(format!("load-{n}").parse()?);
        let (stopped, acked, failed) = (stopped.clone(), Arc::clone(&acked), Arc::clone(&failed));
        writers.push(tokio::spawn(async move {
            while !*stopped.borrow() {
                // Waits while the window is full.
                let Ok(ticket) = room.publish_pipelined(vec![message(Data::Json("1".into()))]).await else {
                    failed.fetch_add(1, Ordering::Relaxed);
                    return;
                };
                let (acked, failed) = (Arc::clone(&acked), Arc::clone(&failed));
                tokio::spawn(async move {
                    let counter = if ticket.await.is_ok() { acked } else { failed };
                    counter.fetch_add(1, Ordering::Relaxed);
                });
            }
        }));
    }
    let begun = Instant::now();
    sleep(Duration::from_secs(seconds as u64)).await;
    stop.send_replace(true);
    for writer in writers {
        writer.await?;
    }
    let after = cluster.epochs().await?;
    let elections: u64 = after
        .iter()
        .map(|(shard, epoch)| epoch.0.saturating_sub(before.get(shard).map_or(epoch.0, |before| before.0)))
        .sum();
    let acked = acked.load(Ordering::Relaxed);
    println!("  {} acked/s", acked / begun.elapsed().as_secs().max(1));
    Ok(vec![
        Row::Count {
            what: format!("elections in {seconds} s of full load"),
            count: elections,
            of: None,
            wanted: Some(0),
        },
        Row::Count {
            what: "failed publishes".to_owned(),
            count: failed.load(Ordering::Relaxed),
            of: Some(acked),
            wanted: Some(0),
        },
    ])
}
