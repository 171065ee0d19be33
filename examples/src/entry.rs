//! A network as a value: its size, and how to train and run it.

use crate::data::Data;
use crate::device::{Net, Place};
use ksdsl_runtime::Backend;
#[cfg(feature = "cuda")]
use ksdsl_runtime::cuda;
use ksdsl_runtime::prelude::*;
use ksdsl_train::data::{DataError, Dataset, Loader, Scaling, Sizes};
use ksdsl_train::interrupt::Stop;
use ksdsl_train::optim::non_finite;
use ksdsl_train::record::Observer;
use ksdsl_train::run::{Companion, Description, Opening};
use ksdsl_train::source::HostBatch;
use ksdsl_train::trainer::{Outcome, TrainError};
use ksdsl_train::{Classifier, Recipe, Trainer};
use std::collections::BTreeMap;
use std::error::Error;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Batch size for inference: large enough to keep two cores busy, small enough to need little memory.
const AT_ONCE: usize = 250;

/// The compiler's counts for a network.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// The network's name.
    pub name: &'static str,
    /// Its `PARAMETERS`.
    pub parameters: u64,
    /// Its `UNSHARED_PARAMETERS`.
    pub unshared_parameters: u64,
    /// Its `MULTIPLY_ADDS`.
    pub multiply_adds: u64,
}

impl Costs {
    /// The counts of the network that `B` builds.
    pub fn of<B: Network>() -> Self {
        Self {
            name: B::NAME,
            parameters: B::PARAMETERS,
            unshared_parameters: B::UNSHARED_PARAMETERS,
            multiply_adds: B::MULTIPLY_ADDS,
        }
    }
}

/// One training run.
pub struct Job<'j> {
    /// Training and validation sets.
    pub data: &'j Data,
    /// The recipe; its seed determines everything random.
    pub recipe: Recipe,
    /// The run folder and how to open it, if the run is saved.
    pub folder: Option<(PathBuf, Opening)>,
    /// Additional files of the program in that folder.
    pub companions: Vec<Companion>,
    /// Observers of the run.
    pub observers: Vec<&'j mut dyn Observer>,
    /// Stops the run.
    pub stop: Stop,
}

impl<'j> Job<'j> {
    /// A run that saves nothing.
    pub fn new(data: &'j Data, recipe: Recipe) -> Self {
        Self {
            data,
            recipe,
            folder: None,
            companions: Vec::new(),
            observers: Vec::new(),
            stop: Stop::new(),
        }
    }

    fn trainer(self) -> Trainer<'j> {
        let data = self.data;
        let mut trainer = Trainer::new(self.recipe)
            .validation(&data.validation, &data.scaling)
            .classes(data.validation.names())
            .stop(self.stop);
        trainer = match self.folder {
            Some((path, Opening::New)) => trainer.folder(path),
            Some((path, Opening::Resume)) => trainer.resume(path),
            Some((path, Opening::Either)) => trainer.start_or_resume(path),
            None => trainer,
        };
        let files = self.companions.into_iter();
        trainer = files.fold(trainer, |trainer, file| trainer.companion(file.name, file.content));
        self.observers.into_iter().fold(trainer, Trainer::observer)
    }
}

/// Builds the network of `B` on the CPU and trains it; returns the model and the outcome.
pub fn train<B, const C: usize, const H: usize, const W: usize, const K: usize>(
    job: Job<'_>,
) -> Result<(B::Built, Outcome), TrainError>
where
    B: BuildOnDevice<Cpu, f32, Built: Classifier<C, H, W, K>>,
{
    let device = Cpu::seed_from_u64(job.recipe.seed);
    train_on::<B, Cpu, C, H, W, K>(job, &device)
}

/// As [`train`], on a device whose random number generator has the recipe's seed: initial values and training are the
/// same on all devices up to rounding.
fn train_on<B, D, const C: usize, const H: usize, const W: usize, const K: usize>(
    job: Job<'_>,
    device: &D,
) -> Result<(B::Built, Outcome), TrainError>
where
    D: Backend<f32>,
    B: BuildOnDevice<D, f32, Built: Classifier<C, H, W, K, D>>,
{
    let seed = job.recipe.seed;
    let batch = NonZeroUsize::new(job.recipe.batch).unwrap_or(NonZeroUsize::MIN);
    let built = B::try_build_on_device(device);
    let mut model = built.map_err(|error| TrainError::Device(error.to_string()))?;
    let mut source =
        Loader::new(Arc::clone(&job.data.training), batch, &job.data.scaling, seed).augment(job.recipe.augment.into());
    let outcome = job.trainer().train(&mut model, &mut source, device)?;
    Ok((model, outcome))
}

