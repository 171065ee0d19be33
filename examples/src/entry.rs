//! A network as a value: its size, and how to train and run it.

use crate::device;
use ksdsl_runtime::Backend;
#[cfg(feature = "cuda")]
use ksdsl_runtime::cuda;
use ksdsl_runtime::prelude::*;
use ksdsl_train::data::{Dataset, OnDevice as _, Scaling, Sizes};
use ksdsl_train::optim::non_finite;
use ksdsl_train::run::{Facts, facts};
use ksdsl_train::trainer::{Outcome, TrainError};
use ksdsl_train::{Classifier, Recipe, Trainer};
use ksdsl_train_core::program::device::Place;
pub use ksdsl_train_core::program::job::Job;
use ksdsl_train_core::program::{ImageNet, Net, Task, refuse_broken};
use ksdsl_train_core::task::logits_of;
use std::error::Error;
use std::path::Path;

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
    let built = B::try_build_on_device(device);
    let mut model = built.map_err(|error| TrainError::Device(error.to_string()))?;
    let mut source = job.source();
    let outcome = Trainer::from(job.trainer()).train(&mut model, &mut source, device)?;
    Ok((model, outcome))
}

/// Trains the network of `B` on a device.
fn train_at<B: device::Net<C, H, W, K>, const C: usize, const H: usize, const W: usize, const K: usize>(
    job: Job<'_>,
    place: Place,
) -> Result<Outcome, TrainError> {
    match place {
        Place::Cpu => train::<B, C, H, W, K>(job).map(|(_, outcome)| outcome),
        #[cfg(not(feature = "cuda"))]
        Place::Cuda(_) => Err(TrainError::Device(device::NO_GPUS.to_owned())),
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
    logits_of(images, scaling, |batch| {
        let (images, _) = batch.tensors::<C, H, W, K, D>(device)?;
        Ok(model.try_forward(images).map_err(failed)?.as_vec())
    })
}

/// The logits of a saved model for all images, computed on a device.
fn logits_at<B: device::Net<C, H, W, K>, const C: usize, const H: usize, const W: usize, const K: usize>(
    checkpoint: &Path,
    images: &Dataset,
    scaling: &Scaling,
    place: Place,
) -> Result<Vec<f32>, Box<dyn Error>> {
    match place {
        Place::Cpu => logits_on::<B, Cpu, C, H, W, K>(checkpoint, images, scaling, &Cpu::default()),
        #[cfg(not(feature = "cuda"))]
        Place::Cuda(_) => Err(device::NO_GPUS.into()),
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

/// A network with its functions.
#[derive(Clone, Debug)]
pub struct Entry {
    facts: Facts,
    sizes: Sizes,
    recipe: Recipe,
    train: Train,
    logits: Logits,
}

impl Entry {
    /// The network that `B` builds, for `C x H x W` images in `K` classes.
    pub fn of<B, const C: usize, const H: usize, const W: usize, const K: usize>(recipe: Recipe) -> Self
    where
        B: device::Net<C, H, W, K>,
    {
        Self {
            facts: facts::<B>(),
            sizes: Sizes::new([C, H, W], K),
            recipe,
            train: train_at::<B, C, H, W, K>,
            logits: logits_at::<B, C, H, W, K>,
        }
    }

    /// The network's name without `_shared` or `_unshared`.
    pub fn family(&self) -> &str {
        let name = &self.facts.name;
        let family = name.strip_suffix("_unshared").or(name.strip_suffix("_shared"));
        family.unwrap_or(name)
    }
}

impl Net for Entry {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    fn task(&self) -> Task<'_> {
        Task::Classes(self)
    }
}

impl ImageNet for Entry {
    fn sizes(&self) -> Sizes {
        self.sizes
    }

    fn train(&self, job: Job<'_>, place: Place) -> Result<Outcome, TrainError> {
        (self.train)(job, place)
    }

    fn logits(
        &self,
        checkpoint: &Path,
        images: &Dataset,
        scaling: &Scaling,
        place: Place,
    ) -> Result<Vec<f32>, Box<dyn Error>> {
        (self.logits)(checkpoint, images, scaling, place)
    }
}
