//! Digits as tensors.

use super::{Digit, Digits};
use dfdx::dtypes::Dtype;
use dfdx::shapes::Const;
use dfdx::tensor::Tensor;
use dfdx::tensor_ops::Device;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::num::NonZeroUsize;

/// Images of digits: batch x 1 x 8 x 8.
pub type Images<E, D, T = dfdx::tensor::NoneTape> =
    Tensor<(usize, Const<1>, Const<{ Digits::SIDE }>, Const<{ Digits::SIDE }>), E, D, T>;

/// A probability for each class: batch x 10.
pub type Targets<E, D, T = dfdx::tensor::NoneTape> = Tensor<(usize, Const<{ Digits::CLASSES }>), E, D, T>;

/// Pixels to numbers of mean 0 and variance 1: `(pixel - mean) / deviation`. Taken from the
/// training part alone, so that nothing of what is held out is known in training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    /// The mean of all pixels.
    pub mean: f64,
    /// Their standard deviation, 1 where all are equal.
    pub deviation: f64,
}

impl Scaling {
    /// The scaling that gives the pixels of `digits` mean 0 and variance 1.
    pub fn of(digits: &Digits) -> Self {
        let pixels = || digits.iter().flat_map(|digit| digit.pixels).map(f64::from);
        let count = (digits.len() * Digits::PIXELS).max(1) as f64;
        let mean = pixels().sum::<f64>() / count;
        let variance = pixels().map(|pixel| (pixel - mean).powi(2)).sum::<f64>() / count;
        let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        Self { mean, deviation }
    }

    fn scale<E: Dtype>(&self, pixel: u8) -> E {
        E::from_f64((f64::from(pixel) - self.mean) / self.deviation).unwrap_or_default()
    }
}

/// Images with what a network should say about them.
#[derive(Clone, Debug)]
pub struct Batch<E: Dtype, D: Device<E>> {
    /// The scaled images.
    pub images: Images<E, D>,
    /// Probability 1 for the class of each image, as dfdx's `cross_entropy_with_logits_loss`
    /// takes it.
    pub targets: Targets<E, D>,
}

impl<E: Dtype, D: Device<E>> Batch<E, D> {
    /// `digits` as tensors on `device`.
    pub fn new<'a>(digits: impl IntoIterator<Item = &'a Digit>, scaling: Scaling, device: &D) -> Result<Self, D::Err> {
        let mut pixels = Vec::new();
        let mut targets = Vec::new();
        for digit in digits {
            pixels.extend(digit.pixels.iter().map(|&pixel| scaling.scale::<E>(pixel)));
            targets.extend(
                (0..Digits::CLASSES).map(|class| match usize::from(digit.class) == class {
                    true => E::ONE,
                    false => E::default(),
                }),
            );
        }
        let count = targets.len() / Digits::CLASSES;
        Ok(Self {
            images: device.try_tensor_from_vec(pixels, (count, Const, Const, Const))?,
            targets: device.try_tensor_from_vec(targets, (count, Const))?,
        })
    }
}

/// Digits in batches, in a new random order every epoch.
#[derive(Clone, Debug)]
pub struct Batches<'d> {
    digits: &'d Digits,
    size: NonZeroUsize,
    scaling: Scaling,
    order: Vec<usize>,
    rng: ChaCha8Rng,
}

impl<'d> Batches<'d> {
    /// Batches of `size` images (the last of an epoch has what is left); `seed` decides on the
    /// orders.
    pub fn new(digits: &'d Digits, size: NonZeroUsize, scaling: Scaling, seed: u64) -> Self {
        Self {
            digits,
            size,
            scaling,
            order: (0..digits.len()).collect(),
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// How many batches an epoch has.
    pub fn per_epoch(&self) -> usize {
        self.digits.len().div_ceil(self.size.get())
    }

    /// The batches of the next epoch; together they hold every image once.
    pub fn epoch<'b, E: Dtype, D: Device<E>>(
        &'b mut self,
        device: &'b D,
    ) -> impl Iterator<Item = Result<Batch<E, D>, D::Err>> + 'b {
        self.order.shuffle(&mut self.rng);
        let (digits, scaling) = (self.digits.as_slice(), self.scaling);
        self.order.chunks(self.size.get()).map(move |chunk| {
            let chosen = chunk.iter().map(|&i| &digits[i]);
            Batch::new(chosen, scaling, device)
        })
    }
}

#[cfg(test)]
#[path = "batches_tests.rs"]
mod tests;
