//! Why a command is refused, in the words of the protocol.

use roomkeeper_protocol::{Error, ErrorCode, RefusedItem};
use roomkeeper_room::{Refusal, RowsError};
use roomkeeper_types::{LifeId, NodeId, Offset, RoomName};

use crate::host::SubmitError;
use crate::hub::Full;

/// A definite no of the room's state machine.
pub(crate) fn refused(refusal: &Refusal) -> Error {
    let items = refusal.items().map_or(Vec::new(), |(ids, reason)| {
        let item = |&(index, id)| RefusedItem { id, index, reason: reason.to_owned() };
        ids.0.iter().map(item).collect()
    });
    Error { items, ..refused_as_a_whole(refusal) }
}

fn refused_as_a_whole(refusal: &Refusal) -> Error {
    let text = refusal.to_string();
    match refusal {
        Refusal::NotFound | Refusal::UnknownId(_) => Error::new(ErrorCode::NotFound, text),
        Refusal::AlreadyExists => Error::new(ErrorCode::AlreadyExists, text),
        Refusal::Recreated { .. } => Error::new(ErrorCode::Recreated, text),
        Refusal::Expected { next, .. } => {
            Error { next: Some(next.get()), ..Error::new(ErrorCode::Conflict, text) }
        }
        Refusal::IdReused(_) | Refusal::PartlyKnown(_) | Refusal::NotOneHold(_) | Refusal::Held(_) => {
            Error::new(ErrorCode::Conflict, text)
        }
        Refusal::NotSender => Error::new(ErrorCode::Forbidden, text),
        Refusal::TooLate => Error::new(ErrorCode::TooLate, text),
        Refusal::Gone(_) => Error::new(ErrorCode::Gone, text),
        Refusal::BeyondHead { next } => Error { next: Some(next.get()), ..Error::bad_request(text) },
        Refusal::Malformed(_) => Error::bad_request(text),
        // The gateway asked a shard that the room does not belong to.
        Refusal::WrongShard(_) => Error::new(ErrorCode::Internal, text),
    }
}

/// No outcome. Both kinds are answered as unknown: the client sends the same ids again either way, and what
/// it sent behind must not overtake.
pub(crate) fn unsubmitted(error: &SubmitError) -> Error {
    Error::new(ErrorCode::Unavailable, error.to_string())
}

/// The rows could not be read. The reason is for the operator's log, not for clients.
pub(crate) fn unreadable(error: &RowsError) -> Error {
    tracing::error!(%error, "rows are unreadable");
    Error::new(ErrorCode::Internal, "the server could not read its rows")
}

pub(crate) fn not_found(room: &RoomName) -> Error {
    Error::new(ErrorCode::NotFound, format!("room {room} does not exist"))
}

pub(crate) fn recreated(now: LifeId) -> Error {
    refused(&Refusal::Recreated { now })
}

/// `from` is below the first offset kept.
pub(crate) fn trimmed(from: Offset, first: Offset) -> Error {
    let text = format!("offset {} is trimmed, the first that is kept is {}", from.get(), first.get());
    Error { first: Some(first.get()), ..Error::new(ErrorCode::Trimmed, text) }
}

/// `from` is above the next offset.
pub(crate) fn beyond(from: Offset, next: Offset) -> Error {
    let text = format!("from: offset {} is beyond the next one, {}", from.get(), next.get());
    Error { next: Some(next.get()), ..Error::bad_request(text) }
}

/// The room takes no further member for now.
pub(crate) fn room_full(full: &Full) -> Error {
    Error::new(ErrorCode::RateLimited, format!("{full}; try again when somebody has left"))
}

pub(crate) fn timed_out() -> Error {
    Error::new(ErrorCode::Timeout, "no outcome in time; send it again with the same ids")
}

/// Part of the protocol, but not of this server.
pub(crate) fn not_yet(what: &str) -> Error {
    Error::bad_request(format!("{what}: not available yet on this server"))
}

/// The shard has no owner, and did not get one in time.
pub(crate) fn no_owner() -> Error {
    Error::new(ErrorCode::Unavailable, "the room has no owner at the moment; try again")
}

/// This node is asked as the owner and is not.
pub(crate) fn not_owner(node: NodeId) -> Error {
    Error::new(ErrorCode::Unavailable, format!("node {} does not own the room", node.0))
}

/// An earlier publish of the socket to the room ended unknown.
pub(crate) fn fenced() -> Error {
    Error::new(
        ErrorCode::Unavailable,
        "an earlier publish to this room has no known outcome: join the room again, then publish again with \
         the same ids, in order",
    )
}

#[cfg(test)]
mod tests {
    use roomkeeper_room::RefusedIds;
    use roomkeeper_types::{MessageId, ShardId};

    use super::*;

    #[test]
    fn refusal_of_any_kind_has_its_code() {
        let life = LifeId { shard: ShardId(1), index: 2, ordinal: 3 };
        let id = MessageId([7; 16]);
        let ids = RefusedIds(vec![(2, id), (5, MessageId([8; 16]))]);
        let expected = Refusal::Expected { expected: Offset(3), next: Offset(9) };
        let table = [
            (Refusal::NotFound, ErrorCode::NotFound),
            (Refusal::AlreadyExists, ErrorCode::AlreadyExists),
            (Refusal::Recreated { now: life }, ErrorCode::Recreated),
            (expected.clone(), ErrorCode::Conflict),
            (Refusal::IdReused(ids.clone()), ErrorCode::Conflict),
            (Refusal::PartlyKnown(ids.clone()), ErrorCode::Conflict),
            (Refusal::UnknownId(id), ErrorCode::NotFound),
            (Refusal::NotOneHold(id), ErrorCode::Conflict),
            (Refusal::NotSender, ErrorCode::Forbidden),
            (Refusal::TooLate, ErrorCode::TooLate),
            (Refusal::Gone(ids.clone()), ErrorCode::Gone),
            (Refusal::Held(ids.clone()), ErrorCode::Conflict),
            (Refusal::BeyondHead { next: Offset(9) }, ErrorCode::BadRequest),
            (Refusal::Malformed("why"), ErrorCode::BadRequest),
            (Refusal::WrongShard(ShardId(4)), ErrorCode::Internal),
        ];
        for (refusal, code) in table {
            let error = refused(&refusal);
            assert_eq!(error.code, code, "{refusal:?}");
            assert_eq!(error.retry, code.is_retryable(), "{refusal:?}");
        }
        assert_eq!((refused(&expected).next, refused(&expected).items), (Some(9), vec![]));
        let reused = refused(&Refusal::IdReused(ids));
        let places: Vec<_> = reused.items.iter().map(|item| (item.index, item.id)).collect();
        assert_eq!(places, [(2, id), (5, MessageId([8; 16]))]);
        assert!(reused.items[0].reason.contains("another message's"), "{reused:?}");
        assert!(reused.message.contains("and 1 more"), "{reused}");
    }

    #[test]
    fn submit_error_of_any_kind_is_unknown() {
        for error in [SubmitError::NotProposed, SubmitError::DiskFull, SubmitError::Unknown("fatal".into())] {
            let error = unsubmitted(&error);
            assert_eq!(error.code, ErrorCode::Unavailable);
            assert!(error.code.is_unknown() && error.retry);
        }
    }

    #[test]
    fn offset_outside_the_log_names_the_bound() {
        assert_eq!(trimmed(Offset(1), Offset(5)).first, Some(5));
        assert_eq!(beyond(Offset(12), Offset(5)).next, Some(5));
        assert_eq!(beyond(Offset(12), Offset(5)).code, ErrorCode::BadRequest);
    }
}
