//! An owner whose quorum sleeps, and which dies before it wakes.
//!
//! What the owner took meanwhile is on its own disk only. Were it acked or delivered, the majority that wakes has
//! never heard of it, and gives the same offsets to other messages.

use std::time::Duration;

use tokio::time::sleep;

use super::{Done, Field, Nemesis, Target};

/// How long the owner goes on by itself: less than it takes to notice.
const ALONE: Duration = Duration::from_millis(400);
/// How long the others write before the former owner comes back.
const WITHOUT: Duration = Duration::from_secs(2);

/// Pauses everybody but an owner, kills the owner, wakes the others; the owner is started again in the end.
#[derive(Debug, Clone, Copy)]
pub struct LostQuorum;

impl Nemesis for LostQuorum {
    fn name(&self) -> &'static str {
        "lost_quorum"
    }

    fn target(&self) -> Target {
        Target::Owner
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let others: Vec<usize> = (0..field.cluster.size()).filter(|k| !nodes.contains(k)).collect();
            others.iter().try_for_each(|k| field.cluster.pause(*k))?;
            sleep(ALONE).await;
            field.cluster.kill9_at_once(nodes).await?;
            others.iter().try_for_each(|k| field.cluster.resume(*k))?;
            sleep(WITHOUT).await;
            Ok(format!("killed while {others:?} slept"))
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, _: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            field.restart().await?;
            Ok("started again".to_owned())
        })
    }
}
