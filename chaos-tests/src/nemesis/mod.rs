//! Faults: each a value that begins, lasts, and ends.
//!
//! A [`Nemesis`] does one thing to some nodes and undoes it; [`Attack`] chooses the nodes by seed, notes begin and
//! end in the history and sees that what was begun is ended. What a nemesis holds (cut links, a filler, a frozen
//! disk) it holds through guards, so that it is undone even where the run fails in between.

mod clients;
mod corrupt;
mod disk_full;
mod drain;
mod eio;
mod field;
mod kill;
mod lost_log;
mod lost_quorum;
mod membership;
mod old_copy;
mod partition;
mod pause;
mod pause_kill;
mod power;
mod slow_disk;
mod target;
mod wipe;

use anyhow::{Context, Result};
use futures::future::BoxFuture;

pub use clients::{ReconnectStorm, SlowSubscribers};
pub use corrupt::Corrupt;
pub use disk_full::DiskFull;
pub use drain::Drain;
pub use eio::FailingSync;
pub use field::{ENDED, Field};
pub use kill::Kill;
pub use lost_log::LostLog;
pub use lost_quorum::LostQuorum;
pub use membership::{JoinAndLeave, Replace};
pub use old_copy::OldCopy;
pub use partition::{Partition, Shape};
pub use pause::Pause;
pub use pause_kill::{Means, PauseKill};
pub use power::PowerOff;
pub use slow_disk::{FrozenDisk, SlowDisk};
pub use target::Target;
pub use wipe::Wipe;

use crate::history::Id;

/// What a step of a nemesis comes to: something for people.
pub type Done<'a> = BoxFuture<'a, Result<String>>;

/// A fault.
pub trait Nemesis: Send {
    /// Its name in histories: `kill`, `partition`, …
    fn name(&self) -> &'static str;

    /// Whom it is done to.
    fn target(&self) -> Target;

    /// Does it to these nodes.
    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a>;

    /// Undoes it. From then on the cluster may be expected to recover.
    fn end<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a>;
}

/// A nemesis at work.
pub struct Attack {
    nemesis: Box<dyn Nemesis>,
    nodes: Vec<usize>,
    fault: Id,
}

impl Attack {
    /// Chooses the nodes and begins.
    ///
    /// # Errors
    /// There are no such nodes, or the fault cannot be injected.
    pub async fn begin(mut nemesis: Box<dyn Nemesis>, field: &mut Field) -> Result<Self> {
        let name = nemesis.name();
        let nodes = nemesis.target().pick(field).await.with_context(|| format!("no target for {name}"))?;
        let fault = field.recorder.fault_begin(name, &nodes, format!("{:?}", nemesis.target()));
        let said = nemesis.begin(field, &nodes).await;
        let said = said.with_context(|| format!("cannot begin {name} of {nodes:?}"))?;
        field.say(format!("{name} {nodes:?} {said}"));
        Ok(Self { nemesis, nodes, fault })
    }

    /// Ends it.
    ///
    /// # Errors
    /// It cannot be undone, or a node does not come back.
    pub async fn end(mut self, field: &mut Field) -> Result<()> {
        let name = self.nemesis.name();
        let said = self.nemesis.end(field, &self.nodes).await;
        let said = said.with_context(|| format!("cannot end {name} of {:?}", self.nodes))?;
        field.say(format!("{name} {:?} over {said}", self.nodes));
        field.recorder.fault_end(self.fault, said);
        Ok(())
    }
}
