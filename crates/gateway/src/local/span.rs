//! Which part of a log a reader asks for.

use roomkeeper_protocol::{Error, From};
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::Offset;

use crate::failure;

/// A part of a room's log that begins within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// First offset; `first` to `next` of the room, both inclusive.
    pub(crate) from: Offset,
    /// Last offset, inclusive; it may lie ahead. `None`: no end.
    pub(crate) to: Option<Offset>,
}

impl Span {
    /// Where `from` begins and ends in a room that keeps `first` and has `next` ahead.
    ///
    /// # Errors
    /// `trimmed` below `first`, `bad_request` above `next` or for what only a consumer can mean.
    pub(crate) fn new(from: From, first: Offset, next: Offset) -> Result<Self, Error> {
        Self::of_consumer(from, first, next, None)
    }

    /// The same for a consumer that has committed an offset, or 0 so far. One that never did misses nothing that
    /// it had: it begins with the first message kept.
    ///
    /// # Errors
    /// As [`Span::new`].
    pub(crate) fn of_consumer(
        from: From,
        first: Offset,
        next: Offset,
        committed: Option<Offset>,
    ) -> Result<Self, Error> {
        let (from, to) = match from {
            From::Latest => (next, None),
            From::Beginning => (first, None),
            From::Offset(at) if sabotage::is(Bug::ResumeResets) && at == next => (first, None),
            From::Offset(offset) => (offset, None),
            From::Range(from, to) => (from, Some(to)),
            From::Committed => match committed {
                Some(Offset(0)) => (first, None),
                Some(committed) => (committed.next(), None),
                None => return Err(Error::bad_request("consumer: expected, as from is \"committed\"")),
            },
        };
        if from < first {
            return Err(failure::trimmed(from, first));
        }
        if from > next {
            return Err(failure::beyond(from, next));
        }
        Ok(Self { from, to })
    }
}

#[cfg(test)]
mod tests {
    use roomkeeper_protocol::ErrorCode;

    use super::*;

    #[test]
    fn span_of_every_form_of_from() {
        let table = [
            (From::Latest, Ok((10, None))),
            (From::Beginning, Ok((4, None))),
            (From::Offset(Offset(3)), Err(ErrorCode::Trimmed)),
            (From::Offset(Offset(4)), Ok((4, None))),
            (From::Offset(Offset(10)), Ok((10, None))),
            (From::Offset(Offset(11)), Err(ErrorCode::BadRequest)),
            (From::Range(Offset(3), Offset(5)), Err(ErrorCode::Trimmed)),
            (From::Range(Offset(5), Offset(99)), Ok((5, Some(99)))),
            (From::Range(Offset(11), Offset(12)), Err(ErrorCode::BadRequest)),
            (From::Committed, Err(ErrorCode::BadRequest)),
        ];
        for (from, expected) in table {
            let span = Span::new(from, Offset(4), Offset(10));
            let seen =
                span.map(|span| (span.from.get(), span.to.map(Offset::get))).map_err(|error| error.code);
            assert_eq!(seen, expected, "{from:?}");
        }
    }

    #[test]
    fn span_of_a_consumer_begins_behind_its_cursor() {
        let begin = |committed| {
            let span = Span::of_consumer(From::Committed, Offset(4), Offset(10), Some(Offset(committed)));
            span.map(|span| span.from.get()).map_err(|error| error.code)
        };
        assert_eq!(begin(0), Ok(4), "it never committed");
        assert_eq!(begin(2), Err(ErrorCode::Trimmed), "3 is not kept any more");
        assert_eq!(begin(3), Ok(4));
        assert_eq!(begin(9), Ok(10));
    }
}
