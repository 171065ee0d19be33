//! The training loop.

use crate::classifier::Classifier;
use crate::one_cycle::OneCycle;
use crate::optimiser::{Method, Optimiser};
use ksdsl_runtime::dfdx::tensor::CpuError;
use ksdsl_runtime::prelude::*;
use ksdsl_train::data::{Batches, Dataset, Scaling};
use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};

/// How to train.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// How often every image is seen.
    pub epochs: NonZeroU32,
    /// Images per step.
    pub batch: NonZeroUsize,
    /// The optimiser.
    pub method: Method,
    /// The highest learning rate of the one-cycle schedule.
    pub peak_rate: f64,
    /// Decides on the order of the images.
    pub seed: u64,
}

impl Recipe {
    /// How many steps the training takes on so many images.
    pub fn steps(&self, images: usize) -> usize {
        self.epochs.get() as usize * images.div_ceil(self.batch.get())
    }
}

/// What a step of training did.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The epoch, from 1.
    pub epoch: u32,
    /// The mean cross-entropy of the step's images before the step.
    pub loss: f32,
    /// The learning rate.
    pub rate: f64,
}

/// Why training ended early.
#[derive(Debug)]
pub enum TrainingError {
    /// The loss is no longer a number.
    Diverged(Step),
    /// The device failed.
    Device(CpuError),
    /// The optimiser failed.
    Optimiser(OptimizerUpdateError<CpuError>),
}

impl fmt::Display for TrainingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Diverged(step) => write!(
                f,
                "training diverged: the loss became {} in epoch {} at a learning rate of {:.4}",
                step.loss, step.epoch, step.rate
            ),
            Self::Device(error) => error.fmt(f),
            Self::Optimiser(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TrainingError {}

impl From<CpuError> for TrainingError {
    fn from(error: CpuError) -> Self {
        Self::Device(error)
    }
}

impl From<OptimizerUpdateError<CpuError>> for TrainingError {
    fn from(error: OptimizerUpdateError<CpuError>) -> Self {
        Self::Optimiser(error)
    }
}

/// Trains with the recipe's optimiser and the one-cycle schedule; tells `report` of every step.
pub fn train<M: Classifier<C, H, W, K>, const C: usize, const H: usize, const W: usize, const K: usize>(
    model: &mut M,
    data: &Dataset<C, H, W, K>,
    scaling: Scaling<C>,
    recipe: &Recipe,
    mut report: impl FnMut(Step),
) -> Result<(), TrainingError> {
    let device = Cpu::default();
    let schedule = OneCycle {
        peak: recipe.peak_rate,
        steps: recipe.steps(data.len()),
    };
    let mut optimiser = Optimiser::new(recipe.method, model);
    let mut gradients = model.try_alloc_grads()?;
    let mut batches = Batches::new(data, recipe.batch, scaling, recipe.seed);
    let mut steps = 0..;
    for epoch in 1..=recipe.epochs.get() {
        for (batch, number) in batches.epoch(&device).zip(&mut steps) {
            let batch = batch?;
            let rate = schedule.rate(number);
            let logits = model.try_forward_mut(batch.images.traced(gradients))?;
            let loss = cross_entropy_with_logits_loss(logits, batch.targets);
            let step = Step {
                epoch,
                loss: loss.array(),
                rate,
            };
            if !step.loss.is_finite() {
                return Err(TrainingError::Diverged(step));
            }
            gradients = loss.try_backward()?;
            optimiser.step(model, &gradients, rate)?;
            model.try_zero_grads(&mut gradients)?;
            report(step);
        }
    }
    Ok(())
}
