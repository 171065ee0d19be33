//! The trainer: a net, images and a recipe to a trained net.
//!
//! ```no_run
//! use ksdsl_runtime::prelude::*;
//! use ksdsl_train::data::{Digits, Scaling};
//! use ksdsl_train::source::Plain;
//! use ksdsl_train::{Classifier, Recipe, Trainer};
//!
//! # fn work<M: Classifier<1, 8, 8, 10>>(mut model: M) -> Result<(), Box<dyn std::error::Error>> {
//! let (training, held_out) = Digits::embedded().split(0.2, 0);
//! let scaling = Scaling::of(&training);
//! let recipe = Recipe::default();
//! let mut source = Plain::new(&training, recipe.batch.try_into()?, scaling, recipe.seed);
//! let outcome = Trainer::new(recipe)
//!     .held_out(&held_out, scaling)
//!     .start_or_resume("runs/digits")
//!     .train(&mut model, &mut source, &Cpu::default())?;
//! println!("{:?}", outcome.best);
//! # Ok(())
//! # }
//! ```

mod error;
mod evaluate;
mod progress;
mod session;

pub use error::{Diverged, TrainError};
pub use evaluate::{HeldOut, evaluate};
pub(crate) use progress::Progress;
pub use progress::{Best, End};

use crate::classifier::Classifier;
use crate::data::{Dataset, Scaling};
use crate::interrupt::Stop;
use crate::metrics::Evaluation;
use crate::recipe::Recipe;
use crate::record::{Epoch, Observer, Start};
use crate::run::{Companion, Description, Opening, RunFolder};
use crate::source::Source;
use ksdsl_runtime::network::{Generated, Network};
use ksdsl_runtime::update::Updates;
use session::Session;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Trains a net by a recipe. Without more, it does just that; its methods add images to evaluate on, a folder to
/// save to and to resume from, observers, and a way to stop it.
pub struct Trainer<'t, const C: usize, const H: usize, const W: usize, const K: usize> {
    recipe: Recipe,
    held_out: Option<HeldOut<'t, C, H, W, K>>,
    classes: Vec<String>,
    observers: Vec<&'t mut dyn Observer>,
    folder: Option<(PathBuf, Opening)>,
    companions: Vec<Companion>,
    stop: Stop,
    every_steps: Option<u64>,
    every: Duration,
}

/// What a training came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Whole epochs done.
    pub epochs: u32,
    /// Steps done.
    pub steps: u64,
    /// The best evaluation, if there was one.
    pub best: Option<Best>,
    /// The model at the end on the images held out; not after an interruption.
    pub evaluation: Option<Evaluation>,
    /// Its average on them, if one is kept.
    pub averaged: Option<Evaluation>,
}

impl<'t, const C: usize, const H: usize, const W: usize, const K: usize> Trainer<'t, C, H, W, K> {
    /// A trainer by this recipe.
    pub fn new(recipe: Recipe) -> Self {
        Self {
            recipe,
            held_out: None,
            classes: (0..K).map(|class| class.to_string()).collect(),
            observers: Vec::new(),
            folder: None,
            companions: Vec::new(),
            stop: Stop::new(),
            every_steps: None,
            every: Duration::from_secs(60),
        }
    }

    /// Evaluates on these images, if there are any, as often as the recipe says; `scaling` is that of training.
    pub fn held_out(mut self, data: &'t Dataset<C, H, W, K>, scaling: Scaling<C>) -> Self {
        self.held_out = (!data.is_empty()).then_some(HeldOut { data, scaling });
        self
    }

    /// The names of the classes, for observers; without, they are numbers.
    pub fn classes(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.classes = names.into_iter().map(Into::into).collect();
        self
    }

    /// Tells somebody how the run goes.
    pub fn observer(mut self, observer: &'t mut dyn Observer) -> Self {
        self.observers.push(observer);
        self
    }

    /// Begins a run in a folder that has none.
    pub fn folder(mut self, path: impl Into<PathBuf>) -> Self {
        self.folder = Some((path.into(), Opening::New));
        self
    }

    /// Goes on with the run in a folder.
    pub fn resume(mut self, path: impl Into<PathBuf>) -> Self {
        self.folder = Some((path.into(), Opening::Resume));
        self
    }

    /// Goes on with the run in a folder, or begins one.
    pub fn start_or_resume(mut self, path: impl Into<PathBuf>) -> Self {
        self.folder = Some((path.into(), Opening::Either));
        self
    }

