//! Batches as tensors.

use super::{Dataset, Example};
use ksdsl_runtime::dfdx::dtypes::Dtype;
use ksdsl_runtime::dfdx::shapes::Const;
use ksdsl_runtime::dfdx::tensor::{NoneTape, Tensor};
use ksdsl_runtime::dfdx::tensor_ops::Device;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::num::NonZeroUsize;

/// Images: batch x `C` x `H` x `W`.
pub type Images<const C: usize, const H: usize, const W: usize, E, D, T = NoneTape> =
    Tensor<(usize, Const<C>, Const<H>, Const<W>), E, D, T>;

/// Target probabilities: batch x `K`.
pub type Targets<const K: usize, E, D, T = NoneTape> = Tensor<(usize, Const<K>), E, D, T>;

/// Normalises pixels to mean 0 and variance 1 per channel: `(pixel - mean) / deviation`.
/// Computed from the training set only, so that no information leaks from the validation set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling<const C: usize> {
    /// The mean of each channel.
    pub mean: [f64; C],
    /// The standard deviation of each channel; 1 for a constant channel.
    pub deviation: [f64; C],
}

impl<const C: usize> Scaling<C> {
    /// The scaling that normalises `data` to mean 0 and variance 1.
    pub fn of<const H: usize, const W: usize, const K: usize>(data: &Dataset<C, H, W, K>) -> Self {
        let count = (data.len() * H * W).max(1) as f64;
        let sums = |value: &dyn Fn(usize, f64) -> f64| {
            let mut sums = [0.0; C];
            for example in data.iter() {
                for (channel, pixels) in example.pixels.chunks_exact(H * W).enumerate() {
                    sums[channel] += pixels
                        .iter()
                        .map(|&pixel| value(channel, f64::from(pixel)))
                        .sum::<f64>();
                }
            }
            sums.map(|sum| sum / count)
        };
        let mean = sums(&|_, pixel| pixel);
        let variance = sums(&|channel, pixel| (pixel - mean[channel]).powi(2));
        let deviation = variance.map(|variance| if variance > 0.0 { variance.sqrt() } else { 1.0 });
        Self { mean, deviation }
    }

    /// Appends the scaled values of an image whose channels have `plane` pixels each.
    pub(crate) fn extend<E: Dtype>(&self, pixels: &[u8], plane: usize, values: &mut Vec<E>) {
        for (channel, pixels) in pixels.chunks_exact(plane).enumerate() {
            values.extend(pixels.iter().map(|&pixel| self.scale::<E>(channel, pixel)));
        }
    }

    /// Of each channel, what every pixel becomes.
    pub(super) fn tables(&self) -> [[f32; 256]; C] {
        std::array::from_fn(|channel| std::array::from_fn(|pixel| self.scale(channel, pixel as u8)))
    }

    fn scale<E: Dtype>(&self, channel: usize, pixel: u8) -> E {
        E::from_f64((f64::from(pixel) - self.mean[channel]) / self.deviation[channel]).unwrap_or_default()
    }
}

/// A batch of images and targets.
#[derive(Clone, Debug)]
pub struct Batch<const C: usize, const H: usize, const W: usize, const K: usize, E: Dtype, D: Device<E>> {
    /// The scaled images.
    pub images: Images<C, H, W, E, D>,
    /// Probability 1 for the class of each image, as dfdx's `cross_entropy_with_logits_loss`
    /// takes it.
    pub targets: Targets<K, E, D>,
}

impl<const C: usize, const H: usize, const W: usize, const K: usize, E: Dtype, D: Device<E>> Batch<C, H, W, K, E, D> {
    /// Copies the images at these indices to tensors on `device`.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn new(
        data: &Dataset<C, H, W, K>,
        indices: impl IntoIterator<Item = usize>,
        scaling: Scaling<C>,
        device: &D,
    ) -> Result<Self, D::Err> {
        let (mut values, mut targets) = (Vec::new(), Vec::new());
        for Example { pixels, label } in indices.into_iter().map(|index| data.get(index)) {
            scaling.extend(pixels, H * W, &mut values);
            targets.extend((0..K).map(|class| if class == label { E::ONE } else { E::default() }));
        }
        let count = targets.len() / K.max(1);
        Ok(Self {
            images: device.try_tensor_from_vec(values, (count, Const, Const, Const))?,
            targets: device.try_tensor_from_vec(targets, (count, Const))?,
        })
    }
}

/// Batches of a data set, reshuffled every epoch.
#[derive(Clone, Debug)]
pub struct Batches<'d, const C: usize, const H: usize, const W: usize, const K: usize> {
    data: &'d Dataset<C, H, W, K>,
    size: NonZeroUsize,
    scaling: Scaling<C>,
    order: Vec<usize>,
    rng: ChaCha8Rng,
}

impl<'d, const C: usize, const H: usize, const W: usize, const K: usize> Batches<'d, C, H, W, K> {
    /// Batches of `size` images (the last one may be smaller), shuffled by `seed`.
    pub fn new(data: &'d Dataset<C, H, W, K>, size: NonZeroUsize, scaling: Scaling<C>, seed: u64) -> Self {
        Self {
            data,
            size,
            scaling,
            order: (0..data.len()).collect(),
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// The number of batches per epoch.
    pub fn per_epoch(&self) -> usize {
        self.data.len().div_ceil(self.size.get())
    }

    /// The batches of the next epoch; every image occurs once.
    pub fn epoch<'b, E: Dtype, D: Device<E>>(
        &'b mut self,
        device: &'b D,
    ) -> impl Iterator<Item = Result<Batch<C, H, W, K, E, D>, D::Err>> + 'b {
        self.order.shuffle(&mut self.rng);
        let (data, scaling) = (self.data, self.scaling);
        let chunks = self.order.chunks(self.size.get());
        chunks.map(move |chunk| Batch::new(data, chunk.iter().copied(), scaling, device))
    }
}

#[cfg(test)]
#[path = "batches_tests.rs"]
mod tests;
