//! What the program can be asked to do.

pub(crate) mod timing;
