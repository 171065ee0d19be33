//! A run in progress: model, optimiser and average, training steps, and checkpoints.

use super::error::{Diverged, TrainError};
use super::evaluate::{ValidationSet, evaluate};
use crate::classifier::Classifier;
use crate::data::{Images, Targets};
use crate::loss::cross_entropy;
use crate::metrics::Evaluation;
use crate::optim::{self, Average, Optimiser};
use crate::progress::Progress;
use crate::random::{Purpose, seed};
use crate::recipe::Recipe;
use crate::record::Step;
use crate::run::{Checkpoint, RunError, RunFolder};
use crate::source::HostBatch;
use ksdsl_checkpoint::{Expected, Kind};
use ksdsl_runtime::Backend;
use ksdsl_runtime::checkpoint::{self, Element as _};
use ksdsl_runtime::dfdx::nn::ZeroGrads;
use ksdsl_runtime::dfdx::shapes::Const;
use ksdsl_runtime::dfdx::tensor::Trace;
use ksdsl_runtime::dfdx::tensor_ops::Backward;
use ksdsl_runtime::pass::with_seed;
use ksdsl_runtime::tensors::Slot;
use std::fmt::Display;
use std::time::Instant;

/// A run in progress.
pub(super) struct Session<'s, M, D: Backend<f32>, const C: usize, const H: usize, const W: usize, const K: usize> {
    pub(super) recipe: &'s Recipe,
    pub(super) model: &'s mut M,
    pub(super) device: &'s D,
    pub(super) folder: Option<RunFolder>,
    pub(super) progress: Progress,
    pub(super) per_epoch: u64,
    pub(super) average: Option<Average<f32, D>>,
    optimiser: Optimiser<f32, D>,
    slots: Vec<Slot>,
    /// The loss of the last step.
    loss: f64,
}

/// Converts a device error.
pub(super) fn device(error: impl Display) -> TrainError {
    TrainError::Device(error.to_string())
}

