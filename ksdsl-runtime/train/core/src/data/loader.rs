//! A data loader that prefetches batches on worker threads.

use super::ahead::Ahead;
use super::augment::{Augment, Picture, smooth};
use super::{DataError, Dataset, Scaling, Sizes};
use crate::random::{Purpose, generator};
use crate::recipe;
use crate::source::{EpochBatches, HostBatch, Source, fingerprint};
use rand::seq::SliceRandom;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// A data loader: shuffles a [`Dataset`] every epoch, augments the images, and prefetches batches on worker threads.
/// The last batch of an epoch may be smaller; see [`Loader::drop_last`].
///
/// A batch is a function of the data, the settings, the seed, the epoch and the step; it depends neither on the
/// number of threads nor on interruptions. Without augmentation the batches equal those of
/// [`Plain`](crate::source::Plain).
///
/// ```
/// # extern crate ksdsl_train_core as ksdsl_train;
/// use ksdsl_train::data::augment::Augment;
/// use ksdsl_train::data::{Digits, Loader, Scaling};
/// use ksdsl_train::source::Source;
/// use std::num::NonZeroUsize;
///
/// let (train, _) = Digits::embedded().split(0.2, 0);
/// let scaling = Scaling::of(&train);
/// let mut loader = Loader::new(train, NonZeroUsize::new(64).unwrap(), &scaling, 0)
///     .augment(Augment::none().smooth(0.1));
/// for batch in loader.epoch(1, 0) {
///     let batch = batch?;
///     assert_eq!(batch.images.len(), batch.len() * 64);
/// }
/// println!("{:.1} % of the time spent waiting", 100.0 * loader.waits().share());
/// # Ok::<(), ksdsl_train::data::DataError>(())
/// ```
pub struct Loader {
    recipe: Arc<Recipe>,
    workers: usize,
    ahead: NonZeroUsize,
    running: Option<Ahead<HostBatch>>,
    waits: Waits,
}

/// Time spent waiting for batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// The number of batches.
    pub batches: u64,
    /// The time spent waiting for them.
    pub waited: Duration,
    /// The total time of the epochs.
    pub elapsed: Duration,
}

impl Waits {
    /// The fraction of the time spent waiting, 0 to 1.
    pub fn share(&self) -> f64 {
        self.waited.as_secs_f64() / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

impl Loader {
    /// Creates a loader with `batch` images per batch; `seed` determines shuffling and augmentation. By default there
    /// are as many workers as the machine has hardware threads, at most four, and it prefetches two batches more than
    /// that.
    pub fn new(data: impl Into<Arc<Dataset>>, batch: NonZeroUsize, scaling: &Scaling, seed: u64) -> Self {
        let workers = available_parallelism().map_or(1, NonZeroUsize::get).min(4);
        Self {
            recipe: Arc::new(Recipe {
                data: data.into(),
                batch,
                scaling: scaling.clone(),
                tables: scaling.tables(),
                seed,
                augment: Augment::none(),
                drop_last: false,
                orders: Mutex::new(Vec::new()),
            }),
            workers,
            ahead: NonZeroUsize::MIN.saturating_add(workers + 1),
            running: None,
            waits: Waits::default(),
        }
    }

    /// Creates a loader with a recipe's batch size, seed and augmentation.
    pub fn of(recipe: &recipe::Recipe, data: impl Into<Arc<Dataset>>, scaling: &Scaling) -> Self {
        let batch = NonZeroUsize::new(recipe.batch).unwrap_or(NonZeroUsize::MIN);
        Self::new(data, batch, scaling, recipe.seed)
            .augment(Augment::of(&recipe.augment, scaling))
            .drop_last(recipe.drop_last)
    }

    /// Leaves out the last batch of an epoch if it is smaller, unless it is the only one.
    #[must_use]
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.change(|recipe| recipe.drop_last = drop_last);
        self
    }

    /// Sets the augmentation.
    #[must_use]
    pub fn augment(mut self, augment: Augment) -> Self {
        self.change(|recipe| recipe.augment = augment);
        self
    }

    /// Changes what decides on batches; they are made anew.
    fn change(&mut self, change: impl FnOnce(&mut Recipe)) {
        let old = &self.recipe;
        let mut recipe = Recipe {
            augment: old.augment.clone(),
            orders: Mutex::new(Vec::new()),
            data: Arc::clone(&old.data),
            scaling: old.scaling.clone(),
            tables: old.tables.clone(),
            ..**old
        };
        change(&mut recipe);
        self.recipe = Arc::new(recipe);
        self.running = None;
    }

    /// Sets the number of workers, at most 64; with 0, batches are created on demand.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self.running = None;
        self
    }

    /// Sets the maximum number of prefetched batches. This bounds the memory: a batch takes
    /// `4 * (C * H * W + K)` bytes for each image of `C x H x W` values in `K` classes.
    #[must_use]
    pub fn ahead(mut self, batches: NonZeroUsize) -> Self {
        self.ahead = batches;
        self.running = None;
        self
    }

    /// The waiting times since the loader was created.
    pub fn waits(&self) -> Waits {
        self.waits
    }

    /// The batch of a position, counted over all epochs.
    fn take(&mut self, position: u64) -> Result<HostBatch, DataError> {
        let asked = Instant::now();
        let (recipe, workers, ahead) = (&self.recipe, self.workers, self.ahead);
        let running = self.running.get_or_insert_with(|| {
            let recipe = Arc::clone(recipe);
            let make = move |position| {
                let (epoch, step) = recipe.place(position);
                recipe.make(epoch, step)
            };
            Ahead::new(Box::new(make), position, workers, ahead.get() as u64)
        });
        let batch = running.take(position);
        self.waits.waited += asked.elapsed();
        self.waits.batches += 1;
        let (epoch, step) = self.recipe.place(position);
        batch.map_err(|message| DataError::Panicked { epoch, step, message })
    }
}

