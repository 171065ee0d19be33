//! A model in training.

use super::objective::{Objective, Part};
use super::subject::carry;
use super::{Loss, Model, Sums, failed};
use ksdsl_checkpoint::Tensor as Stored;
use ksdsl_cpu::CpuExec;
use ksdsl_engine::Exec;
use ksdsl_engine::update::{Slot, Updates};
use ksdsl_train_core::Recipe;
use ksdsl_train_core::metrics::Evaluation;
use ksdsl_train_core::optim::{Average, Optimiser, floats};
use ksdsl_train_core::progress::Progress;
use ksdsl_train_core::run::{Checkpoint, RunError};
use ksdsl_train_core::task::TaskError;
use ksdsl_train_core::trainer::TrainError;
use ksdsl_train_core::trainer::learner::{Learner, Stepped};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// A model in training on an executor: the CPU, if none is named.
pub struct Training<O, X: Updates<f32> = CpuExec> {
    model: Model<X>,
    /// The model that takes over from this one, if it begins as another network.
    next: Option<Model<X>>,
    /// What it learns from batches; `()` for steps on inputs alone.
    objective: O,
    /// The most parts of a batch.
    parts: usize,
    optimiser: Optimiser<f32, X>,
    average: Option<Average<X::Buf>>,
}

impl<O, X: Updates<f32>> Training<O, X> {
    /// A model that begins to train.
    ///
    /// # Errors
    /// If the recipe's `train_only` does not fit the network.
    pub fn new(recipe: &Recipe, mut model: Model<X>, objective: O) -> Result<Self, TrainError> {
        model.train_only(&recipe.train_only).map_err(TrainError::Selection)?;
        let mut optimiser = Optimiser::of(recipe);
        optimiser.know(&model.slots);
        Ok(Self {
            model,
            next: None,
            objective,
            parts: recipe.accumulate.unwrap_or(1),
            optimiser,
            average: recipe.average.map(Average::new),
        })
    }

    /// The same, before that of another network, which differs in sharing alone, takes over.
    pub(super) fn before(self, next: Model<X>) -> Self {
        Self {
            next: Some(next),
            ..self
        }
    }

    /// The model as the steps left it.
    pub fn model(&self) -> &Model<X> {
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
        let descended = self.model.descend(inputs, &mut seeds(dropout), loss)?;
        self.apply(descended, rate)
    }

    /// Updates the model with the gradients of a step.
    fn apply(&mut self, (loss, sums): (f32, Sums<X::Buf>), rate: f64) -> Result<Stepped, TaskError> {
        let mut gradients = self.model.of_trained(sums)?;
        let loss = f64::from(loss);
        let mut gradient_norm = f64::NAN;
        if loss.is_finite() {
            self.optimiser.rate = rate;
            gradient_norm = self
                .optimiser
                .begin(&self.model.graph.exec, &mut gradients)
                .map_err(TaskError::device)?;
        }
        if gradient_norm.is_finite() {
            self.update(&gradients).map_err(TaskError::device)?;
        }
        Ok(Stepped { loss, gradient_norm })
    }

    /// Updates the trained tensors, and the average of all.
    fn update(&mut self, gradients: &[X::Buf]) -> Result<(), X::Err> {
        let Model {
            graph,
            slots,
            places,
            frozen,
            ..
        } = &mut self.model;
        let tensors = slots.iter().zip(places.iter());
        let trained = tensors.clone().filter(|(slot, _)| slot.trained);
        for (at, ((slot, &place), gradient)) in trained.zip(gradients).enumerate() {
            self.optimiser
                .update(&graph.exec, (at, slot), graph.params.get_mut(place), gradient)?;
        }
        if let Some(average) = &mut self.average {
            let is_new = average.is_empty();
            // The mean of equal values may round.
            let moves = |at: &usize| is_new || !frozen[*at];
            for (at, (slot, &place)) in tensors.enumerate().filter(|(at, _)| moves(at)) {
                average.update::<f32, _>(&graph.exec, (at, slot), graph.params.get(place).clone())?;
            }
        }
        Ok(())
    }
}

