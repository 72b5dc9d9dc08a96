//! Nothing that a run makes on the machine outlives it.
//!
//! Whatever is made (namespace, bridge, nft table, image, mount, folder, filler, frozen disk) is made through a
//! [`Guard`]: written to the run's journal first, undone when the guard is dropped. When the run itself is
//! killed, the next run undoes what its journal says, before it does anything else; so does [`clean`].
//! Processes carry the run's marker and are killed by it, stopped or not.

mod journal;
mod made;
pub mod processes;

use anyhow::Result;

pub use journal::clean;
pub(crate) use journal::home;
pub use made::Made;

use journal::Journal;

/// Holds something that was made; undoes it when dropped.
#[derive(Debug)]
#[must_use = "what was made is undone when the guard is dropped"]
pub struct Guard {
    id: u64,
    made: Made,
    is_undone: bool,
}

impl Guard {
    /// Writes down what is about to be made, then makes it. Where that fails half way, it is undone.
    ///
    /// # Errors
    /// The journal cannot be written, or `make` fails.
    pub fn over(made: Made, make: impl FnOnce() -> Result<()>) -> Result<Self> {
        let id = Journal::get()?.note(&made)?;
        let guard = Self { id, made, is_undone: false };
        make()?;
        Ok(guard)
    }

    /// Undoes it now.
    ///
    /// # Errors
    /// It cannot be undone; the next run tries again.
    pub fn undo(mut self) -> Result<()> {
        self.undo_once()
    }

    /// Leaves it where it is; the next run, or [`clean`], undoes it.
    pub fn leave_to_next_run(mut self) {
        self.is_undone = true;
    }

    fn undo_once(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.is_undone, true) {
            return Ok(());
        }
        self.made.undo()?;
        Journal::get()?.undone(self.id)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = self.undo_once() {
            eprintln!("left for `chaos-tests clean`: {:?}: {error:#}", self.made);
        }
    }
}

/// What the processes of this run carry in their environment, as [`processes::MARKER`].
///
/// # Errors
/// The journal cannot be opened, or what dead runs left cannot be undone.
pub fn marker() -> Result<&'static str> {
    Ok(Journal::get()?.marker())
}
