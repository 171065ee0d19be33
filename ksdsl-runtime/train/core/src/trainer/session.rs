//! A run in progress: training steps, evaluations, and checkpoints.

use super::error::{Diverged, TrainError};
use super::learner::Learner;
use crate::clock::Clock;
use crate::metrics::Evaluation;
use crate::optim::floats;
use crate::progress::Progress;
use crate::random::{Purpose, seed};
use crate::recipe::Recipe;
use crate::record::Step;
use crate::run::{Checkpoint, Facts, RunError, RunFolder};
use crate::source::Batch;
use crate::task::TaskError;
use ksdsl_checkpoint::{Expected, Kind};

/// A run in progress.
pub(super) struct Session<'s, B> {
    pub(super) recipe: &'s Recipe,
    learner: &'s mut dyn Learner<B>,
    pub(super) folder: Option<RunFolder>,
    pub(super) progress: Progress,
    pub(super) per_epoch: u64,
    /// The epochs with another network, at the beginning.
    pub(super) beginning: u32,
    /// The loss of the last step.
    loss: f64,
}

impl<'s, B: Batch> Session<'s, B> {
    /// Starts a run, or resumes the one in the folder.
    pub(super) fn new(
        recipe: &'s Recipe,
        learner: &'s mut dyn Learner<B>,
        folder: Option<RunFolder>,
        (per_epoch, beginning): (u64, u32),
    ) -> Result<Self, TrainError> {
        let mut session = Self {
            recipe,
            learner,
            folder,
            progress: Progress::default(),
            per_epoch,
            beginning,
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

    /// Whether the current epoch trains the network as which the run begins.
    pub(super) fn is_beginning(&self) -> bool {
        self.progress.epoch <= self.beginning
    }

    /// Begins the next epoch, with the run's own network once the beginning is over.
    pub(super) fn next_epoch(&mut self) -> Result<(), TrainError> {
        let was_beginning = self.is_beginning();
        self.progress.next_epoch();
        match was_beginning && !self.is_beginning() {
            true => self.learner.end_beginning(),
            false => Ok(()),
        }
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
    pub(super) fn step(&mut self, batch: &B, start: Clock) -> Result<Step, TrainError> {
        let waited = start.seconds();
        let rate = self.recipe.rate_at(self.progress.steps, self.per_epoch);
        let norm = self.descend(batch, rate)?;
        let (seconds, loss, count) = (start.seconds(), self.loss, batch.len());
        let processor = start.processor_seconds();
        let progress = &mut self.progress;
        progress.step += 1;
        progress.steps += 1;
        progress.optimiser_steps = self.learner.updates();
        progress.loss += loss * count as f64;
        progress.images += count;
        progress.seconds += seconds;
        progress.waited += waited;
        progress.processor += processor.unwrap_or(0.0);
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
            processor,
        })
    }

    /// Updates the model and returns the gradient norm. Dropout masks depend only on the seed and the step.
    fn descend(&mut self, batch: &B, rate: f64) -> Result<f64, TrainError> {
        let done = self.progress.steps;
        let dropout = seed(self.recipe.seed, Purpose::Dropout, [done, 0]);
        let stepped = self.learner.step(batch, rate, dropout).map_err(|error| match error {
            TaskError::Batch(what) => self.source_error(what),
            TaskError::Device(what) => TrainError::Device(what),
        })?;
        self.loss = stepped.loss;
        if !self.loss.is_finite() {
            // The loss reveals the damage of the previous update.
            let rate = if done > 0 { self.progress.rate } else { rate };
            return Err(self.diverged(done + 1, rate, self.progress.gradient_norm, batch.is_finite()));
        }
        match stepped.gradient_norm {
            norm if norm.is_finite() => Ok(norm),
            norm => Err(self.diverged(done + 1, rate, Some(norm), batch.is_finite())),
        }
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
        match self.learner.non_finite() {
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
            Err(error) => error,
        }
    }

    /// Evaluates the model and, if there is one, the averaged model.
    pub(super) fn evaluate(&mut self) -> Result<[Option<Evaluation>; 2], TrainError> {
        let of = |learner: &dyn Learner<B>| {
            learner.evaluate().map_err(|error| match error {
                TaskError::Batch(what) => TrainError::Validation(what),
                TaskError::Device(what) => TrainError::Device(what),
            })
        };
        let evaluation = of(self.learner)?;
        Ok([evaluation, self.with_average(of)?.flatten()])
    }

    /// Runs `work` with the averaged model, if there is one.
    fn with_average<R>(
        &mut self,
        work: impl FnOnce(&dyn Learner<B>) -> Result<R, TrainError>,
    ) -> Result<Option<R>, TrainError> {
        if !self.learner.swap_average()? {
            return Ok(None);
        }
        let result = work(self.learner);
        self.learner.swap_average()?;
        result.map(Some)
    }

    /// Saves the averaged model, or the model if there is no average, as the best one.
    pub(super) fn save_best(&mut self) -> Result<(), TrainError> {
        let Some(path) = self.folder.as_ref().map(RunFolder::best) else {
            return Ok(());
        };
        match self.with_average(|learner| learner.save(&path))? {
            Some(()) => Ok(()),
            None => self.learner.save(&path),
        }
    }

    /// Saves the final model and its average.
    pub(super) fn save_models(&mut self) -> Result<(), TrainError> {
        let paths = self.folder.as_ref().map(|folder| (folder.model(), folder.averaged()));
        let Some((path, averaged)) = paths else {
            return Ok(());
        };
        self.learner.save(&path)?;
        self.with_average(|learner| learner.save(&averaged))?;
        self.sync()
    }

    /// Saves the final models of a finished run again if they are missing.
    pub(super) fn restore_models(&mut self) -> Result<(), TrainError> {
        let averages = self.recipe.average.is_some();
        let is_lost = |folder: &RunFolder| !folder.model().exists() || averages && !folder.averaged().exists();
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
        let tensors = self.learner.state()?;
        Ok(folder.save(tensors, &self.progress)?)
    }

    /// Checks that all values of the model are finite.
    pub(super) fn check_model(&self) -> Result<(), TrainError> {
        let progress = &self.progress;
        match self.learner.non_finite()?.as_slice() {
            [] => Ok(()),
            _ => Err(self.diverged(progress.steps, progress.rate, progress.gradient_norm, true)),
        }
    }

    /// Restores the state from a checkpoint, which is checked completely first.
    fn restore(&mut self, last: &Checkpoint) -> Result<(), TrainError> {
        let progress = &last.progress;
        let checked = progress.check(self.recipe, self.per_epoch);
        checked.map_err(|what| last.refused(format!("its `progress` is inconsistent: {what}")))?;
        if progress.epoch > self.beginning {
            self.learner.end_beginning()?;
        }
        let expected = self.expected(progress);
        let wrong = |it: &&Expected| !is_usable(&it.key, last.bytes(&it.key));
        let broken = expected.iter().find(wrong).map(|it| it.key.clone());
        last.check(expected)?;
        if let Some(key) = broken {
            return Err(last.refused(format!("`{key}` contains invalid values")).into());
        }
        self.check_files(progress)?;
        self.learner.restore(last, progress)?;
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
        let states = self.recipe.method.states();
        let mut all = Vec::new();
        for slot in self.learner.slots() {
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
            if self.recipe.average.is_some() && progress.steps > 0 {
                expect("average".to_owned());
            }
        }
        all
    }
}

/// The epochs with another network at the beginning of a run of so many.
pub(crate) fn beginning(network: &Facts, of: u32) -> Result<u32, TrainError> {
    match network.beginning.as_ref().map_or(0, |beginning| beginning.epochs) {
        epochs if epochs > 0 && epochs >= of => Err(TrainError::Beginning { epochs, of }),
        epochs => Ok(epochs),
    }
}

/// Whether a checkpoint's tensor has valid values: the model's are finite, others are not NaN, second moments are not
/// negative.
fn is_usable(key: &str, bytes: &[u8]) -> bool {
    let (is_model, is_square) = (key.starts_with("model."), key.starts_with("optimiser.second_moment."));
    floats(bytes).into_iter().all(|value| {
        let is_expected = if is_model { value.is_finite() } else { !value.is_nan() };
        is_expected && !(is_square && value < 0.0)
    })
}