/// Trains the network of `B` on a device.
fn train_at<B: Net<C, H, W, K>, const C: usize, const H: usize, const W: usize, const K: usize>(
    job: Job<'_>,
    place: Place,
) -> Result<Outcome, TrainError> {
    match place {
        Place::Cpu => train::<B, C, H, W, K>(job).map(|(_, outcome)| outcome),
        #[cfg(feature = "cuda")]
        Place::Cuda(number) => {
            let device = cuda::device_with_seed(number, job.recipe.seed);
            let device = device.map_err(|error| TrainError::Device(error.to_string()))?;
            train_on::<B, Cuda, C, H, W, K>(job, &device).map(|(_, outcome)| outcome)
        }
    }
}

/// The logits of a saved model for all images.
fn logits_on<B, D, const C: usize, const H: usize, const W: usize, const K: usize>(
    checkpoint: &Path,
    images: &Dataset,
    scaling: &Scaling,
    device: &D,
) -> Result<Vec<f32>, Box<dyn Error>>
where
    D: Backend<f32>,
    B: BuildOnDevice<D, f32, Built: Classifier<C, H, W, K, D>>,
{
    let failed = |error: D::Err| error.to_string();
    let mut model = B::try_build_on_device(device).map_err(failed)?;
    checkpoint::load(&mut model, checkpoint)?;
    refuse_broken(&non_finite::<f32, D, B::Built>(&model).map_err(failed)?, checkpoint)?;
    let pass = |first: usize| -> Result<Vec<f32>, DataError> {
        let indices = first..images.len().min(first + AT_ONCE);
        let (images, _) = HostBatch::new(images, indices, scaling).tensors::<C, H, W, K, D>(device)?;
        let logits = model.try_forward(images);
        Ok(logits.map_err(|error| DataError::Device(error.to_string()))?.as_vec())
    };
    let all: Result<Vec<Vec<f32>>, DataError> = (0..images.len()).step_by(AT_ONCE).map(pass).collect();
    Ok(all?.concat())
}

/// Rejects a model with non-finite values.
///
/// # Errors
/// If a tensor contains NaN or infinite values.
pub fn refuse_broken(tensors: &[String], checkpoint: &Path) -> Result<(), String> {
    match tensors {
        [] => Ok(()),
        [first, ..] => Err(format!(
            "`{}` is not a usable model: {} of its tensors contain non-finite values (NaN or infinite), such as `{first}`",
            checkpoint.display(),
            tensors.len()
        )),
    }
}

/// The logits of a saved model for all images, computed on a device.
fn logits_at<B: Net<C, H, W, K>, const C: usize, const H: usize, const W: usize, const K: usize>(
    checkpoint: &Path,
    images: &Dataset,
    scaling: &Scaling,
    place: Place,
) -> Result<Vec<f32>, Box<dyn Error>> {
    match place {
        Place::Cpu => logits_on::<B, Cpu, C, H, W, K>(checkpoint, images, scaling, &Cpu::default()),
        #[cfg(feature = "cuda")]
        Place::Cuda(number) => {
            let device = cuda::device(number)?;
            logits_on::<B, Cuda, C, H, W, K>(checkpoint, images, scaling, &device)
        }
    }
}

/// Trains a network on a device.
pub type Train = fn(Job<'_>, Place) -> Result<Outcome, TrainError>;

/// Computes the logits of a checkpoint on a device: images x classes, row-major.
pub type Logits = fn(&Path, &Dataset, &Scaling, Place) -> Result<Vec<f32>, Box<dyn Error>>;

/// Describes a run of a network with a recipe and data set.
pub type Describe = fn(&Recipe, &BTreeMap<String, String>) -> Description;

/// A network for images of one kind.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name and size.
    pub costs: Costs,
    /// What it takes and gives.
    pub sizes: Sizes,
    /// Its default recipe.
    pub recipe: Recipe,
    /// Describes a run of the network.
    pub describe: Describe,
    /// Trains the network.
    pub train: Train,
    /// Runs the network.
    pub logits: Logits,
}

impl Entry {
    /// The network that `B` builds, for `C x H x W` images in `K` classes.
    pub fn of<B, const C: usize, const H: usize, const W: usize, const K: usize>(recipe: Recipe) -> Self
    where
        B: Net<C, H, W, K>,
    {
        Self {
            costs: Costs::of::<B>(),
            sizes: Sizes::new([C, H, W], K),
            recipe,
            describe: |recipe, data| Description::new::<B>(recipe, data.clone()),
            train: train_at::<B, C, H, W, K>,
            logits: logits_at::<B, C, H, W, K>,
        }
    }

    /// The network's name without `_shared` or `_unshared`.
    pub fn family(&self) -> &'static str {
        let name = self.costs.name;
        let name = name.strip_suffix("_unshared").or(name.strip_suffix("_shared"));
        name.unwrap_or(self.costs.name)
    }
}
