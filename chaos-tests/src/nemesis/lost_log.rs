//! A node whose raft logs are gone, and which is needed for the quorum.
//!
//! With three nodes: C sleeps while A and B ack. A and B die, B's logs are removed; C wakes and B is started: a
//! majority, of which neither has what was acked. B has to refuse, or to come back as somebody else.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::sleep;

use super::wipe::start_damaged;
use super::{Done, Field, Nemesis, Target};

/// Folder of a node's raft logs in its data directory.
const LOGS: &str = "log";
/// How long A and B write, and how long B and C may.
const PHASE: Duration = Duration::from_secs(2);

/// The choreography; A is started, and B wiped if it refused, in the end.
#[derive(Debug, Clone, Copy)]
pub struct LostLog;

impl Nemesis for LostLog {
    fn name(&self) -> &'static str {
        "lost_log"
    }

    fn target(&self) -> Target {
        Target::All
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            ensure!(nodes.len() == 3, "the choreography is for three nodes");
            let [a, b, c] = [nodes[0], nodes[1], nodes[2]];
            field.cluster.pause(c)?;
            sleep(PHASE).await;
            field.cluster.kill9_at_once(&[a, b]).await?;
            let logs = field.cluster.data_dir(b).join(LOGS);
            fs::remove_dir_all(&logs).with_context(|| format!("cannot remove {}", logs.display()))?;
            field.cluster.resume(c)?;
            field.cluster.start_unready(b)?;
            sleep(PHASE).await;
            Ok(format!("node {b} lost its logs"))
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let (a, b) = (nodes[0], nodes[1]);
            if field.cluster.take_ended(b)?.is_some() {
                field.recorder.count("refused_to_start", 1);
                field.cluster.start_node(a).await?;
                field.cluster.wipe(b)?;
                field.cluster.start_node(b).await?;
                return Ok("it refused to start; wiped, joined as a new node".to_owned());
            }
            field.cluster.kill9(b).await?;
            field.cluster.start_node(a).await?;
            start_damaged(field, b).await
        })
    }
}
