//! What clients did and saw, what was done to the cluster meanwhile, and what its nodes said of it.
//!
//! [`event`] is the format, one JSON line per event; [`Recorder`] writes it while it happens;
//! [`History::load`] reads it back as [`view`] describes it.

pub mod event;
mod load;
pub mod node_log;
mod recorder;
pub mod view;

pub use event::{At, Event, Gate, Id, NodeIndex, Phase, RunInfo};
pub use recorder::{FILE, Recorder};
pub use view::{
    Copy, Ending, Fault, History, Log, Outcome, Own, Read, ReadOutcome, Room, Said, Send, Sub, SubEvent,
    Witness,
};
