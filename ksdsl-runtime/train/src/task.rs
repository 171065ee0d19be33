//! What a model learns: how a batch becomes a loss, and how the model is judged.

use crate::classifier::Classifier;
use crate::data::{OnDevice, Sizes};
use crate::loss::cross_entropy;
use crate::metrics::Evaluation;
use crate::source::{Batch, HostBatch};
use ksdsl_runtime::Backend;
use ksdsl_runtime::dfdx::shapes::Rank0;
use ksdsl_runtime::dfdx::tensor::{Gradients, OwnedTape, Tensor, Trace};

pub use ksdsl_train_core::task::{TaskError, ValidationSet};

/// A loss with the tape that leads to it.
pub type Loss<D> = Tensor<Rank0, f32, D, OwnedTape<f32, D>>;

/// What a model `M` on a device `D` learns. [`Trainer::train`](crate::Trainer::train) is for classifiers of images;
/// [`Trainer::train_task`](crate::Trainer::train_task) takes any other task, such as that of a network with several
/// inputs or outputs:
///
/// ```
/// use ksdsl_runtime::dfdx::losses::mse_loss;
/// use ksdsl_runtime::dfdx::tensor::Gradients;
/// use ksdsl_runtime::prelude::*;
/// use ksdsl_train::source::Batch;
/// use ksdsl_train::task::{Loss, Task, TaskError};
///
/// // Two vectors go in, two come out.
/// ksdsl_runtime::ksnet! { net towers {
///     input left: 4
///     input right: 4
///     block tower() { linear(8); relu; linear(2) }
///     from left; a: tower(); output first
///     from right; b: tower(); output second
///     share blocks a, b
/// } }
///
/// struct Pair { left: [f32; 4], right: [f32; 4], first: [f32; 2], second: [f32; 2] }
///
/// impl Batch for Pair {
///     fn len(&self) -> usize { 1 }
///     fn is_finite(&self) -> bool { self.left.iter().chain(&self.right).all(|value| value.is_finite()) }
/// }
///
/// struct Regression;
///
/// impl Task<towers::Model<f32, Cpu>, Cpu> for Regression {
///     type Batch = Pair;
///
///     fn loss(
///         &self,
///         model: &mut towers::Model<f32, Cpu>,
///         batch: &Pair,
///         gradients: Gradients<f32, Cpu>,
///         device: &Cpu,
///     ) -> Result<Loss<Cpu>, TaskError> {
///         let input = towers::Input { left: device.tensor([batch.left]), right: device.tensor([batch.right]) };
///         let output = model.try_forward_mut(input.traced(gradients)).map_err(TaskError::device)?;
///         // The first output carries the tape.
///         let second = mse_loss(output.second, device.tensor([batch.second]));
///         Ok(mse_loss(output.first, device.tensor([batch.first])) + second)
///     }
/// }
/// ```
pub trait Task<M, D: Backend<f32>> {
    /// A batch in host memory.
    type Batch: Batch;

    /// The mean loss of a batch, with a tape that records the gradients of the model's parameters in `gradients`.
    ///
    /// # Errors
    /// If the batch does not fit the model, or the device fails.
    fn loss(
        &self,
        model: &mut M,
        batch: &Self::Batch,
        gradients: Gradients<f32, D>,
        device: &D,
    ) -> Result<Loss<D>, TaskError>;

    /// Judges the model on validation data, if there is any.
    ///
    /// # Errors
    /// If the data does not fit the model, or the device fails.
    fn evaluate(&self, _model: &M, _device: &D) -> Result<Option<Evaluation>, TaskError> {
        Ok(None)
    }

    /// What determines the evaluation, in words. A run resumes only with equal words.
    fn validation(&self) -> String {
        "none".to_owned()
    }
}

/// The classification of `C x H x W` images in `K` classes: cross-entropy of the logits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classification<'d, const C: usize, const H: usize, const W: usize, const K: usize> {
    pub(crate) validation: Option<ValidationSet<'d>>,
}

impl<const C: usize, const H: usize, const W: usize, const K: usize> Classification<'_, C, H, W, K> {
    /// What the network takes and gives.
    pub(crate) const SIZES: Sizes = Sizes::new([C, H, W], K);
}

impl<M, D, const C: usize, const H: usize, const W: usize, const K: usize> Task<M, D> for Classification<'_, C, H, W, K>
where
    D: Backend<f32>,
    M: Classifier<C, H, W, K, D>,
{
    type Batch = HostBatch;

    fn loss(
        &self,
        model: &mut M,
        batch: &HostBatch,
        gradients: Gradients<f32, D>,
        device: &D,
    ) -> Result<Loss<D>, TaskError> {
        let (images, targets) = batch.tensors(device)?;
        let logits = model.try_forward_mut(images.traced(gradients));
        let logits = logits.map_err(TaskError::device)?;
        Ok(cross_entropy(logits, targets))
    }

    fn evaluate(&self, model: &M, device: &D) -> Result<Option<Evaluation>, TaskError> {
        let validation = self.validation.as_ref();
        validation.map(|set| evaluate(model, set, device)).transpose()
    }

    fn validation(&self) -> String {
        ValidationSet::describe(self.validation.as_ref())
    }
}

/// Evaluates a model on all images.
///
/// # Errors
/// If the images do not fit the model, or the device fails.
pub fn evaluate<const C: usize, const H: usize, const W: usize, const K: usize, D, M>(
    model: &M,
    validation: &ValidationSet<'_>,
    device: &D,
) -> Result<Evaluation, TaskError>
where
    D: Backend<f32>,
    M: Classifier<C, H, W, K, D>,
{
    validation.evaluate(|batch| {
        let (images, _) = batch.tensors::<C, H, W, K, D>(device)?;
        let logits = model.try_forward(images);
        Ok(logits.map_err(TaskError::device)?.as_vec())
    })
}