/// The loss and the gradients of a batch in parts: the means over its items.
fn accumulate<X: Exec<f32>>(
    model: &mut Model<X>,
    parts: &[Part<'_>],
    dropout: u64,
) -> Result<(f32, Sums<X::Buf>), TaskError> {
    let (mut loss, mut sums, mut seeds) = (0.0, Sums::new(), seeds(dropout));
    for part in parts {
        let inputs: Vec<&[f32]> = std::iter::once(part.input).chain(part.second.as_deref()).collect();
        let (value, more) = model.descend(&inputs, &mut seeds, |outputs| {
            let (value, mut gradients) = (part.loss)(outputs);
            // A whole batch keeps its bits.
            if part.share != 1.0 {
                gradients.iter_mut().flatten().for_each(|value| *value *= part.share);
            }
            (value, gradients)
        })?;
        loss += part.share * value;
        for (place, sum) in more {
            let sum = match sums.remove(&place) {
                Some(held) => model.graph.exec.add(held, &sum).map_err(TaskError::device)?,
                None => sum,
            };
            sums.insert(place, sum);
        }
    }
    Ok((loss, sums))
}

/// The dropout seeds of a step.
fn seeds(dropout: u64) -> impl FnMut() -> u64 {
    let mut seeds = ChaCha8Rng::seed_from_u64(dropout);
    move || seeds.next_u64()
}

impl<O: Objective, X: Updates<f32>> Learner<O::Batch> for Training<O, X> {
    fn slots(&self) -> &[Slot] {
        &self.model.slots
    }

    fn step(&mut self, batch: &O::Batch, rate: f64, dropout: u64) -> Result<Stepped, TaskError> {
        let parts = self.objective.parts(batch, self.parts)?;
        let iterations = self.objective.iterations(dropout);
        if let Some((name, count)) = iterations {
            self.model.graph.set_steps(name, count).map_err(failed)?;
        }
        let descended = accumulate(&mut self.model, &parts, dropout);
        if iterations.is_some() {
            self.model.graph.reset_steps();
        }
        drop(parts);
        self.apply(descended?, rate)
    }

    fn updates(&self) -> u64 {
        self.optimiser.steps()
    }

    fn evaluate(&self) -> Result<Option<Evaluation>, TaskError> {
        self.objective.evaluate(&self.model)
    }

    fn validation(&self) -> String {
        self.objective.validation()
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
        self.model.non_finite().map_err(device)
    }

    fn save(&self, path: &Path) -> Result<(), TrainError> {
        let written = self.model.save(path);
        written.map_err(|error| RunError::Write(path.to_owned(), error).into())
    }

    fn state(&self) -> Result<Vec<Stored<'static>>, TrainError> {
        let exec = &self.model.graph.exec;
        let mut tensors = self.model.tensors("model.").map_err(device)?;
        tensors.extend(self.optimiser.save(exec, "optimiser.").map_err(device)?);
        if let Some(average) = &self.average {
            tensors.extend(average.save(exec, &self.model.slots, "average.").map_err(device)?);
        }
        Ok(tensors)
    }

    fn restore(&mut self, last: &Checkpoint, progress: &Progress) -> Result<(), TrainError> {
        self.set(progress.optimiser_steps, progress.steps > 0, |key| last.bytes(key))
    }

    fn end_beginning(&mut self) -> Result<(), TrainError> {
        let Some(next) = self.next.take() else {
            return Ok(());
        };
        let state = self.state()?;
        let states = self.optimiser.method().states().iter();
        let states = states.map(|state| (format!("optimiser.{state}."), true));
        let mut carried = HashMap::new();
        for (prefix, trained) in [("model.".to_owned(), false), ("average.".to_owned(), false)]
            .into_iter()
            .chain(states)
        {
            let tensors = carry(&state, (&prefix, trained), [&self.model, &next]);
            let tensors = tensors.map_err(|problems| TrainError::Unlike(problems.to_string()))?;
            carried.extend(tensors.into_iter().map(|tensor| (tensor.key, tensor.data)));
        }
        let has_average = self.average.as_ref().is_some_and(|average| !average.is_empty());
        self.model = next;
        self.optimiser.know(&self.model.slots);
        self.set(self.optimiser.steps(), has_average, |key| {
            carried.get(key).map_or([].as_slice(), |data| data.as_ref())
        })
    }
}

impl<O, X: Updates<f32>> Training<O, X> {
    /// Takes model, optimiser and average from the tensors that `bytes` gives for their keys.
    fn set<'b>(&mut self, updates: u64, has_average: bool, bytes: impl Fn(&str) -> &'b [u8]) -> Result<(), TrainError> {
        let Model {
            graph, slots, places, ..
        } = &mut self.model;
        for (slot, &place) in slots.iter().zip(places.iter()) {
            let values = floats(bytes(&format!("model.{}", slot.key)));
            graph.params.set(place, graph.exec.upload(values).map_err(device)?);
        }
        let states = |key: &str| bytes(&format!("optimiser.{key}"));
        let restored = self.optimiser.restore(&graph.exec, updates, slots, states);
        restored.map_err(device)?;
        if let Some(average) = self.average.as_mut().filter(|_| has_average) {
            let averages = |key: &str| bytes(&format!("average.{key}"));
            average.restore(&graph.exec, slots, averages).map_err(device)?;
        }
        Ok(())
    }
}

fn device(error: impl fmt::Display) -> TrainError {
    TrainError::Device(error.to_string())
}
