//! Batches as tensors.

use super::DataError;
use crate::source::HostBatch;
use ksdsl_runtime::dfdx::shapes::Const;
use ksdsl_runtime::dfdx::tensor::{NoneTape, Tensor};
use ksdsl_runtime::dfdx::tensor_ops::Device;

/// Images: batch x `C` x `H` x `W`.
pub type Images<const C: usize, const H: usize, const W: usize, E, D, T = NoneTape> =
    Tensor<(usize, Const<C>, Const<H>, Const<W>), E, D, T>;

/// Target probabilities: batch x `K`.
pub type Targets<const K: usize, E, D, T = NoneTape> = Tensor<(usize, Const<K>), E, D, T>;

/// Batches of images as tensors of a device.
pub trait OnDevice {
    /// Copies images and targets to a device.
    ///
    /// # Errors
    /// If the images do not have `C x H x W` values or there are not `K` classes; also if the device fails.
    #[expect(clippy::type_complexity, reason = "images and targets")]
    fn tensors<const C: usize, const H: usize, const W: usize, const K: usize, D: Device<f32>>(
        &self,
        device: &D,
    ) -> Result<(Images<C, H, W, f32, D>, Targets<K, f32, D>), DataError>;
}

impl OnDevice for HostBatch {
    fn tensors<const C: usize, const H: usize, const W: usize, const K: usize, D: Device<f32>>(
        &self,
        device: &D,
    ) -> Result<(Images<C, H, W, f32, D>, Targets<K, f32, D>), DataError> {
        let count = self.len();
        if self.images.len() != count * C * H * W || self.targets.len() != count * K || count == 0 {
            return Err(DataError::Batch {
                images: count,
                values: self.images.len(),
                targets: self.targets.len(),
                expected: format!("{C} x {H} x {W} values and {K} targets"),
            });
        }
        let failed = |error: D::Err| DataError::Device(error.to_string());
        let images = device.try_tensor_from_vec(self.images.clone(), (count, Const, Const, Const));
        let targets = device.try_tensor_from_vec(self.targets.clone(), (count, Const));
        Ok((images.map_err(failed)?, targets.map_err(failed)?))
    }
}

#[cfg(test)]
#[path = "tensors_tests.rs"]
mod tests;
