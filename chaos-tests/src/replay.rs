//! Judges an old history again: with the checkers of today, without the cluster of then.

use std::path::Path;

use anyhow::Result;

use crate::check::{Verdict, judge};
use crate::history::{FILE, History};

/// Judges the history in a run's folder.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn replay(folder: &Path) -> Result<Verdict> {
    Ok(judge(&History::load(&folder.join(FILE))?))
}
