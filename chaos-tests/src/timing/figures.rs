//! What was measured, against what was promised.

use std::fmt;
use std::time::Duration;

/// Durations of one kind.
#[derive(Debug, Clone, Default)]
pub struct Figures(Vec<Duration>);

impl Figures {
    /// Adds one.
    pub fn add(&mut self, time: Duration) {
        let at = self.0.partition_point(|other| *other <= time);
        self.0.insert(at, time);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest that at least `percent` of all do not exceed; 50 is the median, 100 the maximum.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied()
    }
}

/// What was promised, where something was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Of the median.
    pub median: Option<Duration>,
    /// Of the 90th percentile.
    pub p90: Option<Duration>,
    /// Of all.
    pub max: Option<Duration>,
}

/// A row of the table.
#[derive(Debug, Clone)]
pub enum Row {
    /// Durations.
    Times {
        /// Of what.
        what: String,
        /// What was measured.
        figures: Figures,
        /// What was promised.
        limits: Limits,
    },
    /// A count.
    Count {
        /// Of what.
        what: String,
        /// What was counted.
        count: u64,
        /// Out of so many, where that says something.
        of: Option<u64>,
        /// What it has to be, where something was promised.
        wanted: Option<u64>,
    },
}

impl Row {
    /// Whether what was promised was kept, and something was measured at all.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        match self {
            Self::Times { figures, limits, .. } => {
                let within = |percent, limit: Option<Duration>| {
                    figures.percentile(percent).is_some_and(|time| limit.is_none_or(|limit| time <= limit))
                };
                within(50, limits.median) && within(90, limits.p90) && within(100, limits.max)
            }
            Self::Count { count, wanted, .. } => wanted.is_none_or(|wanted| *count == wanted),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times { what, figures, limits } => {
                write!(f, "{what}: n = {}", figures.count())?;
                for (name, percent, limit) in
                    [("median", 50, limits.median), ("p90", 90, limits.p90), ("max", 100, limits.max)]
                {
                    match figures.percentile(percent) {
                        Some(time) => write!(f, ", {name} {} ms", time.as_millis())?,
                        None => write!(f, ", {name} -")?,
                    }
                    if let Some(limit) = limit {
                        write!(f, " [{}]", limit.as_millis())?;
                    }
                }
            }
            Self::Count { what, count, of, wanted } => {
                write!(f, "{what}: {count}")?;
                if let Some(of) = of {
                    write!(f, " of {of}")?;
                }
                if let Some(wanted) = wanted {
                    write!(f, " [{wanted}]")?;
                }
            }
        }
        f.write_str(if self.is_kept() { "" } else { "   MISSED" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(times: impl IntoIterator<Item = u64>) -> Figures {
        let mut figures = Figures::default();
        times.into_iter().for_each(|ms| figures.add(Duration::from_millis(ms)));
        figures
    }

    #[test]
    fn percentiles_are_measured_values() {
        let ten = figures([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
        let ms = |percent| ten.percentile(percent).unwrap().as_millis();
        assert_eq!((ms(50), ms(90), ms(100)), (5, 9, 10));
        assert_eq!(figures([]).percentile(50), None);
    }

    #[test]
    fn row_over_its_limit_or_without_measurement_is_missed() {
        let row = |figures, max| Row::Times {
            what: "gap".to_owned(),
            figures,
            limits: Limits { max: Some(Duration::from_millis(max)), ..Limits::default() },
        };
        assert!(row(figures([1, 2, 3]), 3).is_kept());
        assert!(!row(figures([1, 2, 4]), 3).is_kept());
        assert!(!row(figures([]), 3).is_kept());
        assert!(row(figures([1, 2, 4]), 3).to_string().ends_with("max 4 ms [3]   MISSED"));
    }
}
