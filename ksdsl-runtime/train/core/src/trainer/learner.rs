//! A model in training with its optimiser and average, whatever runs it: the trainer works on `dyn Learner`.

use super::error::TrainError;
use crate::metrics::Evaluation;
use crate::progress::Progress;
use crate::run::Checkpoint;
use crate::task::TaskError;
use ksdsl_checkpoint::Tensor as Stored;
use ksdsl_engine::update::Slot;
use std::path::Path;

/// What a step did.
#[derive(Clone, Copy, Debug)]
pub struct Stepped {
    /// The mean loss over the batch, before the update.
    pub loss: f64,
    /// The global gradient norm before clipping. If it is not finite, or the loss is not, the model is unchanged.
    pub gradient_norm: f64,
}

/// A model in training that learns from batches `B`.
pub trait Learner<B> {
    /// The tensors of the model, running statistics included.
    fn slots(&self) -> &[Slot];

    /// Runs a step. The dropout masks depend only on `dropout`.
    fn step(&mut self, batch: &B, rate: f64, dropout: u64) -> Result<Stepped, TaskError>;

    /// The number of updates of the model.
    fn updates(&self) -> u64;

    /// Judges the model.
    fn evaluate(&self) -> Result<Option<Evaluation>, TaskError>;

    /// What determines the evaluation.
    fn validation(&self) -> String;

    /// Continues as the run's own network, if it has begun as another: model, optimiser and average.
    fn end_beginning(&mut self) -> Result<(), TrainError> {
        Ok(())
    }

    /// Swaps the values of the model and its average; calling it twice restores both. `false`: there is no average.
    fn swap_average(&mut self) -> Result<bool, TrainError>;

    /// The keys of the tensors with values that are not finite.
    fn non_finite(&self) -> Result<Vec<String>, TrainError>;

    /// Writes the model to a file.
    fn save(&self, path: &Path) -> Result<(), TrainError>;

    /// Model, optimiser and average as tensors of a checkpoint.
    fn state(&self) -> Result<Vec<Stored<'static>>, TrainError>;

    /// Restores them from a checkpoint that has been checked.
    fn restore(&mut self, last: &Checkpoint, progress: &Progress) -> Result<(), TrainError>;
}
