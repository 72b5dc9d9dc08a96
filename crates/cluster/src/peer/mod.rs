//! What nodes tell each other beside Raft.

mod handler;
mod message;

pub(crate) use handler::Handler;
pub(crate) use message::{Answer, Fact, JoinRequest, Request};
