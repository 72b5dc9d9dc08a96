//! Metrics with labels whose values are known when the program is built.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::{MetricType, TypedMetric};
use roomkeeper_protocol::{CommandKind, ErrorCode};

/// A label with a fixed list of values.
pub(crate) trait Label: Copy + fmt::Debug + Send + Sync + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Its values.
    const ALL: &'static [Self];

    /// The value as it is shown.
    fn value(self) -> &'static str;

    /// The value's place in [`Label::ALL`].
    fn index(self) -> usize;
}

/// Declares a label: an enum with the name of the label and the text of each value.
macro_rules! label {
    (
        $(#[$about:meta])*
        $label:ident, $name:literal { $($(#[$what:meta])* $value:ident = $text:literal,)* }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $label {
            $($(#[$what])* $value,)*
        }

        impl $crate::metrics::table::Label for $label {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$value),*];

            fn value(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)*
                }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}
pub(crate) use label;

/// A metric for each value of a label, all there from the beginning.
pub(crate) struct Table<L, M> {
    cells: Arc<[M]>,
    label: PhantomData<L>,
}

impl<L: Label, M> Table<L, M> {
    /// The metric of this value.
    pub(crate) fn of(&self, label: L) -> &M {
        // One cell for each value, see `default`.
        &self.cells[label.index()]
    }
}

impl<L: Label, M: Default> Default for Table<L, M> {
    fn default() -> Self {
        Self { cells: L::ALL.iter().map(|_| M::default()).collect(), label: PhantomData }
    }
}

impl<L, M> Clone for Table<L, M> {
    fn clone(&self) -> Self {
        Self { cells: self.cells.clone(), label: PhantomData }
    }
}

impl<L, M: fmt::Debug> fmt::Debug for Table<L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.cells.iter()).finish()
    }
}

impl<L: Label, M: EncodeMetric + TypedMetric> EncodeMetric for Table<L, M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for (label, metric) in L::ALL.iter().zip(self.cells.iter()) {
            metric.encode(encoder.encode_family(&[(L::NAME, label.value())])?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}

/// What a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A command of the protocol, over a socket or as plain HTTP.
    Command(CommandKind),
    /// One room's description, which is no command.
    Room,
    /// How far a consumer has come, neither.
    Cursor,
    /// A frame that was no command.
    Unreadable,
}

/// How it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Refused(ErrorCode),
    /// By the address of the owner.
    Redirected,
    /// Refused by the node that it was relayed to, which counts the code.
    RefusedThere,
}

impl Asked {
    const COUNT: usize = CommandKind::ALL.len() + 3;

    fn all() -> impl Iterator<Item = Self> {
        CommandKind::ALL.iter().map(|kind| Self::Command(*kind)).chain([
            Self::Room,
            Self::Cursor,
            Self::Unreadable,
        ])
    }

    fn index(self) -> usize {
        match self {
            Self::Command(kind) => kind as usize,
            Self::Room => CommandKind::ALL.len(),
            Self::Cursor => CommandKind::ALL.len() + 1,
            Self::Unreadable => CommandKind::ALL.len() + 2,
        }
    }

    fn value(self) -> &'static str {
        match self {
            Self::Command(kind) => kind.name(),
            Self::Room => "room",
            Self::Cursor => "cursor",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Outcome {
    const COUNT: usize = ErrorCode::ALL.len() + 3;

    fn all() -> impl Iterator<Item = Self> {
        let refused = ErrorCode::ALL.into_iter().map(Self::Refused);
        refused.chain([Self::Ok, Self::Redirected, Self::RefusedThere])
    }

    fn index(self) -> usize {
        match self {
            Self::Refused(code) => code as usize,
            Self::Ok => ErrorCode::ALL.len(),
            Self::Redirected => ErrorCode::ALL.len() + 1,
            Self::RefusedThere => ErrorCode::ALL.len() + 2,
        }
    }

    fn value(self) -> &'static str {
        match self {
            Self::Refused(code) => code.name(),
            Self::Ok => "ok",
            Self::Redirected => "redirected",
            Self::RefusedThere => "refused_there",
        }
    }
}

/// Counts what was asked by how it was answered. Pairs that never came are not shown, but for `ok`.
#[derive(Debug, Clone)]
pub(crate) struct Answers(Arc<[Counter]>);

impl Answers {
    pub(crate) fn count(&self, asked: Asked, outcome: Outcome) {
        self.cell(asked, outcome).inc();
    }

    fn cell(&self, asked: Asked, outcome: Outcome) -> &Counter {
        // One cell for each pair, see `default`.
        &self.0[asked.index() * Outcome::COUNT + outcome.index()]
    }
}

impl Default for Answers {
    fn default() -> Self {
        Self((0..Asked::COUNT * Outcome::COUNT).map(|_| Counter::default()).collect())
    }
}

impl EncodeMetric for Answers {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for asked in Asked::all() {
            for outcome in Outcome::all() {
                let counter = self.cell(asked, outcome);
                if counter.get() > 0 || outcome == Outcome::Ok {
                    let labels = [("command", asked.value()), ("code", outcome.value())];
                    counter.encode(encoder.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_command_and_outcome_has_a_cell_of_its_own() {
        let indices = |all: &mut dyn Iterator<Item = usize>| {
            let mut all: Vec<_> = all.collect();
            all.sort_unstable();
            all
        };
        let asked = indices(&mut Asked::all().map(Asked::index));
        assert_eq!(asked, (0..Asked::COUNT).collect::<Vec<_>>());
        let outcomes = indices(&mut Outcome::all().map(Outcome::index));
        assert_eq!(outcomes, (0..Outcome::COUNT).collect::<Vec<_>>());
    }
}
