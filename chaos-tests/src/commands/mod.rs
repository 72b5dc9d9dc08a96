//! What the program can be asked to do.

pub(crate) mod runs;
pub(crate) mod sabotage;
pub(crate) mod timing;
