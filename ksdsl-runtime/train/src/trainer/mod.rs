//! The trainer.
//!
//! ```no_run
//! use ksdsl_runtime::prelude::*;
//! use ksdsl_train::data::{Digits, Scaling};
//! use ksdsl_train::source::Plain;
//! use ksdsl_train::{Classifier, Recipe, Trainer};
//!
//! # fn work<M: Classifier<1, 8, 8, 10>>(mut model: M) -> Result<(), Box<dyn std::error::Error>> {
//! let (training, validation) = Digits::embedded().split(0.2, 0);
//! let scaling = Scaling::of(&training);
//! let recipe = Recipe::default();
//! let mut source = Plain::new(&training, recipe.batch.try_into()?, &scaling, recipe.seed);
//! let outcome = Trainer::new(recipe)
//!     .validation(&validation, &scaling)
//!     .start_or_resume("runs/digits")
//!     .train(&mut model, &mut source, &Cpu::default())?;
//! println!("{:?}", outcome.best);
//! # Ok(())
//! # }
//! ```

mod learner;

pub use crate::task::evaluate;
pub use ksdsl_train_core::trainer::{Best, Diverged, End, Outcome, TrainError, ValidationSet};

use crate::classifier::Classifier;
use crate::data::{Dataset, Scaling};
use crate::interrupt::Stop;
use crate::recipe::Recipe;
use crate::record::Observer;
use crate::run::facts;
use crate::source::Source;
use crate::task::{Classification, Task};
use ksdsl_runtime::Backend;
use ksdsl_runtime::dfdx::nn::tensor_collection::TensorCollection;
use ksdsl_runtime::network::Generated;
use ksdsl_train_core::trainer;
use learner::Typed;
use std::path::PathBuf;
use std::time::Duration;

/// Trains a network with a recipe. Builder methods add a validation set, a run folder for checkpoints, observers, and a
/// handle to stop the run.
pub struct Trainer<'t>(trainer::Trainer<'t>);

impl<'t> From<trainer::Trainer<'t>> for Trainer<'t> {
    fn from(trainer: trainer::Trainer<'t>) -> Self {
        Self(trainer)
    }
}

/// Builder methods that are those of the trainer inside.
macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*);)+) => {$(
        $(#[$doc])*
        pub fn $name(self, $($argument: $type),*) -> Self {
            Self(self.0.$name($($argument),*))
        }
    )+};
}

impl<'t> Trainer<'t> {
    /// Creates a trainer.
    pub fn new(recipe: Recipe) -> Self {
        Self(trainer::Trainer::new(recipe))
    }

    settings! {
        /// Sets the validation set, which is evaluated as often as the recipe says; `scaling` is that of the training
        /// set.
        validation(data: &'t Dataset, scaling: &Scaling);
        /// Sets the class names for observers; the default is the class indices.
        classes(names: impl IntoIterator<Item = impl Into<String>>);
        /// Adds an observer.
        observer(observer: &'t mut dyn Observer);
        /// Starts a new run in a folder; an existing run is an error.
        folder(path: impl Into<PathBuf>);
        /// Resumes the run in a folder.
        resume(path: impl Into<PathBuf>);
        /// Resumes the run in a folder, or starts one.
        start_or_resume(path: impl Into<PathBuf>);
        /// Adds a file of the caller to the run folder. It is written when the run starts, and on resume if it is
        /// missing, while the folder is locked.
        companion(name: impl Into<String>, content: impl Into<Vec<u8>>);
        /// Writes a checkpoint every `steps` steps, in addition to the one after each epoch.
        checkpoint_every_steps(steps: u64);
        /// Writes a checkpoint when the last one is this old (default: 60 seconds), in addition to the one after each
        /// epoch.
        checkpoint_every(time: Duration);
        /// Sets the handle that requests the run to stop or to write a checkpoint.
        stop(stop: Stop);
    }

    /// Trains `model` on the batches of `source`, starting from its initial values (create the device with the recipe's
    /// seed for reproducible ones). Batches, recipe and initial values determine the outcome bit for bit: on the CPU it
    /// depends neither on the number of threads nor on interruptions.
    ///
    /// # Errors
    /// If recipe, batches or folder are refused, the data does not fit the network, training diverges, or files or the
    /// device fail.
    pub fn train<M, D, const C: usize, const H: usize, const W: usize, const K: usize>(
        mut self,
        model: &mut M,
        source: &mut dyn Source,
        device: &D,
    ) -> Result<Outcome, TrainError>
    where
        D: Backend<f32>,
        M: Classifier<C, H, W, K, D>,
    {
        self.0.keep_everything()?;
        let network = Classification::<C, H, W, K>::SIZES;
        let validation = self.0.classify(network, source.sizes())?;
        let task = Classification::<C, H, W, K> { validation };
        let mut learner = Typed::new(self.0.recipe(), model, device, &task)?;
        self.0.train_on_images(facts::<M::Network>(), &mut learner, source)
    }

    /// As [`Trainer::train`], for a task of the caller's: any batches, any inputs and outputs. The task brings its own
    /// validation data.
    ///
    /// # Errors
    /// As [`Trainer::train`].
    pub fn train_task<M, D, T>(
        self,
        model: &mut M,
        task: &T,
        source: &mut dyn Source<T::Batch>,
        device: &D,
    ) -> Result<Outcome, TrainError>
    where
        D: Backend<f32>,
        M: TensorCollection<f32, D> + Generated,
        T: Task<M, D>,
    {
        self.0.keep_everything()?;
        let mut learner = Typed::new(self.0.recipe(), model, device, task)?;
        self.0.train(facts::<M::Network>(), &mut learner, source)
    }
}
