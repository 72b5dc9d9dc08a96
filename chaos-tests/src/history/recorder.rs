//! Writes a history while it happens.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use parking_lot::Mutex;

use super::event::{At, Event, FORMAT, FaultBegin, Id, Line, NodeIndex, Phase, RunInfo};

/// Name of a history's file in a run's folder.
pub const FILE: &str = "history.jsonl";

/// Writes events to a file, each with the time at which it was given. Cheap to clone; all clones write to
/// the same file and share its clock and numbers.
///
/// Nothing is kept in memory but the file's buffer. An event that cannot be written is not lost in silence:
/// [`Recorder::finish`] fails then.
#[derive(Debug, Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    start: Instant,
    wall_us: u64,
    next: AtomicU64,
    path: PathBuf,
    out: Mutex<Out>,
}

#[derive(Debug)]
struct Out {
    file: BufWriter<File>,
    /// The first thing that went wrong; nothing is written after it.
    failed: Option<std::io::Error>,
}

impl Recorder {
    /// A new history in a folder; its first line says what is run. `format` and `wall_us` are filled in here.
    ///
    /// # Errors
    /// The folder cannot be written, or has a history already.
    pub fn create(folder: &Path, info: RunInfo) -> Result<Self> {
        let path = folder.join(FILE);
        let file = File::create_new(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
        let wall_us = u64::try_from(wall.as_micros()).context("the clock is beyond its range")?;
        let out = Out { file: BufWriter::new(file), failed: None };
        let (start, next) = (Instant::now(), AtomicU64::new(1));
        let recorder = Self { inner: Arc::new(Inner { start, wall_us, next, path, out: Mutex::new(out) }) };
        recorder.record_at(At(0), Event::Run(RunInfo { format: FORMAT, wall_us, ..info }));
        Ok(recorder)
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> At {
        At::default().after(self.inner.start.elapsed())
    }

    /// The moment of a wall clock of this machine, microseconds since 1970.
    #[must_use]
    pub fn at_wall(&self, wall_us: u64) -> At {
        At(wall_us.saturating_sub(self.inner.wall_us))
    }

    /// A number that nothing in this history has yet.
    #[must_use]
    pub fn new_id(&self) -> Id {
        Id(self.inner.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Where the history is written to.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Notes that something happens now, and returns when that is.
    pub fn record(&self, event: Event) -> At {
        let at = self.now();
        self.record_at(at, event);
        at
    }

    /// Notes that something happened then.
    pub fn record_at(&self, t: At, event: Event) {
        let eager = matches!(event, Event::FaultBegin(_) | Event::FaultEnd { .. } | Event::Phase { .. });
        let line = serde_json::to_vec(&Line { t, event });
        let mut out = self.inner.out.lock();
        if out.failed.is_some() {
            return;
        }
        let written = line.map_err(std::io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            out.file.write_all(&line)?;
            // Whatever kills the harness, it is known what it had done.
            if eager { out.file.flush() } else { Ok(()) }
        });
        out.failed = written.err();
    }

    /// Notes that something is about to be done to the cluster.
    #[must_use = "the end of the fault is noted under this number"]
    pub fn fault_begin(&self, nemesis: &str, nodes: &[NodeIndex], detail: impl Into<String>) -> Id {
        let fault = self.new_id();
        let (nemesis, nodes) = (nemesis.to_owned(), nodes.to_vec());
        self.record(Event::FaultBegin(FaultBegin { fault, nemesis, nodes, detail: detail.into() }));
        fault
    }

    /// Notes that it is over, or undone.
    pub fn fault_end(&self, fault: Id, detail: impl Into<String>) {
        self.record(Event::FaultEnd { fault, detail: detail.into() });
    }

    /// Notes that a new part of the run begins.
    pub fn phase(&self, phase: Phase) {
        self.record(Event::Phase { phase });
    }

    /// Adds to a count that proves that a fault was one.
    pub fn count(&self, name: &str, more: u64) {
        self.record(Event::Count { name: name.to_owned(), more });
    }

    /// Sees that everything noted so far is in the file.
    ///
    /// # Errors
    /// Something could not be written.
    pub fn finish(&self) -> Result<()> {
        let mut out = self.inner.out.lock();
        let done = match out.failed.take() {
            Some(error) => Err(error),
            None => out.file.flush(),
        };
        done.with_context(|| format!("cannot write {}", self.inner.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Gate;
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn events_recorded_stand_in_the_file_behind_what_is_run() {
        let scratch = Scratch::new().unwrap();
        let info = RunInfo {
            scenario: "quiet".to_owned(),
            seed: 7,
            gates: vec![Gate::new("acks", 1)],
            ..RunInfo::default()
        };
        let recorder = Recorder::create(scratch.path(), info).unwrap();
        let fault = recorder.fault_begin("kill", &[1], "SIGKILL");
        recorder.fault_end(fault, "started again");
        recorder.finish().unwrap();
        let text = std::fs::read_to_string(scratch.path().join(FILE)).unwrap();
        let lines: Vec<Line> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(matches!(&lines[0].event, Event::Run(info) if info.seed == 7 && info.wall_us > 0));
        assert!(matches!(&lines[1].event, Event::FaultBegin(begin) if begin.fault == fault));
        assert!(matches!(&lines[2].event, Event::FaultEnd { fault: ended, .. } if *ended == fault));
        assert!(lines.is_sorted_by_key(|line| line.t));
        assert!(Recorder::create(scratch.path(), RunInfo::default()).is_err(), "it would be overwritten");
    }
}
