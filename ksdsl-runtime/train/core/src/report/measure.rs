//! What runs are compared by: classifiers by accuracy, language models by loss.

use super::compare::{Run, mean};
use super::history::{EpochRow, History};
use super::progress::percent;

/// What a run is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// The share of right answers.
    Accuracy,
    /// The mean loss of a token.
    Loss,
}

impl Measure {
    pub(super) fn of(history: &History) -> Self {
        match history.is_of_text() {
            true => Self::Loss,
            false => Self::Accuracy,
        }
    }

    /// Of several runs: accuracy, unless all are of language models.
    pub(super) fn of_all<'r>(runs: impl IntoIterator<Item = &'r Run>) -> Self {
        let mut measures = runs.into_iter().map(|run| Self::of(&run.history)).peekable();
        match measures.peek().is_some() && measures.all(|measure| measure == Self::Loss) {
            true => Self::Loss,
            false => Self::Accuracy,
        }
    }

    pub(super) fn value(self, row: &EpochRow) -> Option<f64> {
        match self {
            Self::Accuracy => row.accuracy(),
            Self::Loss => row.loss(),
        }
    }

    /// Of the last evaluation of a run.
    pub(super) fn last(self, run: &Run) -> Option<f64> {
        self.value(run.history.last()?)
    }

    /// The value as charts show it.
    pub(super) fn scaled(self, value: f64) -> f64 {
        match self {
            Self::Accuracy => 100.0 * value,
            Self::Loss => value,
        }
    }

    /// What its values are between in charts.
    pub(super) fn bounds(self) -> (f64, f64) {
        match self {
            Self::Accuracy => (0.0, 100.0),
            Self::Loss => (0.0, f64::INFINITY),
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Loss => "loss",
        }
    }

    /// The head of a column.
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::Accuracy => "top-1",
            Self::Loss => "loss",
        }
    }

    /// The name of an axis.
    pub(super) fn axis(self) -> &'static str {
        match self {
            Self::Accuracy => "Validation accuracy (%)",
            Self::Loss => "Validation loss",
        }
    }

    /// What throughput counts.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Accuracy => "images",
            Self::Loss => "tokens",
        }
    }

    pub(super) fn text(self, value: Option<f64>) -> String {
        match self {
            Self::Accuracy => percent(value),
            Self::Loss => value.map_or("–".to_owned(), |loss| format!("{loss:.4}")),
        }
    }

    /// The mean, and the range if there are several.
    pub(super) fn mean_and_range(self, values: &[f64]) -> String {
        let mean = self.text(mean(values.iter().copied()));
        if values.len() < 2 {
            return mean;
        }
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(0.0, f64::max);
        match self {
            Self::Accuracy => format!("{mean} ({:.2} to {:.2})", 100.0 * least, 100.0 * most),
            Self::Loss => format!("{mean} ({least:.4} to {most:.4})"),
        }
    }
}
