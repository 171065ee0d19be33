//! What can be in the rows of a run's records.

use super::history::{EpochRow, StepRow};

/// More images or seconds than any epoch has, so that sums of them stay numbers.
const MOST: f64 = 1e12;

/// A row of a run's records.
pub(super) trait Row {
    /// The column that a later row has more in, and its value.
    fn place(&self) -> (&'static str, u64);

    /// The first column that holds what no run writes, and its value. Losses and norms can be anything: a run that
    /// breaks down has NaNs there.
    fn wrong(&self) -> Option<(&'static str, f64)>;
}

/// What is wrong with these rows, if something is.
pub(super) fn problem<R: Row>(rows: &[R]) -> Option<String> {
    let mut before = 0;
    for (row, number) in rows.iter().zip(1..) {
        let (column, place) = row.place();
        if place <= before {
            return Some(format!("record {number}: `{column}` is {place}, after {before}"));
        }
        if let Some((column, value)) = row.wrong() {
            return Some(format!("record {number}: no run has a `{column}` of {value}"));
        }
        before = place;
    }
    None
}

fn first<const N: usize>(columns: [(&'static str, Option<f64>, f64); N]) -> Option<(&'static str, f64)> {
    let wrong = |&(_, value, most): &(_, Option<f64>, f64)| value.is_some_and(|value| !(0.0..=most).contains(&value));
    let found = columns.into_iter().find(wrong)?;
    Some((found.0, found.1?))
}

impl Row for StepRow {
    fn place(&self) -> (&'static str, u64) {
        ("step", self.step)
    }

    fn wrong(&self) -> Option<(&'static str, f64)> {
        first([
            ("rate", Some(self.rate), f64::MAX),
            ("images", Some(self.images as f64), MOST),
            ("seconds", Some(self.seconds), MOST),
            ("waited", Some(self.waited), MOST),
        ])
    }
}

impl Row for EpochRow {
    fn place(&self) -> (&'static str, u64) {
        ("epoch", self.epoch.into())
    }

    fn wrong(&self) -> Option<(&'static str, f64)> {
        first([
            ("rate", Some(self.rate), f64::MAX),
            ("images", Some(self.images as f64), MOST),
            ("seconds", Some(self.seconds), MOST),
            ("waited", Some(self.waited), MOST),
            ("top1", self.top1, 1.0),
            ("top5", self.top5, 1.0),
            ("averaged_top1", self.averaged_top1, 1.0),
            ("averaged_top5", self.averaged_top5, 1.0),
        ])
    }
}
