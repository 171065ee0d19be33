//! The trainer, on any model in training.

mod error;
#[doc(hidden)]
pub mod learner;
mod outcome;
mod session;

pub use crate::progress::{Best, End};
pub use crate::task::ValidationSet;
pub use error::{Diverged, TrainError};
pub use outcome::Outcome;
#[cfg(feature = "program")]
pub(crate) use session::beginning;

use crate::clock::Clock;
use crate::data::{Dataset, Scaling, Sizes};
use crate::interrupt::Stop;
use crate::metrics::Evaluation;
use crate::recipe::{InvalidRecipe, Recipe};
use crate::record::{Epoch, Observer, Start};
use crate::run::{Companion, Description, Facts, Opening, RunFolder};
use crate::source::{Batch, HostBatch, Source};
use error::check_sizes;
use ksdsl_engine::budget::MemoryBudget;
use learner::Learner;
use session::Session;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Why generated models have no memory budget.
pub(crate) const KEEPS_EVERYTHING: &str = "a memory budget is for specifications, which `ksn train` trains: generated models keep all that the backward pass needs";

/// Trains a network with a recipe; `ksdsl_train::Trainer` is the one for generated models. Builder methods add a validation
/// set, a run folder for checkpoints, observers, and a handle to stop the run.
pub struct Trainer<'t> {
    recipe: Recipe,
    validation: Option<ValidationSet<'t>>,
    classes: Vec<String>,
    observers: Vec<&'t mut dyn Observer>,
    folder: Option<(PathBuf, Opening)>,
    companions: Vec<Companion>,
    stop: Stop,
    every_steps: Option<u64>,
    every: Duration,
    memory: Option<MemoryBudget>,
}

impl<'t> Trainer<'t> {
    /// Creates a trainer.
    pub fn new(recipe: Recipe) -> Self {
        Self {
            recipe,
            validation: None,
            classes: Vec::new(),
            observers: Vec::new(),
            folder: None,
            companions: Vec::new(),
            stop: Stop::new(),
            every_steps: None,
            every: Duration::from_secs(60),
            memory: None,
        }
    }

    /// Sets the validation set, which is evaluated as often as the recipe says; `scaling` is that of the training set.
    pub fn validation(mut self, data: &'t Dataset, scaling: &Scaling) -> Self {
        let scaling = scaling.clone();
        self.validation = (!data.is_empty()).then_some(ValidationSet { data, scaling });
        self
    }

    /// Sets the class names for observers; the default is the class indices.
    pub fn classes(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.classes = names.into_iter().map(Into::into).collect();
        self
    }

    /// Adds an observer.
    pub fn observer(mut self, observer: &'t mut dyn Observer) -> Self {
        self.observers.push(observer);
        self
    }

    /// Starts a new run in a folder; an existing run is an error.
    pub fn folder(mut self, path: impl Into<PathBuf>) -> Self {
        self.folder = Some((path.into(), Opening::New));
        self
    }

    /// Resumes the run in a folder.
    pub fn resume(mut self, path: impl Into<PathBuf>) -> Self {
        self.folder = Some((path.into(), Opening::Resume));
        self
    }

    /// Resumes the run in a folder, or starts one.
    pub fn start_or_resume(mut self, path: impl Into<PathBuf>) -> Self {
        self.folder = Some((path.into(), Opening::Either));
        self
    }

    /// Adds a file of the caller to the run folder. It is written when the run starts, and on resume if it is missing,
    /// while the folder is locked.
    pub fn companion(mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        let (name, content) = (name.into(), content.into());
        self.companions.push(Companion { name, content });
        self
    }

    /// Writes a checkpoint every `steps` steps, in addition to the one after each epoch.
    pub fn checkpoint_every_steps(mut self, steps: u64) -> Self {
        self.every_steps = Some(steps.max(1));
        self
    }

    /// Writes a checkpoint when the last one is this old (default: 60 seconds), in addition to the one after each
    /// epoch.
    pub fn checkpoint_every(mut self, time: Duration) -> Self {
        self.every = time;
        self
    }

    /// Sets the handle that requests the run to stop or to write a checkpoint.
    pub fn stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Sets the memory of a step, which then computes again in the backward pass what it does not keep; the results are the same
    /// to the bit. Networks of specifications can do so, generated models keep everything.
    pub fn memory(mut self, budget: MemoryBudget) -> Self {
        self.memory = Some(budget);
        self
    }

    /// The memory of a step, if that is limited.
    #[doc(hidden)]
    pub fn budget(&self) -> Option<MemoryBudget> {
        self.memory
    }

    /// Refuses a budget, for models that keep everything.
    ///
    /// # Errors
    /// If there is one.
    #[doc(hidden)]
    pub fn keep_everything(&self) -> Result<(), TrainError> {
        match self.memory {
            Some(_) => Err(TrainError::Memory(KEEPS_EVERYTHING.to_owned())),
            None => Ok(()),
        }
    }

