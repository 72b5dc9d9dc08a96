//! What the program can be asked to do.

pub(crate) mod runs;
pub(crate) mod timing;
