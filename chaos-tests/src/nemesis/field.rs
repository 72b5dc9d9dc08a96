//! What nemeses work on.

use std::time::{Duration, Instant};

use anyhow::Result;
use rand::rngs::StdRng;
use roomkeeper_types::RoomName;
use tokio::time::sleep;

use crate::cluster::Cluster;
use crate::history::Recorder;
use crate::process::log_tail;

/// Count of nodes that ended though nothing entitled them to.
pub const ENDED: &str = "ended_by_themselves";

const POLL: Duration = Duration::from_millis(10);

/// A cluster under load, and what a nemesis needs beside it.
#[derive(Debug)]
pub struct Field {
    /// The cluster.
    pub cluster: Cluster,
    /// Decides everything random of the faults.
    pub rng: StdRng,
    /// Rooms with load: an owner is chosen as the owner of one of them.
    pub rooms: Vec<RoomName>,
    /// Where faults are noted.
    pub recorder: Recorder,
}

impl Field {
    /// Tells whoever watches the run what is done.
    pub fn say(&self, what: impl AsRef<str>) {
        println!("  {:>10}  {}", self.recorder.now().to_string(), what.as_ref().trim_end());
    }

    /// Starts the nodes again that have ended by themselves where no fault entitled them to, and counts them as
    /// `ended_by_themselves`.
    ///
    /// # Errors
    /// As [`Field::restart`].
    pub async fn revive(&mut self) -> Result<()> {
        let all: Vec<usize> = (0..self.cluster.size()).collect();
        let ended = self.ended(&all)?;
        for k in &ended {
            self.say(format!(
                "node {k} had ended by itself; its log ends:\n{}",
                log_tail(self.cluster.log(*k), 5)
            ));
            self.recorder.count(ENDED, 1);
        }
        if ended.is_empty() { Ok(()) } else { self.restart().await }
    }

    /// Starts the nodes again that do not run, and waits until all are ready.
    ///
    /// # Errors
    /// One does not start, or is not ready in time.
    pub async fn restart(&mut self) -> Result<()> {
        self.cluster.start_all().await
    }

    /// Waits until one of these nodes has ended by itself; which one, and after how long.
    ///
    /// # Errors
    /// The system does not say how it ended.
    pub async fn ended_within(
        &mut self,
        nodes: &[usize],
        limit: Duration,
    ) -> Result<Option<(usize, Duration)>> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            for k in nodes {
                if self.cluster.take_ended(*k)?.is_some() {
                    return Ok(Some((*k, begun.elapsed())));
                }
            }
            sleep(POLL).await;
        }
        Ok(None)
    }

    /// Of these nodes, the ones that have ended by themselves meanwhile.
    ///
    /// # Errors
    /// The system does not say how one ended.
    pub fn ended(&mut self, nodes: &[usize]) -> Result<Vec<usize>> {
        let mut ended = Vec::new();
        for k in nodes {
            if self.cluster.take_ended(*k)?.is_some() {
                ended.push(*k);
            }
        }
        Ok(ended)
    }
}
