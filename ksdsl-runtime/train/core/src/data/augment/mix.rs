//! Mixup, cutmix and label smoothing.

use crate::source::HostBatch;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};
use std::ops::Range;

/// Mixes each image of a batch, and its target, with the previous one (the first with the last): whole
/// images by mixup (Zhang et al. 2018, arXiv 1710.09412) or a rectangle by cutmix (Yun et al. 2019,
/// arXiv 1905.04899). One coefficient from Beta(alpha, alpha) applies to the whole batch, as in torchvision's `MixUp`
/// and `CutMix`; with both, each batch uses one of them at random.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// Alpha of mixup; 0 disables it.
    pub mixup: f64,
    /// Alpha of cutmix; 0 disables it.
    pub cutmix: f64,
    /// The probability that a batch is mixed.
    pub probability: f64,
    /// With both, the probability of cutmix.
    pub cutmix_share: f64,
}

impl Default for Mix {
    /// Both disabled; if enabled, every batch is mixed, half of them with cutmix.
    fn default() -> Self {
        Self {
            mixup: 0.0,
            cutmix: 0.0,
            probability: 1.0,
            cutmix_share: 0.5,
        }
    }
}

/// What is done to a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Mixing {
    /// Whole images: so much of each is its own.
    Whole(f32),
    /// These rows and columns are those of the image before.
    Rectangle(Range<usize>, Range<usize>),
}

impl Mix {
    /// Mixes a batch of images of `size` rows and columns.
    pub fn apply(&self, batch: &mut HostBatch, size: (usize, usize), rng: &mut ChaCha8Rng) {
        match self.draw(size, rng) {
            Some(Mixing::Whole(own)) => mixup(batch, own),
            Some(Mixing::Rectangle(rows, columns)) => cutmix(batch, size, rows, columns),
            None => {}
        }
    }

    /// Draws what is done.
    pub fn draw(&self, size: (usize, usize), rng: &mut ChaCha8Rng) -> Option<Mixing> {
        let (mixed, kind) = (rng.r#gen::<f64>(), rng.r#gen::<f64>());
        let (mixup, cutmix) = (self.mixup > 0.0, self.cutmix > 0.0);
        if mixed >= self.probability || !(mixup || cutmix) {
            return None;
        }
        let cut = cutmix && (!mixup || kind < self.cutmix_share);
        let alpha = if cut { self.cutmix } else { self.mixup };
        // Of an infinite alpha, half of each.
        let own = if alpha.is_finite() {
            Beta::new(alpha, alpha).ok()?.sample(rng)
        } else {
            0.5
        };
        if !cut {
            return Some(Mixing::Whole(own as f32));
        }
        let row = rng.gen_range(0..size.0.max(1) as u64) as usize;
        let column = rng.gen_range(0..size.1.max(1) as u64) as usize;
        let (rows, columns) = rectangle(size, own, row, column);
        Some(Mixing::Rectangle(rows, columns))
    }
}

/// Rows and columns about a pixel, `1 - own` of the area where they all lie within the image.
fn rectangle(size: (usize, usize), own: f64, row: usize, column: usize) -> (Range<usize>, Range<usize>) {
    let half = 0.5 * libm::sqrt(1.0 - own);
    let range = |middle: usize, size: usize| {
        let half = (half * size as f64) as usize;
        middle.saturating_sub(half)..(middle + half).min(size)
    };
    (range(row, size.0), range(column, size.1))
}

/// `own * x + (1 - own) * x'` of images and targets, with `x'` those of the image before.
pub(super) fn mixup(batch: &mut HostBatch, own: f32) {
    let images = batch.len();
    let blend = |value: &mut f32, other: f32| *value = own * *value + (1.0 - own) * other;
    with_previous(&mut batch.images, images, |value, other, _| blend(value, other));
    with_previous(&mut batch.targets, images, |value, other, _| blend(value, other));
}

/// These rows and columns from the image before, and as much of its target as they are of the area.
pub(super) fn cutmix(
    batch: &mut HostBatch,
    (height, width): (usize, usize),
    rows: Range<usize>,
    columns: Range<usize>,
) {
    let images = batch.len();
    let own = 1.0 - (rows.len() * columns.len()) as f64 / (height * width).max(1) as f64;
    with_previous(&mut batch.images, images, |value, other, index| {
        let (row, column) = (index / width % height, index % width);
        if rows.contains(&row) && columns.contains(&column) {
            *value = other;
        }
    });
    let own = own as f32;
    with_previous(&mut batch.targets, images, |value, other, _| {
        *value = own * *value + (1.0 - own) * other;
    });
}

/// Calls `change` with each value of an item, the value of the item before it (of the last for the first) as it
/// was, and the value's place in the item.
fn with_previous(values: &mut [f32], items: usize, change: impl Fn(&mut f32, f32, usize)) {
    let len = values.len() / items.max(1);
    if items < 2 || len == 0 {
        return;
    }
    // Backwards, so that the item before is not changed yet; only the last is needed after its change.
    let last = values[(items - 1) * len..].to_vec();
    for item in (0..items).rev() {
        let (before, own) = values.split_at_mut(item * len);
        let other = if item == 0 {
            &last[..]
        } else {
            &before[(item - 1) * len..]
        };
        for (index, (value, &other)) in own[..len].iter_mut().zip(other).enumerate() {
            change(value, other, index);
        }
    }
}

/// Label smoothing (Szegedy et al. 2016, arXiv 1512.00567, section 7) as PyTorch's `label_smoothing`: of `classes`
/// classes each gets `smoothing / classes`, and the rest goes to the target.
pub fn smooth(targets: &mut [f32], classes: usize, smoothing: f32) {
    for target in targets {
        *target = (1.0 - smoothing) * *target + smoothing / classes as f32;
    }
}
