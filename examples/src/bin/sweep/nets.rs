//! The networks of a sweep, as listed by `build.rs`.

use ksdsl_examples::data::Data;
use ksdsl_examples::entry::{Costs, Job, train};
use ksdsl_runtime::prelude::*;
use ksdsl_train::data::Dataset;
use ksdsl_train::record::{Observer, Step};
use ksdsl_train::trainer::TrainError;
use ksdsl_train::{Classifier, Recipe};
use std::io;
use std::time::Duration;

mod sweep_digits {
    ksdsl_runtime::include_generated!("sweep_digits");
}

#[cfg(feature = "cifar")]
mod sweep_cifar10 {
    ksdsl_runtime::include_generated!("sweep_cifar10");
}

#[cfg(feature = "cifar")]
mod sweep_cifar100 {
    ksdsl_runtime::include_generated!("sweep_cifar100");
}

/// Training and validation sets.
pub(crate) enum Parts {
    /// Split by each run's seed.
    Split(Dataset),
    /// The data set's own split.
    #[cfg(feature = "cifar")]
    Given(Data),
}

/// Trains and evaluates a network; returns the accuracy and the training time.
pub(crate) type Train = fn(&Parts, &Recipe) -> Result<(f64, Duration), TrainError>;

/// A network and how to train it.
pub(crate) struct Entry {
    /// Its name and size.
    pub(crate) costs: Costs,
    /// Blocks per stage.
    pub(crate) depth: usize,
    /// The number of stages that share, counted from the last.
    pub(crate) shared: usize,
    /// How the visits of a stage are mapped to kernels.
    pub(crate) mapping: &'static str,
    /// Trains it.
    pub(crate) train: Train,
}

impl Entry {
    fn of<B, const C: usize, const H: usize, const W: usize, const K: usize>(
        depth: usize,
        shared: usize,
        mapping: &'static str,
    ) -> Self
    where
        B: BuildOnDevice<Cpu, f32, Built: Classifier<C, H, W, K>> + Network,
    {
        Self {
            costs: Costs::of::<B>(),
            depth,
            shared,
            mapping,
            train: |parts, recipe| match parts {
                Parts::Split(data) => accuracy::<B, C, H, W, K>(&Data::split(data, recipe.seed), recipe),
                #[cfg(feature = "cifar")]
                Parts::Given(data) => accuracy::<B, C, H, W, K>(data, recipe),
            },
        }
    }
}

/// Trains the network of `B` and evaluates it once, at the end; the evaluation is not timed.
fn accuracy<B, const C: usize, const H: usize, const W: usize, const K: usize>(
    data: &Data,
    recipe: &Recipe,
) -> Result<(f64, Duration), TrainError>
where
    B: BuildOnDevice<Cpu, f32, Built: Classifier<C, H, W, K>>,
{
    let mut timer = Timer::default();
    let mut job = Job::new(data, recipe.clone());
    job.observers.push(&mut timer);
    let (_, outcome) = train::<B, C, H, W, K>(job)?;
    let top1 = outcome.evaluation.map_or(f64::NAN, |evaluation| evaluation.top1);
    Ok((top1, timer.0))
}

/// Sums the time of the steps.
#[derive(Default)]
struct Timer(Duration);

impl Observer for Timer {
    fn step(&mut self, step: &Step) -> io::Result<()> {
        self.0 += Duration::from_secs_f64(step.seconds);
        Ok(())
    }
}

/// The networks for the digits.
pub(crate) fn digits() -> Vec<Entry> {
    Vec::from(include!(concat!(env!("OUT_DIR"), "/sweep_digits_list.rs")))
}

/// The networks for CIFAR-10.
#[cfg(feature = "cifar")]
pub(crate) fn cifar10() -> Vec<Entry> {
    Vec::from(include!(concat!(env!("OUT_DIR"), "/sweep_cifar10_list.rs")))
}

/// The networks for CIFAR-100.
#[cfg(feature = "cifar")]
pub(crate) fn cifar100() -> Vec<Entry> {
    Vec::from(include!(concat!(env!("OUT_DIR"), "/sweep_cifar100_list.rs")))
}
