//! What clients did and saw, what was done to the cluster meanwhile, and what its nodes said of it.
//!
//! [`event`] is the format, one JSON line per event; [`Recorder`] writes it while it happens;
//! [`History::load`] reads it back as [`view`] describes it. Lines and views of what only some clients do are
//! in [`holds`], [`cursors`], [`presence`] and [`access`].

pub mod access;
mod asked;
pub mod cursors;
pub mod event;
pub mod holds;
mod load;
pub mod node_log;
pub mod presence;
mod recorder;
pub mod view;

pub use asked::{Answer, Asked};
pub use event::{At, Event, Gate, Id, NodeIndex, Phase, RunInfo};
pub use recorder::{FILE, Recorder};
pub use view::{
    Copy, Ending, Fault, History, Log, Outcome, Own, Read, ReadOutcome, Room, Said, Send, Sub, SubEvent,
    Witness,
};
