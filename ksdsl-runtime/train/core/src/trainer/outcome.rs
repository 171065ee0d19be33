//! What a training run gives.

use crate::metrics::Evaluation;
use crate::progress::{Best, End};

/// The outcome of a training run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// How the run ended.
    pub end: End,
    /// Completed epochs.
    pub epochs: u32,
    /// Completed steps.
    pub steps: u64,
    /// The best evaluation, if there is one.
    pub best: Option<Best>,
    /// The final model's evaluation on the validation set; `None` after an interruption.
    pub evaluation: Option<Evaluation>,
    /// The averaged model's evaluation, if there is one.
    pub averaged: Option<Evaluation>,
}
