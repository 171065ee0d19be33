//! A model in training.

use super::{Loss, Model, exec_failed};
use ksdsl_checkpoint::{Tensor as Stored, to_bytes};
use ksdsl_cpu::{CpuBuf, CpuExec, Error};
use ksdsl_engine::update::Slot;
use ksdsl_train_core::Recipe;
use ksdsl_train_core::loss::cross_entropy;
use ksdsl_train_core::metrics::Evaluation;
use ksdsl_train_core::optim::{Average, Optimiser, floats};
use ksdsl_train_core::progress::Progress;
use ksdsl_train_core::run::{Checkpoint, RunError};
use ksdsl_train_core::source::HostBatch;
use ksdsl_train_core::task::{TaskError, ValidationSet};
use ksdsl_train_core::trainer::TrainError;
use ksdsl_train_core::trainer::learner::{Learner, Stepped};
use std::path::Path;

/// A model in training.
pub struct Training<'d> {
    model: Model,
    validation: Option<ValidationSet<'d>>,
    optimiser: Optimiser<f32, CpuExec>,
    average: Option<Average<CpuBuf<f32>>>,
}

impl<'d> Training<'d> {
    /// A model that begins to train.
    pub fn new(recipe: &Recipe, model: Model, validation: Option<ValidationSet<'d>>) -> Self {
        let mut optimiser = Optimiser::of(recipe);
        optimiser.know(&model.slots);
        Self {
            model,
            validation,
            optimiser,
            average: recipe.average.map(Average::new),
        }
    }

    /// The model as the steps left it.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// A step on inputs, with the loss that `loss` makes of the outputs.
    ///
    /// # Errors
    /// If the inputs, or the gradients that `loss` gives, do not fit the network.
    pub fn step_on(
        &mut self,
        inputs: &[&[f32]],
        (rate, dropout): (f64, u64),
        loss: impl FnOnce(&[Vec<f32>]) -> Loss,
    ) -> Result<Stepped, TaskError> {
        let (loss, mut gradients) = self.model.gradients(inputs, dropout, loss)?;
        let loss = f64::from(loss);
        let mut gradient_norm = f64::NAN;
        if loss.is_finite() {
            self.optimiser.rate = rate;
            gradient_norm = self.optimiser.begin(&CpuExec, &mut gradients).map_err(exec_failed)?;
        }
        if gradient_norm.is_finite() {
            self.update(&gradients).map_err(exec_failed)?;
        }
        Ok(Stepped { loss, gradient_norm })
    }

    /// Updates the trained tensors, and the average of all.
    fn update(&mut self, gradients: &[CpuBuf<f32>]) -> Result<(), Error> {
        let Model {
            graph, slots, places, ..
        } = &mut self.model;
        let tensors = slots.iter().zip(places.iter());
        let trained = tensors.clone().filter(|(slot, _)| slot.trained);
        for (at, ((slot, &place), gradient)) in trained.zip(gradients).enumerate() {
            self.optimiser
                .update(&CpuExec, (at, slot), graph.params.get_mut(place), gradient)?;
        }
        if let Some(average) = &mut self.average {
            for (at, (slot, &place)) in tensors.enumerate() {
                average.update::<f32, _>(&CpuExec, (at, slot), graph.params.get(place).clone())?;
            }
        }
        Ok(())
    }
}

impl Learner<HostBatch> for Training<'_> {
    fn slots(&self) -> &[Slot] {
        &self.model.slots
    }

    fn step(&mut self, batch: &HostBatch, rate: f64, dropout: u64) -> Result<Stepped, TaskError> {
        let (count, classes) = (batch.len(), self.model.classes());
        if batch.targets.len() != count * classes || count == 0 {
            let found = batch.targets.len();
            return Err(TaskError::Batch(format!(
                "the batch has {found} targets for {count} images; the network has {classes} outputs for each"
            )));
        }
        self.step_on(&[&batch.images], (rate, dropout), |logits| {
            let (value, gradient) = cross_entropy(&logits[0], &batch.targets, classes);
            (value, vec![gradient])
        })
    }

    fn updates(&self) -> u64 {
        self.optimiser.steps()
    }

    fn evaluate(&self) -> Result<Option<Evaluation>, TaskError> {
        let evaluate = |set: &ValidationSet<'_>| set.evaluate(|batch| self.model.infer(&batch.images));
        self.validation.as_ref().map(evaluate).transpose()
    }

    fn validation(&self) -> String {
        ValidationSet::describe(self.validation.as_ref())
    }

    fn swap_average(&mut self) -> Result<bool, TrainError> {
        let Some(average) = self.average.as_mut().filter(|average| !average.is_empty()) else {
            return Ok(false);
        };
        for (&place, value) in self.model.places.iter().zip(average.values_mut()) {
            std::mem::swap(self.model.graph.params.get_mut(place), value);
        }
        Ok(true)
    }

    fn non_finite(&self) -> Result<Vec<String>, TrainError> {
        Ok(self.model.non_finite())
    }

    fn save(&self, path: &Path) -> Result<(), TrainError> {
        let content = to_bytes(&self.model.tensors(""), &self.model.shared);
        let written = ksdsl_checkpoint::write_file(path, &content);
        written.map_err(|error| RunError::Write(path.to_owned(), error).into())
    }

    fn state(&self) -> Result<Vec<Stored<'static>>, TrainError> {
        let mut tensors = self.model.tensors("model.");
        tensors.extend(self.optimiser.save(&CpuExec, "optimiser.").map_err(device)?);
        if let Some(average) = &self.average {
            tensors.extend(average.save(&CpuExec, &self.model.slots, "average.").map_err(device)?);
        }
        Ok(tensors)
    }

    fn restore(&mut self, last: &Checkpoint, progress: &Progress) -> Result<(), TrainError> {
        let Model {
            graph, slots, places, ..
        } = &mut self.model;
        for (slot, &place) in slots.iter().zip(places.iter()) {
            let values = floats(last.bytes(&format!("model.{}", slot.key)));
            *graph.params.get_mut(place) = CpuBuf::from_vec(values);
        }
        let states = |key: &str| last.bytes(&format!("optimiser.{key}"));
        let restored = self
            .optimiser
            .restore(&CpuExec, progress.optimiser_steps, slots, states);
        restored.map_err(device)?;
        if let Some(average) = self.average.as_mut().filter(|_| progress.steps > 0) {
            let averages = |key: &str| last.bytes(&format!("average.{key}"));
            average.restore(&CpuExec, slots, averages).map_err(device)?;
        }
        Ok(())
    }
}

fn device(error: Error) -> TrainError {
    TrainError::Device(format!("{error:?}"))
}
