//! Keys of the data store.
