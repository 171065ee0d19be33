//! The device to run on, and networks that can be built on every device.

use ksdsl_runtime::prelude::*;
use ksdsl_train::Classifier;
#[cfg(not(feature = "cuda"))]
use ksdsl_train_core::program::device::only_cpu;
use ksdsl_train_core::program::device::{Place, Precision};
use std::error::Error;

/// What is missing for GPUs.
#[cfg(not(feature = "cuda"))]
pub(crate) const NO_GPUS: &str = "this program was built without the feature `cuda` (`cargo run --features cuda`)";

/// Checks that the device is available and sets its precision, before any work starts.
///
/// # Errors
/// If the GPU cannot be used, or the device has no such precision.
#[cfg(not(feature = "cuda"))]
pub fn prepare(place: Place, precision: Precision) -> Result<(), Box<dyn Error>> {
    only_cpu(place, precision, NO_GPUS)
}

/// Checks that the device is available and sets its precision, before any work starts.
///
/// # Errors
/// If the GPU cannot be used, or the device has no such precision.
#[cfg(feature = "cuda")]
pub fn prepare(place: Place, precision: Precision) -> Result<(), Box<dyn Error>> {
    use ksdsl_runtime::cuda::{self, Precision as On};
    let Place::Cuda(number) = place else {
        return ksdsl_train_core::program::device::only_cpu(place, precision, "");
    };
    let precision = match precision {
        Precision::Full => On::Full,
        Precision::Tf32 => On::Tf32,
        Precision::Bf16 => On::Bf16,
    };
    Ok(cuda::set_precision(&cuda::device(number)?, precision)?)
}

/// A network that can be built on every device this program supports.
#[cfg(not(feature = "cuda"))]
pub trait Net<const C: usize, const H: usize, const W: usize, const K: usize>:
    Network + BuildOnDevice<Cpu, f32, Built: Classifier<C, H, W, K>>
{
}

#[cfg(not(feature = "cuda"))]
impl<B, const C: usize, const H: usize, const W: usize, const K: usize> Net<C, H, W, K> for B where
    B: Network + BuildOnDevice<Cpu, f32, Built: Classifier<C, H, W, K>>
{
}

/// A network that can be built on every device this program supports.
#[cfg(feature = "cuda")]
pub trait Net<const C: usize, const H: usize, const W: usize, const K: usize>:
    Network
    + BuildOnDevice<Cpu, f32, Built: Classifier<C, H, W, K>>
    + BuildOnDevice<Cuda, f32, Built: Classifier<C, H, W, K, Cuda>>
{
}

#[cfg(feature = "cuda")]
impl<B, const C: usize, const H: usize, const W: usize, const K: usize> Net<C, H, W, K> for B where
    B: Network
        + BuildOnDevice<Cpu, f32, Built: Classifier<C, H, W, K>>
        + BuildOnDevice<Cuda, f32, Built: Classifier<C, H, W, K, Cuda>>
{
}

#[cfg(all(test, not(feature = "cuda")))]
mod tests {
    use super::{Place, Precision, prepare};

    #[test]
    fn gpus_need_the_feature() {
        assert!(prepare(Place::Cpu, Precision::Full).is_ok());
        let error = prepare(Place::Cuda(0), Precision::Full).unwrap_err();
        assert!(error.to_string().contains("without the feature `cuda`"), "{error}");
    }
}
