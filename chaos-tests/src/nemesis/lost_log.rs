//! A node whose raft logs are gone, and which is needed for the quorum.
//!
//! With three nodes: C is down while A and B ack. A and B die, B's logs are taken away; B and C are started: a
//! majority, of which neither has what was acked. B has to refuse, or to be built anew once A is back. In the end
//! its logs are found again, if it refused.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::sleep;

use super::{Done, Field, Nemesis, Target};

/// Folder of a node's raft logs in its data directory.
const LOGS: &str = "log";
/// Where they are meanwhile, among what the cluster has put aside.
const ASIDE: &str = "lost-log";
/// How long A and B write.
const WITHOUT_C: Duration = Duration::from_secs(2);
/// How long B and C have to start and to write, if they can.
const WITHOUT_A: Duration = Duration::from_secs(7);

/// The choreography. In the end A is started, and B gets its logs back if it refused to be without them.
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
            field.cluster.kill9(c).await?;
            sleep(WITHOUT_C).await;
            field.cluster.kill9_at_once(&[a, b]).await?;
            let logs = field.cluster.data_dir(b).join(LOGS);
            let aside = field.cluster.aside().join(ASIDE);
            fs::rename(&logs, &aside).with_context(|| format!("cannot take {} away", logs.display()))?;
            field.cluster.start_unready(c)?;
            field.cluster.start_unready(b)?;
            sleep(WITHOUT_A).await;
            Ok(format!("node {b} lost its logs"))
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let (a, b) = (nodes[0], nodes[1]);
            let refused = field.cluster.take_ended(b)?.is_some();
            let (logs, aside) = (field.cluster.data_dir(b).join(LOGS), field.cluster.aside().join(ASIDE));
            if refused {
                field.recorder.count("refused_to_start", 1);
                if logs.exists() {
                    fs::remove_dir_all(&logs)?;
                }
                fs::rename(&aside, &logs).context("cannot give the logs back")?;
            } else {
                fs::remove_dir_all(&aside)?;
            }
            field.cluster.start_unready(a)?;
            field.restart().await?;
            Ok(if refused { "it refused, and got its logs back" } else { "it went on without them" }
                .to_owned())
        })
    }
}
