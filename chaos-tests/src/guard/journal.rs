//! The journal: what this process has made on the machine, written before it is made.
//!
//! One file per run in [`home`], `MARKER.journal`, one JSON object per line: `{"id":3,"made":{"mount":"/tmp/…"}}`
//! before something is made and `{"id":3}` after it was undone. The run holds a lock on its file for as long as
//! it lives, however it ends; a file whose lock is free belongs to a run that is gone.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::made::Made;
use super::processes;

const SUFFIX: &str = "journal";

/// A line of the file. Without `made`, what has that number was undone.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<Made>,
}

/// The journal of this process.
#[derive(Debug)]
pub(super) struct Journal {
    marker: String,
    open: Mutex<(File, u64)>,
}

impl Journal {
    /// The journal of this process, opened at its first use; what dead runs left behind is undone before.
    pub(super) fn get() -> Result<&'static Self> {
        static JOURNAL: OnceLock<Result<Journal, String>> = OnceLock::new();
        let journal = JOURNAL.get_or_init(|| Self::open().map_err(|error| format!("{error:#}")));
        journal.as_ref().map_err(|error| anyhow!("{error}"))
    }

    fn open() -> Result<Self> {
        for line in clean()? {
            eprintln!("{line}");
        }
        let marker = format!("{}-{:06x}", std::process::id(), rand::random_range(0..0x0100_0000_u32));
        // Locked under another name first: under its own, another run could find it unlocked.
        let path = home()?.join(&marker).with_extension(SUFFIX);
        let new = path.with_extension("new");
        let file = File::create_new(&new).with_context(|| format!("cannot create {}", new.display()))?;
        file.lock()?;
        fs::rename(&new, &path)?;
        Ok(Self { marker, open: Mutex::new((file, 0)) })
    }

    /// What the run's processes carry, and names of its things are made of: short, unique.
    pub(super) fn marker(&self) -> &str {
        &self.marker
    }

    /// Writes down what is about to be made.
    pub(super) fn note(&self, made: &Made) -> Result<u64> {
        let mut open = self.open.lock();
        let id = open.1;
        open.1 += 1;
        write_line(&mut open.0, &Line { id, made: Some(made.clone()) })?;
        Ok(id)
    }

    /// Writes down that it was undone.
    pub(super) fn undone(&self, id: u64) -> Result<()> {
        write_line(&mut self.open.lock().0, &Line { id, made: None })
    }
}

fn write_line(file: &mut File, line: &Line) -> Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    file.write_all(&text).context("cannot write the journal of this run")
}

/// Folder of journals and scratch folders: one per user, below the system's temporary folder.
pub(crate) fn home() -> Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("roomkeeper-chaos-{}", nix::unistd::Uid::current()));
    fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}

/// Undoes everything that runs which are gone have left on this machine, and says what it was, a line each.
///
/// # Errors
/// A journal cannot be read, or something cannot be undone; the rest is undone nevertheless, and the journal
/// is kept for the next try.
pub fn clean() -> Result<Vec<String>> {
    let (mut said, mut failed) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(home()?)? {
        let path = entry?.path();
        if path.extension().is_some_and(|suffix| suffix == SUFFIX)
            && let Err(error) = clean_run(&path, &mut said)
        {
            failed.push(format!("{error:#}"));
        }
    }
    if failed.is_empty() { Ok(said) } else { Err(anyhow!(failed.join("; "))) }
}

fn clean_run(path: &Path, said: &mut Vec<String>) -> Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        // Another run was faster.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    let marker = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let mut left = read(path)?;
    left.sort_by_key(Made::rank);
    let mut failed = Vec::new();
    let mut undo = |made: &Made| match made.undo() {
        Ok(()) => said.push(format!("left by run {marker}, undone: {made:?}")),
        Err(error) => failed.push(format!("{error:#}")),
    };
    let frozen = left.iter().take_while(|made| made.rank() == 0).count();
    left[..frozen].iter().for_each(&mut undo);
    let killed = processes::kill_of_run(marker);
    left[frozen..].iter().for_each(&mut undo);
    match killed {
        Ok(0) => {}
        Ok(count) => said.push(format!("left by run {marker}, killed: {count} processes")),
        Err(error) => failed.push(format!("{error:#}")),
    }
    if !failed.is_empty() {
        return Err(anyhow!(failed.join("; ")).context(format!("cannot undo all of {}", path.display())));
    }
    fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))
}

/// What a journal says is still there, newest first. A last line that was cut off names something that was
/// not made.
fn read(path: &Path) -> Result<Vec<Made>> {
    let text = fs::read_to_string(path)?;
    let mut left = BTreeMap::new();
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let line: Line =
            serde_json::from_str(line).with_context(|| format!("bad line in {}: {line}", path.display()))?;
        match line.made {
            Some(made) => left.insert(line.id, made),
            None => left.remove(&line.id),
        };
    }
    Ok(left.into_values().rev().collect())
}
