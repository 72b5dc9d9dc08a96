//! One cluster for all tests of a file: starting one takes longer than most tests.

use std::sync::OnceLock;

use parking_lot::Mutex;
use tokio::runtime::Runtime;

use crate::cluster::Cluster;

/// A cluster that the first test starts and all tests of the executable use, one at a time. A `static`:
/// it ends with the process, by the nodes' standard input, and its folder is swept by the next run.
#[derive(Debug)]
pub struct SharedCluster {
    size: usize,
    running: OnceLock<Running>,
}

#[derive(Debug)]
struct Running {
    // The client's pooled connections are served by it, so that it has to outlive a single test.
    runtime: Runtime,
    cluster: Mutex<Cluster>,
}

impl SharedCluster {
    /// A cluster of so many nodes, not started yet.
    #[must_use]
    pub const fn of(size: usize) -> Self {
        Self { size, running: OnceLock::new() }
    }

    /// Runs a test on the cluster. If it panics, the ends of the nodes' logs are shown.
    ///
    /// # Panics
    /// The test does, or the cluster does not start.
    pub fn run(&self, test: impl AsyncFnOnce(&Cluster)) {
        let running = self.running.get_or_init(|| Running::start(self.size));
        let cluster = running.cluster.lock();
        let shown = LogsOnPanic(&cluster);
        running.runtime.block_on(test(&cluster));
        drop(shown);
    }
}

impl Running {
    fn start(size: usize) -> Self {
        let runtime = match Runtime::new() {
            Ok(runtime) => runtime,
            Err(error) => panic!("no runtime: {error}"),
        };
        match runtime.block_on(Cluster::start(size)) {
            Ok(cluster) => Self { runtime, cluster: Mutex::new(cluster) },
            Err(error) => panic!("the cluster does not start: {error:#}"),
        }
    }
}

struct LogsOnPanic<'c>(&'c Cluster);

impl Drop for LogsOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.show_logs();
        }
    }
}
