//! The choreography that split NATS JetStream (jepsen-io/nats, nats-server #7567).
//!
//! The nodes are P1, X and P2; of three, one each, of five, X is one. P1 sleeps while X and P2 ack. X loses its power, P2
//! falls asleep; P1 wakes and X comes back: a majority, of which only X has seen what was acked meanwhile, and X
//! has lost whatever it had not synced. In the end P2 wakes. Whoever acked before a majority had synced has lost messages now, or has two
//! histories.

use std::time::Duration;

use anyhow::{Result, ensure};
use rand::seq::SliceRandom;
use tokio::time::sleep;

use super::partition::Shape;
use super::{Done, Field, Nemesis, Partition, Target};
use crate::check::POWER_CUT;
use crate::disk::Disk;

/// How P1 and P2 are taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// SIGSTOP.
    Pause,
    /// Their links are cut.
    Partition,
}

/// The choreography. It ends by itself; [`Nemesis::end`] heals.
#[derive(Debug)]
pub struct PauseKill {
    means: Means,
    /// How long each of the two majorities writes.
    phase: Duration,
    out: Option<Out>,
}

/// Nodes that are out.
#[derive(Debug)]
struct Out {
    nodes: Vec<usize>,
    partition: Option<Partition>,
}

impl PauseKill {
    /// With so long for each majority.
    #[must_use]
    pub const fn new(means: Means, phase: Duration) -> Self {
        Self { means, phase, out: None }
    }

    async fn take_out(&mut self, field: &mut Field, nodes: Vec<usize>) -> Result<()> {
        let mut partition = None;
        match self.means {
            Means::Pause => nodes.iter().try_for_each(|k| field.cluster.pause(*k))?,
            Means::Partition => {
                let cut = partition.insert(Partition::new(Target::All, Shape::Isolate));
                cut.begin(field, &nodes).await?;
            }
        }
        self.out = Some(Out { nodes, partition });
        Ok(())
    }

    async fn let_in(&mut self, field: &mut Field) -> Result<()> {
        let Some(Out { nodes, partition }) = self.out.take() else { return Ok(()) };
        match partition {
            None => nodes.iter().try_for_each(|k| field.cluster.resume(*k)),
            Some(mut cut) => cut.end(field, &nodes).await.map(drop),
        }
    }
}

impl Nemesis for PauseKill {
    fn name(&self) -> &'static str {
        match self.means {
            Means::Pause => "pause_kill",
            Means::Partition => "part_kill",
        }
    }

    fn target(&self) -> Target {
        Target::All
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            ensure!(nodes.len() >= 3, "the choreography is for three nodes or more");
            // The seed decides who plays whom.
            let mut nodes = nodes.to_vec();
            nodes.shuffle(&mut field.rng);
            let minority = (nodes.len() - 1) / 2;
            let p2 = nodes.split_off(minority + 1);
            let x = nodes.remove(minority);
            let p1 = nodes;
            let roles = format!("P1 = {p1:?}, X = {x}, P2 = {p2:?}");
            let mut fault = None;
            self.take_out(field, p1).await?;
            sleep(self.phase).await;
            if matches!(field.cluster.disk(x), Disk::Image(_)) {
                // A fault within the fault: what was acked until here is judged as durable.
                fault = Some(field.recorder.fault_begin(POWER_CUT, &[x], "X"));
                let cut = field.cluster.cut_power(&[x]).await?;
                field.recorder.count("bytes_dropped", cut.bytes_dropped);
            } else {
                field.cluster.kill9(x).await?;
            }
            let p1_out = self.out.take();
            self.take_out(field, p2).await?;
            let p2_out = std::mem::replace(&mut self.out, p1_out);
            self.let_in(field).await?;
            self.out = p2_out;
            field.cluster.start_unready(x)?;
            if let Some(fault) = fault {
                field.recorder.fault_end(fault, "X starts");
            }
            sleep(self.phase).await;
            Ok(roles)
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, _: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            self.let_in(field).await?;
            field.cluster.wait_ready().await?;
            Ok("all are back".to_owned())
        })
    }
}
