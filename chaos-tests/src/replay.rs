//! Judges an old history again: with the checkers of today, without the cluster of then.

use std::path::Path;

use anyhow::{Context, Result};

use crate::check::{Verdict, judge};
use crate::history::{FILE, History};
use crate::report;

/// Name of a report's file in a run's folder.
pub const REPORT: &str = "report.html";

/// Judges the history in a run's folder, and writes its report anew.
///
/// # Errors
/// There is none, it cannot be read, or the report cannot be written.
pub fn replay(folder: &Path) -> Result<Verdict> {
    let history = History::load(&folder.join(FILE))?;
    let verdict = judge(&history);
    let (path, page) = (folder.join(REPORT), report::page(&history, &verdict)?);
    std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(verdict)
}
