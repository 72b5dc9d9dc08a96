//! The protocol of ownership, fencing and dedupe as a model, checked in every reachable state.
//!
//! Raft is taken as what it promises: one leader per term, which begins with everything committed; an entry is
//! committed by the leader of the newest term that a majority has joined. On top of it stands what is ours:
//! who owns and believes so for how long, batches proposed on condition of the epoch, apply that knows ids,
//! answers that get lost, clients that try again elsewhere, hand-over. In reading order: `state.rs` what the world
//! is made of, `protocol.rs` its steps, `steps.rs` when each is possible, `effects.rs` what it does, `room.rs` the
//! state machine, `properties.rs` what must hold.
//!
//! Not in the model: time (whoever is slow, paused or cut off takes no step), pages of the log, subscribers, the
//! life of a room, changes of membership.
//!
//! A model that cannot fail proves nothing: each guard is taken out once, and the checker must see the harm.

#![allow(clippy::unwrap_used, reason = "a panic is a test's failure")]

mod effects;
mod properties;
mod protocol;
mod room;
mod state;
mod steps;

use properties::{DISAGREE, DOUBLED, LATE_ACK, LATE_READ, LOST, ORDER, STALE_READ};
use protocol::{Guard, Protocol};
use stateright::{Checker, HasDiscoveries, Model};

/// Three nodes, two clients, two epochs.
fn protocol() -> Protocol {
    Protocol {
        nodes: 3,
        clients: vec![1, 1],
        connections: 2,
        epochs: 2,
        crashes: 0,
        reads: false,
        without: None,
    }
}

/// Visits every state; all properties hold in each, and everything that should happen somewhere does.
fn holds(protocol: Protocol) {
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    println!("{} states, {} of them different", checker.state_count(), checker.unique_state_count());
    checker.assert_properties();
    assert!(checker.is_done());
}

/// Without that guard some state does not have that property.
fn breaks(guard: Guard, property: &'static str, protocol: Protocol) {
    let protocol = Protocol { without: Some(guard), ..protocol };
    let until = HasDiscoveries::AllOf([property].into());
    let checker = protocol.checker().threads(2).finish_when(until).spawn_bfs().join();
    let path = checker.discovery(property).unwrap_or_else(|| panic!("without {guard:?} there is no harm"));
    println!("without {guard:?}:");
    path.into_actions().iter().for_each(|step| println!("  {step:?}"));
}

#[test]
fn two_clients_that_try_twice_hold() {
    holds(protocol());
}

/// Besides losing what it has in memory, a node that crashes does nothing that a slow one does not do.
#[test]
fn publishes_of_one_connection_and_a_crash_hold() {
    holds(Protocol { clients: vec![2], crashes: 1, ..protocol() });
}

#[test]
fn reads_beside_publishes_hold() {
    holds(Protocol { connections: 1, crashes: 1, reads: true, ..protocol() });
}

#[test]
fn three_epochs_hold() {
    holds(Protocol { connections: 1, epochs: 3, ..protocol() });
}

#[test]
fn proposal_in_any_term_acks_in_an_epoch_that_is_over() {
    let protocol = Protocol { connections: 1, epochs: 3, ..protocol() };
    breaks(Guard::ConditionalProposal, LATE_ACK, protocol);
}

#[test]
fn apply_that_knows_no_ids_stores_a_retry_again() {
    breaks(Guard::Dedupe, DOUBLED, protocol());
    breaks(Guard::Dedupe, DISAGREE, protocol());
}

#[test]
fn owner_before_its_term_is_applied_serves_stale_reads() {
    breaks(Guard::TermApplied, STALE_READ, Protocol { connections: 1, reads: true, ..protocol() });
}

#[test]
fn publish_behind_an_unknown_one_overtakes_it() {
    breaks(Guard::Fence, ORDER, Protocol { clients: vec![2], ..protocol() });
}

#[test]
fn ack_before_commit_is_lost() {
    breaks(Guard::AckAfterCommit, LOST, protocol());
}

#[test]
fn read_without_a_quorum_is_served_by_a_zombie() {
    breaks(Guard::ReadIndex, LATE_READ, Protocol { connections: 1, reads: true, ..protocol() });
    breaks(Guard::ReadIndex, STALE_READ, Protocol { connections: 1, reads: true, ..protocol() });
}
