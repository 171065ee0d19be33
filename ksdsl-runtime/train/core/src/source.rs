//! Sources of training batches.

use crate::data::{DataError, Dataset, Scaling, Sizes};
use crate::loss::counted;
use crate::random::{Purpose, generator};
use rand::seq::SliceRandom;
use std::num::NonZeroUsize;

/// A batch of training data in host memory.
pub trait Batch {
    /// The number of its items.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all its values are finite.
    fn is_finite(&self) -> bool;
}

/// A batch of labelled images in host memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostBatch {
    /// The scaled pixels: n x C x H x W.
    pub images: Vec<f32>,
    /// The target probabilities: n x K.
    pub targets: Vec<f32>,
    /// The labels of the images, before mixup or cutmix: n.
    pub labels: Vec<usize>,
}

impl HostBatch {
    /// The images of a data set at these indices, with probability 1 for the class of each.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn new(data: &Dataset, indices: impl IntoIterator<Item = usize>, scaling: &Scaling) -> Self {
        let classes = data.sizes().classes;
        let mut batch = Self::default();
        for example in indices.into_iter().map(|index| data.get(index)) {
            scaling.extend(example.pixels, &mut batch.images);
            let target = |class| if class == example.label { 1.0 } else { 0.0 };
            batch.targets.extend((0..classes).map(target));
            batch.labels.push(example.label);
        }
        batch
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the batch is empty.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

impl Batch for HostBatch {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn is_finite(&self) -> bool {
        self.images.iter().all(|value| value.is_finite())
    }
}

/// A batch of sequences of token ids, with a target for each position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenBatch {
    /// The token ids: sequences x positions.
    pub ids: Vec<f32>,
    /// The target of each position.
    pub targets: Vec<u32>,
    /// The positions of a sequence.
    pub length: usize,
}

impl TokenBatch {
    /// The number of sequences.
    pub fn sequences(&self) -> usize {
        self.targets.len() / self.length.max(1)
    }

    /// How many positions of each sequence have a target; those that have none come last.
    pub fn lengths(&self) -> Vec<f32> {
        let sequences = self.targets.chunks(self.length.max(1));
        sequences.map(|targets| counted(targets) as f32).collect()
    }
}

/// Its items are positions.
impl Batch for TokenBatch {
    fn len(&self) -> usize {
        self.targets.len()
    }

    fn is_finite(&self) -> bool {
        true
    }
}

/// An iterator over the batches of an epoch.
pub type EpochBatches<'s, B = HostBatch> = Box<dyn Iterator<Item = Result<B, DataError>> + 's>;

/// A source of training batches. Each batch is a pure function of the source's settings, the epoch and the step, so
/// that a run can resume at any step.
pub trait Source<B = HostBatch> {
    /// The number of images (items) per epoch.
    fn images(&self) -> usize;

    /// What the items are, in the plural.
    fn unit(&self) -> &'static str {
        "images"
    }

    /// The size of the images and the number of classes, if the batches are of labelled images of one size.
    fn sizes(&self) -> Option<Sizes> {
        None
    }

    /// The number of batches per epoch; the same in every epoch.
    fn steps_per_epoch(&self) -> u64;

    /// The batches of an epoch (from 1), from its step `from_step` (from 0) to its last.
    fn epoch(&mut self, epoch: u32, from_step: u64) -> EpochBatches<'_, B>;

    /// All settings that determine the batches, as names and values: data set, batch size, seed, augmentation. A run
    /// resumes only with equal settings.
    fn settings(&self) -> Vec<(String, String)>;
}

/// The images of a [`Dataset`] without augmentation, reshuffled every epoch. The last batch of an epoch may be smaller.
#[derive(Clone, Debug)]
pub struct Plain<'d> {
    data: &'d Dataset,
    batch: NonZeroUsize,
    scaling: Scaling,
    seed: u64,
}

impl<'d> Plain<'d> {
    /// Batches of `batch` images, shuffled by `seed`.
    pub fn new(data: &'d Dataset, batch: NonZeroUsize, scaling: &Scaling, seed: u64) -> Self {
        Self {
            data,
            batch,
            scaling: scaling.clone(),
            seed,
        }
    }
}

impl Source for Plain<'_> {
    fn images(&self) -> usize {
        self.data.len()
    }

    fn sizes(&self) -> Option<Sizes> {
        Some(self.data.sizes())
    }

    fn steps_per_epoch(&self) -> u64 {
        self.data.len().div_ceil(self.batch.get()) as u64
    }

    fn epoch(&mut self, epoch: u32, from_step: u64) -> EpochBatches<'_> {
        let mut order: Vec<usize> = (0..self.data.len()).collect();
        order.shuffle(&mut generator(self.seed, Purpose::Order, [epoch.into(), 0]));
        let size = self.batch.get();
        let steps = from_step..self.steps_per_epoch();
        Box::new(steps.map(move |step| {
            let first = step as usize * size;
            let indices = &order[first..order.len().min(first + size)];
            Ok(HostBatch::new(self.data, indices.iter().copied(), &self.scaling))
        }))
    }

    fn settings(&self) -> Vec<(String, String)> {
        let settings = [
            (
                "images",
                format!("{}, {:016x}", self.data.len(), fingerprint(self.data)),
            ),
            ("batch", self.batch.to_string()),
            ("shuffle seed", self.seed.to_string()),
            ("scaling", format!("{:?}", self.scaling)),
        ];
        settings.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

/// A fingerprint of a data set: FNV-1a over pixels and labels.
#[doc(hidden)]
pub fn fingerprint(data: &Dataset) -> u64 {
    let bytes = |hash: u64, bytes: &[u8]| {
        let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        bytes.iter().fold(hash, add)
    };
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, example| {
        bytes(bytes(hash, example.pixels), &(example.label as u64).to_le_bytes())
    })
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
