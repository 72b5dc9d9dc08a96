//! A cluster under load whose history is judged in the end: what tests of faults have in common.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::PathBuf;
use std::time::Duration;

use chaos_tests::cluster::{Cluster, Setup};
use chaos_tests::history::{History, Id, RunInfo};
use chaos_tests::run::Run;
use chaos_tests::scratch::Scratch;
use chaos_tests::workload::{Plan, Workload};

/// Beyond the load's own deadline: an operation that takes longer never ends.
const GRACE: Duration = Duration::from_secs(5);

/// A cluster under load.
pub(crate) struct Trial {
    pub(crate) cluster: Cluster,
    pub(crate) load: Workload,
    pub(crate) plan: Plan,
    run: Run,
    scratch: Scratch,
}

impl Trial {
    /// Starts so many nodes, and load on so many rooms.
    pub(crate) async fn start(name: &str, size: usize, rooms: u32) -> Self {
        Self::start_with(name, size, rooms, &[]).await
    }

    /// The same with settings of the nodes: names of environment variables, and values.
    pub(crate) async fn start_with(name: &str, size: usize, rooms: u32, settings: &[(&str, &str)]) -> Self {
        let (scratch, plan) = (Scratch::new().unwrap(), Plan::new(name, rooms));
        let info = RunInfo::new(name, plan.seed, size).with_op_limit(plan.deadline + GRACE);
        let run = Run::begin(scratch.path(), info).unwrap();
        let cluster = Cluster::start_with_settings(Setup::plain(size), settings).await.unwrap();
        let load = Workload::start(run.recorder(), cluster.urls(), plan.clone()).await.unwrap();
        Self { cluster, load, plan, run, scratch }
    }

    /// Notes what is about to be done to the cluster.
    pub(crate) fn fault(&self, nemesis: &str, nodes: &[usize], detail: &str) -> Id {
        self.run.recorder().fault_begin(nemesis, nodes, detail)
    }

    /// Notes that it is undone.
    pub(crate) fn undone(&self, fault: Id) {
        self.run.recorder().fault_end(fault, "started again");
    }

    /// Ends the load, and fails the test unless every invariant holds.
    pub(crate) async fn end(self) -> History {
        self.load.finish().await.unwrap();
        let logs: Vec<PathBuf> =
            (0..self.cluster.size()).map(|k| self.cluster.data_dir(k).with_extension("log")).collect();
        let path = self.run.recorder().path().to_owned();
        self.run.judge(self.cluster.client(), &self.plan.rooms, &logs).await.unwrap().require();
        let history = History::load(&path).unwrap();
        drop(self.scratch);
        history
    }
}