impl Source for Loader {
    fn images(&self) -> usize {
        self.recipe.data.len()
    }

    fn sizes(&self) -> Option<Sizes> {
        Some(self.recipe.data.sizes())
    }

    fn steps_per_epoch(&self) -> u64 {
        self.recipe.steps()
    }

    fn epoch(&mut self, epoch: u32, from_step: u64) -> EpochBatches<'_> {
        let steps = self.recipe.steps();
        let first = u64::from(epoch.saturating_sub(1)) * steps;
        let mut last = Instant::now();
        Box::new((from_step..steps).map(move |step| {
            let batch = self.take(first + step);
            let now = Instant::now();
            self.waits.elapsed += now - last;
            last = now;
            batch
        }))
    }

    fn settings(&self) -> Vec<(String, String)> {
        let recipe = &self.recipe;
        let settings = [
            (
                "images",
                format!("{}, {:016x}", recipe.data.len(), fingerprint(&recipe.data)),
            ),
            ("batch", recipe.batch.to_string()),
            ("shuffle seed", recipe.seed.to_string()),
            ("scaling", format!("{:?}", recipe.scaling)),
            ("augmentation", format!("{:?}", recipe.augment)),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value)).into_iter();
        let dropped = recipe
            .drop_last
            .then(|| ("last batch".to_owned(), "dropped".to_owned()));
        settings.chain(dropped).collect()
    }
}

/// All that decides on batches.
struct Recipe {
    data: Arc<Dataset>,
    batch: NonZeroUsize,
    scaling: Scaling,
    /// Of each channel, what a pixel becomes.
    tables: Vec<[f32; 256]>,
    seed: u64,
    augment: Augment,
    drop_last: bool,
    /// The orders of the epochs that were used last.
    orders: Mutex<Vec<(u32, Arc<[usize]>)>>,
}

/// Epochs whose orders are kept: that of the step, and the next.
const ORDERS: usize = 2;

impl Recipe {
    fn steps(&self) -> u64 {
        let (images, batch) = (self.data.len(), self.batch.get());
        match self.drop_last && images >= batch {
            true => (images / batch) as u64,
            false => images.div_ceil(batch) as u64,
        }
    }

    /// The epoch, from 1, and the step, from 0, of a position.
    fn place(&self, position: u64) -> (u32, u64) {
        let steps = self.steps().max(1);
        let epoch = u32::try_from(position / steps + 1).unwrap_or(u32::MAX);
        (epoch, position % steps)
    }

    /// The order of the images in an epoch.
    fn order(&self, epoch: u32) -> Arc<[usize]> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, order)) = orders.iter().find(|(of, _)| *of == epoch) {
            return Arc::clone(order);
        }
        let mut order: Vec<usize> = (0..self.data.len()).collect();
        order.shuffle(&mut generator(self.seed, Purpose::Order, [epoch.into(), 0]));
        let order: Arc<[usize]> = order.into();
        orders.truncate(ORDERS - 1);
        orders.insert(0, (epoch, Arc::clone(&order)));
        order
    }

    fn make(&self, epoch: u32, step: u64) -> HostBatch {
        let order = self.order(epoch);
        let sizes = self.data.sizes();
        let first = (step as usize).saturating_mul(self.batch.get()).min(order.len());
        let indices = &order[first..order.len().min(first.saturating_add(self.batch.get()))];
        let mut batch = HostBatch {
            images: Vec::with_capacity(indices.len() * sizes.values()),
            targets: vec![0.0; indices.len() * sizes.classes],
            labels: Vec::with_capacity(indices.len()),
        };
        for (place, &index) in indices.iter().enumerate() {
            self.add(epoch, index, &mut batch.images);
            let label = self.data.get(index).label;
            batch.targets[place * sizes.classes + label] = 1.0;
            batch.labels.push(label);
        }
        if let Some(mix) = self.augment.mix {
            let mut rng = generator(self.seed, Purpose::Mixing, [epoch.into(), step]);
            mix.apply(&mut batch, (sizes.height, sizes.width), &mut rng);
        }
        if self.augment.smoothing != 0.0 {
            smooth(&mut batch.targets, sizes.classes, self.augment.smoothing);
        }
        batch
    }

    /// Appends an image, changed and scaled.
    fn add(&self, epoch: u32, index: usize, values: &mut Vec<f32>) {
        let mut rng = generator(self.seed, Purpose::Augmentation, [epoch.into(), index as u64]);
        let pixels = self.data.get(index).pixels;
        let Sizes {
            channels,
            height,
            width,
            ..
        } = self.data.sizes();
        let start = values.len();
        if self.augment.pictures.is_empty() {
            self.scale(pixels, values);
        } else {
            let mut picture = Picture::new(channels, height, width, pixels.to_vec());
            for change in &self.augment.pictures {
                change.apply(&mut picture, &mut rng);
            }
            self.scale(&picture.pixels, values);
        }
        for erasing in &self.augment.erasing {
            erasing.erase(&mut values[start..], (height, width), &mut rng);
        }
    }

    fn scale(&self, pixels: &[u8], values: &mut Vec<f32>) {
        let planes = pixels.chunks_exact(self.data.sizes().plane().max(1));
        for (pixels, table) in planes.zip(&self.tables) {
            values.extend(pixels.iter().map(|&pixel| table[usize::from(pixel)]));
        }
    }
}

#[cfg(test)]
#[path = "loader_tests.rs"]
mod tests;