impl<'s, M, D, const C: usize, const H: usize, const W: usize, const K: usize> Session<'s, M, D, C, H, W, K>
where
    D: Backend<f32>,
    M: Classifier<C, H, W, K, D>,
{
    /// Starts a run, or resumes the one in the folder.
    pub(super) fn new(
        recipe: &'s Recipe,
        model: &'s mut M,
        on: &'s D,
        folder: Option<RunFolder>,
        per_epoch: u64,
    ) -> Result<Self, TrainError> {
        let mut optimiser = Optimiser::new(recipe.method);
        optimiser.decayed = recipe.decayed;
        optimiser.clip = recipe.clip;
        let slots = optim::slots::<f32, D, M>(model).map_err(device)?;
        let mut session = Self {
            recipe,
            model,
            device: on,
            folder,
            progress: Progress::new(),
            per_epoch,
            average: recipe.average.map(Average::new),
            optimiser,
            slots,
            loss: 0.0,
        };
        let last = session.folder.as_ref().map(RunFolder::load).transpose()?.flatten();
        match last {
            Some(last) => session.restore(&last)?,
            None => session.save()?,
        }
        session.folder.as_mut().map_or(Ok(()), RunFolder::begin)?;
        Ok(session)
    }

    /// The number of steps in the current epoch; the last epoch may be shorter.
    pub(super) fn steps_of_epoch(&self) -> u64 {
        let before = u64::from(self.progress.epoch - 1).saturating_mul(self.per_epoch);
        let left = self.recipe.total_steps(self.per_epoch).saturating_sub(before);
        left.min(self.per_epoch)
    }

    /// Whether the current epoch is the last.
    pub(super) fn is_last_epoch(&self) -> bool {
        u64::from(self.progress.epoch).saturating_mul(self.per_epoch) >= self.recipe.total_steps(self.per_epoch)
    }

    /// Runs a step on a batch; `start` is when waiting for the batch began.
    pub(super) fn step(&mut self, batch: HostBatch, start: Instant) -> Result<Step, TrainError> {
        let waited = start.elapsed().as_secs_f64();
        let rate = self.recipe.rate_at(self.progress.steps, self.per_epoch);
        let count = batch.len();
        let (images, targets) = self.tensors(batch)?;
        let norm = self.descend(images, targets, rate)?;
        if let Some(average) = &mut self.average {
            average.update(self.model).map_err(device)?;
        }
        let (seconds, loss) = (start.elapsed().as_secs_f64(), self.loss);
        let progress = &mut self.progress;
        progress.step += 1;
        progress.steps += 1;
        progress.optimiser_steps = self.optimiser.steps();
        progress.loss += loss * count as f64;
        progress.images += count;
        progress.seconds += seconds;
        progress.waited += waited;
        progress.rate = rate;
        progress.gradient_norm = Some(norm);
        Ok(Step {
            epoch: progress.epoch,
            number: progress.steps,
            loss,
            rate,
            gradient_norm: Some(norm),
            images: count,
            seconds,
            waited,
        })
    }

    /// Updates the model and returns the gradient norm. Dropout masks depend only on the seed and the step.
    fn descend(
        &mut self,
        images: Images<C, H, W, f32, D>,
        targets: Targets<K, f32, D>,
        rate: f64,
    ) -> Result<f64, TrainError> {
        let done = self.progress.steps;
        let gradients = ZeroGrads::<f32, D>::try_alloc_grads(self.model).map_err(device)?;
        let traced = images.clone().traced(gradients);
        let dropout = seed(self.recipe.seed, Purpose::Dropout, [done, 0]);
        let logits = with_seed(dropout, || self.model.try_forward_mut(traced)).map_err(device)?;
        let loss = cross_entropy(logits, targets);
        self.loss = f64::from(loss.as_vec()[0]);
        let finite = || images.as_vec().iter().all(|value| value.is_finite());
        if !self.loss.is_finite() {
            // The loss reveals the damage of the previous update.
            let rate = if done > 0 { self.progress.rate } else { rate };
            return Err(self.diverged(done + 1, rate, self.progress.gradient_norm, finite()));
        }
        let mut gradients = loss.try_backward().map_err(device)?;
        self.optimiser.rate = rate;
        let norm = self.optimiser.step(self.model, &mut gradients).map_err(device)?;
        match norm.is_finite() {
            true => Ok(norm),
            false => Err(self.diverged(done + 1, rate, Some(norm), finite())),
        }
    }

    #[allow(clippy::type_complexity)]
    fn tensors(&self, batch: HostBatch) -> Result<(Images<C, H, W, f32, D>, Targets<K, f32, D>), TrainError> {
        let count = batch.len();
        if batch.images.len() != count * C * H * W || batch.targets.len() != count * K || count == 0 {
            let (images, targets) = (batch.images.len(), batch.targets.len());
            return Err(self.source_error(format!(
                "the batch has {images} values and {targets} targets for {count} images"
            )));
        }
        let images = self
            .device
            .try_tensor_from_vec(batch.images, (count, Const, Const, Const));
        let targets = self.device.try_tensor_from_vec(batch.targets, (count, Const));
        Ok((images.map_err(device)?, targets.map_err(device)?))
    }

    /// The error for a source whose next batch contradicts its description.
    pub(super) fn source_error(&self, what: String) -> TrainError {
        TrainError::Source {
            epoch: self.progress.epoch,
            step: self.progress.step + 1,
            what,
        }
    }

    /// The error for a run that diverged.
    fn diverged(&self, step: u64, rate: f64, gradient_norm: Option<f64>, images_finite: bool) -> TrainError {
        match optim::non_finite::<f32, D, M>(self.model) {
            Ok(tensors) => TrainError::Diverged(Box::new(Diverged {
                epoch: self.progress.epoch,
                step,
                loss: self.loss,
                rate,
                gradient_norm,
                images_finite,
                tensors,
                checkpoint: self.folder.as_ref().map(RunFolder::last),
            })),
            Err(error) => device(error),
        }
    }

    /// Evaluates the model and, if there is one, the averaged model.
    pub(super) fn evaluate(
        &mut self,
        validation: ValidationSet<'_, C, H, W, K>,
    ) -> Result<(Evaluation, Option<Evaluation>), TrainError> {
        let on = self.device;
        let evaluation = evaluate(&*self.model, validation, on).map_err(device)?;
        let averaged = self.with_average(|model| evaluate(model, validation, on).map_err(device))?;
        Ok((evaluation, averaged))
    }

    /// Runs `work` with the averaged model, if there is one.
    fn with_average<R>(&mut self, work: impl FnOnce(&M) -> Result<R, TrainError>) -> Result<Option<R>, TrainError> {
        let Some(average) = self.average.as_mut().filter(|average| !average.is_empty()) else {
            return Ok(None);
        };
        average.swap(self.model).map_err(device)?;
        let result = work(self.model);
        average.swap(self.model).map_err(device)?;
        result.map(Some)
    }

    /// Saves the averaged model, or the model if there is no average, as the best one.
    pub(super) fn save_best(&mut self) -> Result<(), TrainError> {
        let Some(path) = self.folder.as_ref().map(RunFolder::best) else {
            return Ok(());
        };
        let save = |model: &M| save_model::<M, D>(model, &path);
        match self.with_average(save)? {
            Some(()) => Ok(()),
            None => save(self.model),
        }
    }

    /// Saves the final model and its average.
    pub(super) fn save_models(&mut self) -> Result<(), TrainError> {
        let paths = self.folder.as_ref().map(|folder| (folder.model(), folder.averaged()));
        let Some((path, averaged)) = paths else {
            return Ok(());
        };
        save_model::<M, D>(&*self.model, &path)?;
        self.with_average(|model| save_model::<M, D>(model, &averaged))?;
        self.sync()
    }

    /// Saves the final models of a finished run again if they are missing.
    pub(super) fn restore_models(&mut self) -> Result<(), TrainError> {
        let is_lost =
            |folder: &RunFolder| !folder.model().exists() || self.average.is_some() && !folder.averaged().exists();
        match self.progress.ended.is_some() && self.folder.as_ref().is_some_and(is_lost) {
            true => self.save_models(),
            false => Ok(()),
        }
    }

    fn sync(&self) -> Result<(), TrainError> {
        Ok(self.folder.as_ref().map_or(Ok(()), RunFolder::sync)?)
    }

    /// Writes a checkpoint, if there is a folder; refuses non-finite models.
    pub(super) fn save(&self) -> Result<(), TrainError> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        self.check_model()?;
        let mut tensors = optim::read::<f32, D, M>(self.model, "model.").map_err(device)?;
        tensors.extend(self.optimiser.save(self.device, "optimiser.").map_err(device)?);
        if let Some(average) = &self.average {
            let averages = average.save(self.device, &self.slots, "average.");
            tensors.extend(averages.map_err(device)?);
        }
        Ok(folder.save(tensors, &self.progress)?)
    }

    /// Checks that all values of the model are finite.
    pub(super) fn check_model(&self) -> Result<(), TrainError> {
        let progress = &self.progress;
        match optim::non_finite::<f32, D, M>(self.model).map_err(device)?.as_slice() {
            [] => Ok(()),
            _ => Err(self.diverged(progress.steps, progress.rate, progress.gradient_norm, true)),
        }
    }

    /// Restores the state from a checkpoint, which is checked completely first.
    fn restore(&mut self, last: &Checkpoint) -> Result<(), TrainError> {
        let progress = &last.progress;
        let checked = progress.check(self.recipe, self.per_epoch);
        checked.map_err(|what| last.refused(format!("its `progress` is inconsistent: {what}")))?;
        let expected = self.expected(progress);
        let wrong = |it: &&Expected| !is_usable(&it.key, last.bytes(&it.key));
        let broken = expected.iter().find(wrong).map(|it| it.key.clone());
        last.check(expected)?;
        if let Some(key) = broken {
            return Err(last.refused(format!("`{key}` contains invalid values")).into());
        }
        self.check_files(progress)?;
        let model = |slot: &Slot| last.bytes(&format!("model.{}", slot.key));
        optim::write::<f32, D, M>(self.model, model).map_err(device)?;
        let steps = progress.optimiser_steps;
        let states = |key: &str| last.bytes(&format!("optimiser.{key}"));
        let restored = self.optimiser.restore(self.device, steps, &self.slots, states);
        restored.map_err(device)?;
        if let Some(average) = self.average.as_mut().filter(|_| progress.steps > 0) {
            let averages = |key: &str| last.bytes(&format!("average.{key}"));
            average.restore(self.device, &self.slots, averages).map_err(device)?;
        }
        self.progress = progress.clone();
        Ok(())
    }

    /// Checks that the best model exists; the final models can be written again.
    fn check_files(&self, progress: &Progress) -> Result<(), RunError> {
        let best = self.folder.as_ref().map(RunFolder::best);
        match best.filter(|best| progress.best.is_some() && !best.exists()) {
            Some(best) => Err(RunError::Lost(best)),
            None => Ok(()),
        }
    }

    /// The expected tensors of a checkpoint.
    fn expected(&self, progress: &Progress) -> Vec<Expected> {
        let states = self.optimiser.method().states();
        let mut all = Vec::new();
        for slot in &self.slots {
            let mut expect = |prefix: String| {
                all.push(Expected {
                    key: format!("{prefix}.{}", slot.key),
                    shape: slot.shape.iter().map(|&size| size as u64).collect(),
                    kind: Some(Kind::F32),
                });
            };
            expect("model".to_owned());
            if slot.trained && progress.optimiser_steps > 0 {
                states.iter().for_each(|state| expect(format!("optimiser.{state}")));
            }
            if self.average.is_some() && progress.steps > 0 {
                expect("average".to_owned());
            }
        }
        all
    }
}

/// Whether a checkpoint's tensor has valid values: the model's are finite, others are not NaN, second moments are not
/// negative.
fn is_usable(key: &str, bytes: &[u8]) -> bool {
    let (is_model, is_square) = (key.starts_with("model."), key.starts_with("optimiser.second_moment."));
    f32::from_bytes(bytes).into_iter().all(|value| {
        let is_expected = if is_model { value.is_finite() } else { !value.is_nan() };
        is_expected && !(is_square && value < 0.0)
    })
}

/// Writes a model to a file.
fn save_model<M, D>(model: &M, path: &std::path::Path) -> Result<(), TrainError>
where
    D: Backend<f32>,
    M: ksdsl_runtime::dfdx::nn::tensor_collection::TensorCollection<f32, D> + ksdsl_runtime::network::Generated,
{
    checkpoint::save(model, path).map_err(|error| match error {
        checkpoint::CheckpointError::Write { path, error } => RunError::Write(path, error).into(),
        other => device(other),
    })
}