    /// Writes a file of the caller's into the run's folder when the run begins, and later if it is missing. Nobody
    /// else works on the folder then.
    pub fn companion(mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        let (name, content) = (name.into(), content.into());
        self.companions.push(Companion { name, content });
        self
    }

    /// Writes a checkpoint after every so many steps, besides that at the end of each epoch.
    pub fn checkpoint_every_steps(mut self, steps: u64) -> Self {
        self.every_steps = Some(steps.max(1));
        self
    }

    /// Writes a checkpoint when the last is so old (60 seconds by default), besides that at the end of each
    /// epoch.
    pub fn checkpoint_every(mut self, time: Duration) -> Self {
        self.every = time;
        self
    }

    /// Stops after the step, with a checkpoint, or writes one and goes on, when somebody wishes it.
    pub fn stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Trains `model`, which has its initial values (made by a device of the recipe's seed, so that the seed
    /// decides on all), on the batches of `source`. The batches, the recipe and the initial values decide on
    /// the outcome bit for bit, on the CPU for any number of threads, however often the run is stopped and
    /// resumed.
    pub fn train<M, D>(
        mut self,
        model: &mut M,
        source: &mut dyn Source<C, H, W, K>,
        device: &D,
    ) -> Result<Outcome, TrainError>
    where
        D: Updates<f32>,
        M: Classifier<C, H, W, K, D>,
    {
        self.recipe.check().map_err(TrainError::Recipe)?;
        let per_epoch = source.steps_per_epoch();
        if per_epoch == 0 {
            return Err(TrainError::NoImages);
        }
        let folder = self.open::<M>(source)?;
        let recipe = self.recipe.clone();
        let mut session = Session::new(&recipe, model, device, folder, per_epoch)?;
        self.tell_start::<M, D>(&session)?;
        let result = self.run(&mut session, source);
        if let Err(TrainError::Observer(_) | TrainError::Data(_) | TrainError::Source { .. }) = &result {
            // The state is good; the error that is reported is the first.
            session.save()?;
        }
        result
    }

    /// Opens the run's folder, if there is to be one.
    fn open<M: Generated>(&self, source: &dyn Source<C, H, W, K>) -> Result<Option<RunFolder>, TrainError> {
        let Some((path, opening)) = &self.folder else {
            return Ok(None);
        };
        let held_out = match &self.held_out {
            Some(held_out) => format!("{} images, {:016x}", held_out.data.len(), held_out.fingerprint()),
            None => "none".to_owned(),
        };
        let settings = source.settings().into_iter().chain([("held out".to_owned(), held_out)]);
        let description = Description::new::<M::Network>(&self.recipe, settings);
        Ok(Some(RunFolder::open(path, *opening, &description, &self.companions)?))
    }

    /// How many epochs there are, the last maybe a part of one.
    fn epochs(&self, per_epoch: u64) -> u32 {
        let epochs = self.recipe.total_steps(per_epoch).div_ceil(per_epoch);
        epochs.try_into().unwrap_or(u32::MAX)
    }

    fn tell_start<M: Generated, D: Updates<f32>>(
        &mut self,
        session: &Session<'_, M, D, C, H, W, K>,
    ) -> Result<(), TrainError> {
        let start = Start {
            network: M::Network::NAME,
            parameters: M::Network::PARAMETERS,
            classes: &self.classes,
            epochs: self.epochs(session.per_epoch),
            steps_per_epoch: session.per_epoch,
            done: session.progress.steps,
            folder: session.folder.as_ref().map(RunFolder::path),
        };
        tell(&mut self.observers, |observer| observer.start(&start))
    }

    /// All epochs that are left.
    fn run<M, D>(
        &mut self,
        session: &mut Session<'_, M, D, C, H, W, K>,
        source: &mut dyn Source<C, H, W, K>,
    ) -> Result<Outcome, TrainError>
    where
        D: Updates<f32>,
        M: Classifier<C, H, W, K, D>,
    {
        session.restore_models()?;
        let mut evaluations = (None, None);
        while session.progress.ended.is_none() {
            if !self.steps(session, source)? {
                return self.end(session, End::Interrupted, (None, None));
            }
            evaluations = self.end_epoch(session)?;
            if self.stop.is_wished() && session.progress.ended.is_none() {
                return self.end(session, End::Interrupted, (None, None));
            }
        }
        if let (None, Some(held_out)) = (&evaluations.0, self.held_out) {
            let (evaluation, averaged) = session.evaluate(held_out)?;
            evaluations = (Some(evaluation), averaged);
        }
        let end = session.progress.ended.unwrap_or(End::Finished);
        self.end(session, end, evaluations)
    }

    /// The steps of the epoch that are left; `false` if somebody wished to stop.
    fn steps<M, D>(
        &mut self,
        session: &mut Session<'_, M, D, C, H, W, K>,
        source: &mut dyn Source<C, H, W, K>,
    ) -> Result<bool, TrainError>
    where
        D: Updates<f32>,
        M: Classifier<C, H, W, K, D>,
    {
        let (epoch, from) = (session.progress.epoch, session.progress.step);
        let mut saved = Instant::now();
        let steps = session.steps_of_epoch();
        let mut batches = source.epoch(epoch, from);
        while session.progress.step < steps {
            let start = Instant::now();
            let Some(batch) = batches.next() else {
                return Err(session.source_error(format!("the source promised {} steps", session.per_epoch)));
            };
            let step = session.step(batch.map_err(TrainError::Data)?, start)?;
            tell(&mut self.observers, |observer| observer.step(&step))?;
            let stop = self.stop.is_wished();
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

    /// Evaluates where it is time to, tells of the epoch and saves.
    #[allow(clippy::type_complexity)]
    fn end_epoch<M, D>(
        &mut self,
        session: &mut Session<'_, M, D, C, H, W, K>,
    ) -> Result<(Option<Evaluation>, Option<Evaluation>), TrainError>
    where
        D: Updates<f32>,
        M: Classifier<C, H, W, K, D>,
    {
        // Before anything is told of it or saved as the best.
        session.check_model()?;
        let number = session.progress.epoch;
        let is_last = session.is_last_epoch();
        let due = is_last || number.is_multiple_of(self.recipe.evaluate_every);
        let (evaluation, averaged) = match self.held_out.filter(|_| due) {
            Some(held_out) => {
                let (evaluation, averaged) = session.evaluate(held_out)?;
                (Some(evaluation), averaged)
            }
            None => (None, None),
        };
        let epoch = Epoch {
            evaluation,
            averaged,
            ..session.progress.record()
        };
        tell(&mut self.observers, |observer| observer.epoch(&epoch))?;
        if let Some(evaluation) = epoch.averaged.as_ref().or(epoch.evaluation.as_ref()) {
            self.judge(session, number, evaluation)?;
        }
        if is_last {
            session.progress.ended = Some(End::Finished);
        }
        match session.progress.ended {
            Some(_) => session.save_models()?,
            None => session.progress.next_epoch(),
        }
        self.save(session)?;
        Ok((epoch.evaluation, epoch.averaged))
    }

    /// Notes whether an evaluation is the best one, and whether patience is over.
    fn judge<M, D>(
        &self,
        session: &mut Session<'_, M, D, C, H, W, K>,
        epoch: u32,
        evaluation: &Evaluation,
    ) -> Result<(), TrainError>
    where
        D: Updates<f32>,
        M: Classifier<C, H, W, K, D>,
    {
        let progress = &mut session.progress;
        if progress.best.is_none_or(|best| best.is_beaten_by(evaluation)) {
            progress.best = Some(Best {
                epoch,
                top1: evaluation.top1,
                // Any loss is better than none; and files hold numbers only.
                loss: evaluation.loss.min(f64::MAX),
            });
            progress.stale = 0;
            return session.save_best();
        }
        progress.stale += 1;
        if self.recipe.patience.is_some_and(|patience| progress.stale >= patience) {
            progress.ended = Some(End::Early);
        }
        Ok(())
    }

    /// A checkpoint, before which observers bring to the disk what they were told.
    fn save<M, D>(&mut self, session: &Session<'_, M, D, C, H, W, K>) -> Result<(), TrainError>
    where
        D: Updates<f32>,
        M: Classifier<C, H, W, K, D>,
    {
        tell(&mut self.observers, |observer| observer.flush())?;
        session.save()
    }

    fn end<M, D: Updates<f32>>(
        &mut self,
        session: &Session<'_, M, D, C, H, W, K>,
        end: End,
        (evaluation, averaged): (Option<Evaluation>, Option<Evaluation>),
    ) -> Result<Outcome, TrainError> {
        tell(&mut self.observers, |observer| observer.end())?;
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

/// Tells all observers, up to the first that fails.
fn tell(
    observers: &mut [&mut dyn Observer],
    mut what: impl FnMut(&mut dyn Observer) -> io::Result<()>,
) -> Result<(), TrainError> {
    let told = observers.iter_mut().try_for_each(|observer| what(*observer));
    told.map_err(TrainError::Observer)
}
