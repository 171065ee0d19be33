//! The networks of a sweep, which `build.rs` lists.

use ksdsl_examples::classifier::Classifier;
#[cfg(feature = "cifar")]
use ksdsl_examples::comparison::train_then_test;
use ksdsl_examples::comparison::{Costs, train_and_test};
use ksdsl_examples::training::{Recipe, TrainingError};
use ksdsl_runtime::prelude::*;
#[cfg(feature = "cifar")]
use ksdsl_train::data::{Cifar10, Cifar100};
use ksdsl_train::data::{Dataset, Digits};
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

/// Images to train with and to test with.
pub(crate) enum Parts<D> {
    /// To be split anew by each seed.
    Split(D),
    /// As the data set says.
    #[cfg(feature = "cifar")]
    Given {
        /// Those to train with.
        training: D,
        /// Those to test with.
        test: D,
    },
}

/// Trains a network and tests it: the accuracy, and the time the training took.
pub(crate) type Train<P> = fn(&P, &Recipe) -> Result<(f64, Duration), TrainingError>;

/// A network, and how to train it.
pub(crate) struct Entry<P> {
    /// What it costs.
    pub(crate) costs: Costs,
    /// Blocks of a stage.
    pub(crate) depth: usize,
    /// How many stages share, counted from the last.
    pub(crate) shared: usize,
    /// How the visits of a stage are mapped to kernels.
    pub(crate) mapping: &'static str,
    /// Trains it.
    pub(crate) train: Train<P>,
}

impl<const C: usize, const H: usize, const W: usize, const K: usize> Entry<Parts<Dataset<C, H, W, K>>> {
    fn of<B>(depth: usize, shared: usize, mapping: &'static str) -> Self
    where
        B: BuildOnDevice<Cpu, f32, Built: Classifier<C, H, W, K>> + Network,
    {
        Self {
            costs: Costs::of::<B>(),
            depth,
            shared,
            mapping,
            train: |parts, recipe| {
                let outcome = match parts {
                    Parts::Split(data) => train_and_test::<B, C, H, W, K>(data, recipe, |_| ()),
                    #[cfg(feature = "cifar")]
                    Parts::Given { training, test } => train_then_test::<B, C, H, W, K>(training, test, recipe, |_| ()),
                }?;
                Ok((outcome.accuracy, outcome.time))
            },
        }
    }
}

/// Those for the digits.
pub(crate) fn digits() -> Vec<Entry<Parts<Digits>>> {
    Vec::from(include!(concat!(env!("OUT_DIR"), "/sweep_digits_list.rs")))
}

/// Those for CIFAR-10.
#[cfg(feature = "cifar")]
pub(crate) fn cifar10() -> Vec<Entry<Parts<Cifar10>>> {
    Vec::from(include!(concat!(env!("OUT_DIR"), "/sweep_cifar10_list.rs")))
}

/// Those for CIFAR-100.
#[cfg(feature = "cifar")]
pub(crate) fn cifar100() -> Vec<Entry<Parts<Cifar100>>> {
    Vec::from(include!(concat!(env!("OUT_DIR"), "/sweep_cifar100_list.rs")))
}