    /// The recipe.
    #[doc(hidden)]
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Checks that training and validation set fit a classifier of these sizes, and numbers its classes if they have no
    /// names; returns the validation set.
    ///
    /// # Errors
    /// If a data set does not fit.
    #[doc(hidden)]
    pub fn classify(
        &mut self,
        network: Sizes,
        training: Option<Sizes>,
    ) -> Result<Option<ValidationSet<'t>>, TrainError> {
        // Images are not drawn at random: an epoch is a pass over them.
        if self.recipe.steps_per_epoch.is_some() {
            let (name, expected) = (
                "steps_per_epoch",
                "null for images, whose epochs are passes over the data",
            );
            return Err(TrainError::Recipe(InvalidRecipe { name, expected }));
        }
        let validation = self.validation.take();
        check_sizes("training", training, network)?;
        check_sizes("validation", validation.as_ref().map(|set| set.data.sizes()), network)?;
        if self.classes.is_empty() {
            self.classes = (0..network.classes).map(|class| class.to_string()).collect();
        }
        Ok(validation)
    }

    /// [`Trainer::train`] for batches of images, compiled here and not for every model.
    ///
    /// # Errors
    /// As [`Trainer::train`].
    #[doc(hidden)]
    #[inline(never)]
    pub fn train_on_images(
        self,
        network: Facts,
        learner: &mut dyn Learner<HostBatch>,
        source: &mut dyn Source,
    ) -> Result<Outcome, TrainError> {
        self.train(network, learner, source)
    }

    /// Trains a model on the batches of `source`, starting from its initial values. Batches, recipe and initial values
    /// determine the outcome bit for bit: on the CPU it depends neither on the number of threads nor on interruptions.
    ///
    /// # Errors
    /// If recipe, batches or folder are refused, the data does not fit the network, training diverges, or files or the
    /// device fail.
    #[doc(hidden)]
    pub fn train<B: Batch>(
        mut self,
        network: Facts,
        learner: &mut dyn Learner<B>,
        source: &mut dyn Source<B>,
    ) -> Result<Outcome, TrainError> {
        self.recipe.check().map_err(TrainError::Recipe)?;
        let per_epoch = source.steps_per_epoch();
        if per_epoch == 0 {
            return Err(TrainError::NoImages);
        }
        let beginning = session::beginning(&network, self.epochs(per_epoch))?;
        let validation = ("validation".to_owned(), learner.validation());
        let settings = source.settings().into_iter().chain([validation]);
        let folder = self.open(&network, settings)?;
        let recipe = self.recipe.clone();
        let mut session = Session::new(&recipe, learner, folder, (per_epoch, beginning))?;
        self.notify_start(&network, &session, source.unit())?;
        let result = self.run(&mut session, source);
        if let Err(TrainError::Observer(_) | TrainError::Data(_) | TrainError::Source { .. }) = &result {
            // The state is valid; the first error is reported.
            session.save()?;
        }
        result
    }

    /// Opens the run folder, if one is set.
    fn open(
        &self,
        network: &Facts,
        settings: impl Iterator<Item = (String, String)>,
    ) -> Result<Option<RunFolder>, TrainError> {
        let Some((path, opening)) = &self.folder else {
            return Ok(None);
        };
        let description = Description::new(network, &self.recipe, settings);
        Ok(Some(RunFolder::open(path, *opening, &description, &self.companions)?))
    }

    /// The number of epochs, counting an incomplete last one.
    fn epochs(&self, per_epoch: u64) -> u32 {
        let epochs = self.recipe.total_steps(per_epoch).div_ceil(per_epoch);
        epochs.try_into().unwrap_or(u32::MAX)
    }

    fn notify_start<B: Batch>(
        &mut self,
        network: &Facts,
        session: &Session<'_, B>,
        unit: &'static str,
    ) -> Result<(), TrainError> {
        let start = Start {
            network: &network.name,
            parameters: network.parameters,
            classes: &self.classes,
            unit,
            epochs: self.epochs(session.per_epoch),
            steps_per_epoch: session.per_epoch,
            beginning: session.beginning,
            done: session.progress.steps,
            folder: session.folder.as_ref().map(RunFolder::path),
        };
        notify(&mut self.observers, |observer| observer.start(&start))
    }

    /// Runs all remaining epochs.
    fn run<B: Batch>(
        &mut self,
        session: &mut Session<'_, B>,
        source: &mut dyn Source<B>,
    ) -> Result<Outcome, TrainError> {
        session.restore_models()?;
        let mut evaluations = [None, None];
        while session.progress.ended.is_none() {
            if !self.steps(session, source)? {
                return self.end(session, End::Interrupted, [None, None]);
            }
            evaluations = self.end_epoch(session)?;
            if self.stop.is_requested() && session.progress.ended.is_none() {
                return self.end(session, End::Interrupted, [None, None]);
            }
        }
        if evaluations[0].is_none() {
            evaluations = session.evaluate()?;
        }
        let end = session.progress.ended.unwrap_or(End::Finished);
        self.end(session, end, evaluations)
    }

    /// Runs the remaining steps of the epoch; `false` if a stop was requested.
    fn steps<B: Batch>(
        &mut self,
        session: &mut Session<'_, B>,
        source: &mut dyn Source<B>,
    ) -> Result<bool, TrainError> {
        let (epoch, from) = (session.progress.epoch, session.progress.step);
        let mut saved = Instant::now();
        let steps = session.steps_of_epoch();
        let mut batches = source.epoch(epoch, from);
        while session.progress.step < steps {
            let start = Clock::now();
            let Some(batch) = batches.next() else {
                return Err(session.source_error(format!(
                    "the source ended early: `steps_per_epoch` is {}",
                    session.per_epoch
                )));
            };
            let step = session.step(&batch.map_err(TrainError::Data)?, start)?;
            notify(&mut self.observers, |observer| observer.step(&step))?;
            let stop = self.stop.is_requested();
            let due = self.stop.take_checkpoint()
                || self.every_steps.is_some_and(|every| step.number.is_multiple_of(every))
                || saved.elapsed() >= self.every;
            let last = session.progress.step == steps;
            if stop || due && !last {
                self.save(session)?;
                saved = Instant::now();
            }
            if stop {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Evaluates if due, emits the epoch's record and saves a checkpoint.
    fn end_epoch<B: Batch>(&mut self, session: &mut Session<'_, B>) -> Result<[Option<Evaluation>; 2], TrainError> {
        // Before the model is reported or saved as the best one.
        session.check_model()?;
        let number = session.progress.epoch;
        let is_last = session.is_last_epoch();
        let due = is_last || number.is_multiple_of(self.recipe.evaluate_every);
        let [evaluation, averaged] = if due { session.evaluate()? } else { [None, None] };
        let epoch = Epoch {
            evaluation,
            averaged,
            ..session.progress.record()
        };
        notify(&mut self.observers, |observer| observer.epoch(&epoch))?;
        // The best model is one of the run's own network.
        let evaluation = epoch.averaged.as_ref().or(epoch.evaluation.as_ref());
        if let Some(evaluation) = evaluation.filter(|_| !session.is_beginning()) {
            self.update_best(session, number, evaluation)?;
        }
        if is_last {
            session.progress.ended = Some(End::Finished);
        }
        match session.progress.ended {
            Some(_) => session.save_models()?,
            None => session.next_epoch()?,
        }
        self.save(session)?;
        Ok([epoch.evaluation, epoch.averaged])
    }

    /// Updates the best evaluation and checks for early stopping.
    fn update_best<B: Batch>(
        &self,
        session: &mut Session<'_, B>,
        epoch: u32,
        evaluation: &Evaluation,
    ) -> Result<(), TrainError> {
        let progress = &mut session.progress;
        if progress.best.is_none_or(|best| best.is_worse_than(evaluation)) {
            progress.best = Some(Best {
                epoch,
                top1: evaluation.top1,
                // JSON cannot represent infinity.
                loss: evaluation.loss.min(f64::MAX),
            });
            progress.evaluations_without_improvement = 0;
            return session.save_best();
        }
        progress.evaluations_without_improvement += 1;
        if self
            .recipe
            .patience
            .is_some_and(|patience| progress.evaluations_without_improvement >= patience)
        {
            progress.ended = Some(End::Early);
        }
        Ok(())
    }

    /// Writes a checkpoint after flushing the observers.
    fn save<B: Batch>(&mut self, session: &Session<'_, B>) -> Result<(), TrainError> {
        notify(&mut self.observers, |observer| observer.flush())?;
        session.save()
    }

    fn end<B: Batch>(
        &mut self,
        session: &Session<'_, B>,
        end: End,
        [evaluation, averaged]: [Option<Evaluation>; 2],
    ) -> Result<Outcome, TrainError> {
        notify(&mut self.observers, |observer| observer.end())?;
        let progress = &session.progress;
        Ok(Outcome {
            end,
            epochs: (progress.steps / session.per_epoch) as u32,
            steps: progress.steps,
            best: progress.best,
            evaluation,
            averaged,
        })
    }
}

/// Calls all observers, up to the first that fails.
fn notify(
    observers: &mut [&mut dyn Observer],
    mut what: impl FnMut(&mut dyn Observer) -> io::Result<()>,
) -> Result<(), TrainError> {
    let result = observers.iter_mut().try_for_each(|observer| what(*observer));
    result.map_err(TrainError::Observer)
}
