//! Validity of the rows of a run's logs.

use super::history::{EpochRow, StepRow};

/// The maximum of counts and times, so that their sums stay finite.
const MAX: f64 = 1e12;

/// A row of a run's logs.
pub(super) trait Row {
    /// The column that increases from row to row, and its value.
    fn order(&self) -> (&'static str, u64);

    /// The first column with an impossible value, and the value. Losses and norms can be anything: they are NaN in a
    /// run that diverges.
    fn invalid(&self) -> Option<(&'static str, f64)>;
}

/// The first problem of these rows, if there is one.
pub(super) fn problem<R: Row>(rows: &[R]) -> Option<String> {
    let mut before = 0;
    for (row, number) in rows.iter().zip(1..) {
        let (column, value) = row.order();
        if value <= before {
            return Some(format!(
                "record {number}: `{column}` is {value}, but the previous row has {before}"
            ));
        }
        if let Some((column, value)) = row.invalid() {
            return Some(format!("record {number}: invalid value {value} of `{column}`"));
        }
        before = value;
    }
    None
}

fn first<const N: usize>(columns: [(&'static str, Option<f64>, f64); N]) -> Option<(&'static str, f64)> {
    let invalid = |&(_, value, max): &(_, Option<f64>, f64)| value.is_some_and(|value| !(0.0..=max).contains(&value));
    let found = columns.into_iter().find(invalid)?;
    Some((found.0, found.1?))
}

impl Row for StepRow {
    fn order(&self) -> (&'static str, u64) {
        ("step", self.step)
    }

    fn invalid(&self) -> Option<(&'static str, f64)> {
        first([
            ("learning_rate", Some(self.learning_rate), f64::MAX),
            ("images", Some(self.images as f64), MAX),
            ("seconds", Some(self.seconds), MAX),
            ("data_wait_seconds", Some(self.data_wait_seconds), MAX),
        ])
    }
}

impl Row for EpochRow {
    fn order(&self) -> (&'static str, u64) {
        ("epoch", self.epoch.into())
    }

    fn invalid(&self) -> Option<(&'static str, f64)> {
        first([
            ("learning_rate", Some(self.learning_rate), f64::MAX),
            ("images", Some(self.images as f64), MAX),
            ("seconds", Some(self.seconds), MAX),
            ("data_wait_seconds", Some(self.data_wait_seconds), MAX),
            ("validation_top1", self.validation_top1, 1.0),
            ("validation_top5", self.validation_top5, 1.0),
            ("averaged_top1", self.averaged_top1, 1.0),
            ("averaged_top5", self.averaged_top5, 1.0),
            ("processor_seconds", self.processor_seconds, MAX),
        ])
    }
}
