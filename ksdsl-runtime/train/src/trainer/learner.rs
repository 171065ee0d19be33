//! A generated model in training with its optimiser and average.
//!
//! Compiled for each model is only what is here; the trainer works on `dyn Learner`.

use crate::metrics::Evaluation;
use crate::optim::{self, Average, Optimiser};
use crate::recipe::{InvalidRecipe, Recipe};
use crate::run::RunError;
use crate::task::{Task, TaskError};
use crate::trainer::TrainError;
use ksdsl_checkpoint::Tensor as Stored;
use ksdsl_runtime::Backend;
use ksdsl_runtime::checkpoint::{self, CheckpointError};
use ksdsl_runtime::dfdx::nn::ZeroGrads;
use ksdsl_runtime::dfdx::nn::tensor_collection::TensorCollection;
use ksdsl_runtime::dfdx::tensor_ops::Backward;
use ksdsl_runtime::network::Generated;
use ksdsl_runtime::pass::with_seed;
use ksdsl_runtime::tensors::Slot;
use ksdsl_train_core::progress::Progress;
use ksdsl_train_core::run::Checkpoint;
use ksdsl_train_core::trainer::learner::{Learner, Stepped};
use std::fmt::Display;
use std::path::Path;

/// A model of dfdx on its device, and what it learns.
pub(super) struct Typed<'s, M, D: Backend<f32>, T> {
    model: &'s mut M,
    device: &'s D,
    task: &'s T,
    optimiser: Optimiser<f32, D>,
    average: Option<Average<f32, D>>,
    slots: Vec<Slot>,
}

/// Converts a device error.
fn device(error: impl Display) -> TrainError {
    TrainError::Device(error.to_string())
}

impl<'s, M: TensorCollection<f32, D>, D: Backend<f32>, T> Typed<'s, M, D, T> {
    pub(super) fn new(recipe: &Recipe, model: &'s mut M, on: &'s D, task: &'s T) -> Result<Self, TrainError> {
        let slots = optim::slots::<f32, D, M>(model).map_err(device)?;
        if recipe.accumulate.is_some_and(|parts| parts > 1) {
            return Err(TrainError::Recipe(InvalidRecipe {
                name: "accumulate",
                expected: "1 or null: a generated model takes a batch as a whole",
            }));
        }
        if !recipe.train_only.is_empty() {
            return Err(TrainError::Recipe(InvalidRecipe {
                name: "train_only",
                expected: "[]: a generated model trains all of its parameters",
            }));
        }
        Ok(Self {
            model,
            device: on,
            task,
            optimiser: ksdsl_train_core::optim::Optimiser::of(recipe).into(),
            average: recipe.average.map(Average::new),
            slots,
        })
    }
}

impl<M, D, T> Learner<T::Batch> for Typed<'_, M, D, T>
where
    D: Backend<f32>,
    M: TensorCollection<f32, D> + Generated,
    T: Task<M, D>,
{
    fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn step(&mut self, batch: &T::Batch, rate: f64, dropout: u64) -> Result<Stepped, TaskError> {
        let gradients = ZeroGrads::<f32, D>::try_alloc_grads(self.model).map_err(TaskError::device)?;
        let loss = with_seed(dropout, || self.task.loss(self.model, batch, gradients, self.device))?;
        let value = f64::from(loss.as_vec()[0]);
        if !value.is_finite() {
            return Ok(Stepped {
                loss: value,
                gradient_norm: f64::NAN,
            });
        }
        let mut gradients = loss.try_backward().map_err(TaskError::device)?;
        self.optimiser.rate = rate;
        let gradient_norm = self
            .optimiser
            .step(self.model, &mut gradients)
            .map_err(TaskError::device)?;
        if let Some(average) = self.average.as_mut().filter(|_| gradient_norm.is_finite()) {
            average.update(self.model).map_err(TaskError::device)?;
        }
        Ok(Stepped {
            loss: value,
            gradient_norm,
        })
    }

    fn updates(&self) -> u64 {
        self.optimiser.steps()
    }

    fn evaluate(&self) -> Result<Option<Evaluation>, TaskError> {
        self.task.evaluate(self.model, self.device)
    }

    fn validation(&self) -> String {
        self.task.validation()
    }

    fn swap_average(&mut self) -> Result<bool, TrainError> {
        match self.average.as_mut().filter(|average| !average.is_empty()) {
            Some(average) => average.swap(self.model).map(|()| true).map_err(device),
            None => Ok(false),
        }
    }

    fn non_finite(&self) -> Result<Vec<String>, TrainError> {
        optim::non_finite::<f32, D, M>(self.model).map_err(device)
    }

    fn save(&self, path: &Path) -> Result<(), TrainError> {
        checkpoint::save(&*self.model, path).map_err(|error| match error {
            CheckpointError::Write { path, error } => RunError::Write(path, error).into(),
            other => device(other),
        })
    }

    fn state(&self) -> Result<Vec<Stored<'static>>, TrainError> {
        let exec = self.device.exec().map_err(device)?;
        let failed = |error| device(D::failed(error));
        let mut tensors = optim::read::<D, M>(self.model, "model.").map_err(device)?;
        tensors.extend(self.optimiser.save(&exec, "optimiser.").map_err(failed)?);
        if let Some(average) = &self.average {
            let averages = average.0.save(&exec, &self.slots, "average.");
            tensors.extend(averages.map_err(failed)?);
        }
        Ok(tensors)
    }

    fn restore(&mut self, last: &Checkpoint, progress: &Progress) -> Result<(), TrainError> {
        let exec = self.device.exec().map_err(device)?;
        let failed = |error| device(D::failed(error));
        let model = |slot: &Slot| last.bytes(&format!("model.{}", slot.key));
        optim::write::<D, M>(self.model, model).map_err(device)?;
        let states = |key: &str| last.bytes(&format!("optimiser.{key}"));
        let updates = progress.optimiser_steps;
        let restored = self.optimiser.restore(&exec, updates, &self.slots, states);
        restored.map_err(failed)?;
        if let Some(average) = self.average.as_mut().filter(|_| progress.steps > 0) {
            let averages = |key: &str| last.bytes(&format!("average.{key}"));
            average.0.restore(&exec, &self.slots, averages).map_err(failed)?;
        }
        Ok(())
    }
}
