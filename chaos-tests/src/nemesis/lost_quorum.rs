//! An owner whose quorum dies, and which follows it before it notices.
//!
//! What the owner took in between is on its own disk only. Were it acked or delivered, the majority that comes back
//! without it has never heard of it, and gives the same offsets to other messages. (Nodes that merely slept would
//! find it in their sockets when they wake.)

use std::time::Duration;

use tokio::time::sleep;

use super::{Done, Field, Nemesis, Target};

/// How long the owner goes on by itself: less than it takes to notice.
const ALONE: Duration = Duration::from_millis(400);
/// How long the others have to start and to write before the former owner comes back.
const WITHOUT: Duration = Duration::from_secs(4);

/// Kills everybody but an owner, then the owner, and starts the others; the owner is started again in the end.
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
            field.cluster.kill9_at_once(&others).await?;
            sleep(ALONE).await;
            field.cluster.kill9_at_once(nodes).await?;
            others.iter().try_for_each(|k| field.cluster.start_unready(*k))?;
            sleep(WITHOUT).await;
            Ok(format!("killed after {others:?}"))
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, _: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            field.restart().await?;
            Ok("started again".to_owned())
        })
    }
}
