//! Weight averaging of dfdx's models.

use super::tensors::swap;
use ksdsl_runtime::Scalar;
use ksdsl_runtime::backend::{Backend, Buf};
use ksdsl_runtime::dfdx::nn::tensor_collection::TensorCollection;
use ksdsl_runtime::tensors::visit;
use ksdsl_train_core::optim::{self, Averaging};

/// An exponential moving average of a model's tensors (Polyak & Juditsky 1992 for the plain mean): a copy
/// after the first step, then `average = decay * average + (1 - decay) * model`, as PyTorch's `AveragedModel` with
/// `get_ema_multi_avg_fn`.
#[derive(Debug)]
pub struct Average<E: Scalar, D: Backend<E>>(pub(crate) optim::Average<Buf<E, D>>);

impl<E: Scalar, D: Backend<E>> Average<E, D> {
    /// An empty average.
    pub fn new(averaging: Averaging) -> Self {
        Self(optim::Average::new(averaging))
    }

    /// Whether there has been no update.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Updates the average with the model, after a step.
    pub fn update<M: TensorCollection<E, D>>(&mut self, model: &M) -> Result<(), D::Err> {
        let mut at = 0;
        visit::<E, D, M>(model, |slot, tensor| {
            let exec = tensor.on().exec()?;
            at += 1;
            let updated = self.0.update(&exec, (at - 1, &slot), tensor.buffer()?);
            updated.map_err(D::failed)
        })
    }

    /// Swaps the values of the model and the average; calling it twice restores both. Does nothing before the first
    /// update.
    pub fn swap<M: TensorCollection<E, D>>(&mut self, model: &mut M) -> Result<(), D::Err> {
        swap::<E, D, M>(model, self.0.values_mut())
    }
}
