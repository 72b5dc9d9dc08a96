//! Syncs that fail: what the kernel says when a disk loses a write, once, and never again of the same data.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use super::{Done, Field, Nemesis, Target};
use crate::guard::{marker, processes::MARKER};

/// How long a node may go on after a failed sync.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Makes every sync of a node fail with EIO, from the first on. The node has to stop: what it had written may be
/// lost although a second sync would succeed.
#[derive(Debug)]
pub struct FailingSync {
    target: Target,
    tracer: Option<Tracer>,
}

#[derive(Debug)]
struct Tracer(Child);

impl Drop for Tracer {
    fn drop(&mut self) {
        // It ends by itself with the process it traces; else it lets that go on.
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("cannot end strace: {error}");
        }
    }
}

impl FailingSync {
    /// Of one node.
    #[must_use]
    pub const fn new(target: Target) -> Self {
        Self { target, tracer: None }
    }
}

impl Nemesis for FailingSync {
    fn name(&self) -> &'static str {
        "failing_sync"
    }

    fn target(&self) -> Target {
        self.target
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let node = *nodes.first().context("no node")?;
            let child = Command::new("strace")
                .args(["--follow-forks", "--output=/dev/null", "--trace=fdatasync,fsync"])
                .arg("--inject=fdatasync,fsync:error=EIO")
                .arg(format!("--attach={}", field.cluster.pid(node)?))
                .env(MARKER, marker()?)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .context("cannot start strace")?;
            self.tracer = Some(Tracer(child));
            match field.ended_within(nodes, END_LIMIT).await? {
                Some((_, after)) => {
                    field.recorder.count("stopped_on_eio", 1);
                    Ok(format!("ended by itself after {after:?}"))
                }
                None => Ok(format!("still runs after {END_LIMIT:?}")),
            }
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, _: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            self.tracer = None;
            field.restart().await?;
            Ok("syncs work again".to_owned())
        })
    }
}
