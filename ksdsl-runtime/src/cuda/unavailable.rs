//! Opening a CUDA device.

use super::tensors;
use cudarc::driver::{DriverError, result};
use dfdx::tensor::{Cuda, CudaError};
use ksdsl_cuda::{CudaExec, Error};
use std::fmt;

/// Why a CUDA device cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum CudaUnavailable {
    /// The driver cannot be initialised: there is no GPU, or the driver does not match the kernel or the GPU.
    NoDriver(DriverError),
    /// There is no GPU with this index.
    NoDevice {
        /// The requested index, from 0.
        ordinal: usize,
        /// The number of GPUs.
        count: usize,
    },
    /// The GPU fails, for example because its memory is full.
    Device(CudaError),
    /// nvrtc cannot compile the kernels for this GPU; its messages.
    Kernels(String),
}

impl fmt::Display for CudaUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDriver(error) => write!(
                f,
                "cannot initialise the CUDA driver ({error:?}); check that `nvidia-smi` lists a GPU, or use the CPU"
            ),
            Self::NoDevice { ordinal, count: 0 } => write!(
                f,
                "there is no GPU that could be `cuda:{ordinal}`; check `nvidia-smi` and CUDA_VISIBLE_DEVICES, or use the CPU"
            ),
            Self::NoDevice { ordinal, count } => write!(
                f,
                "there is no `cuda:{ordinal}`; this machine has `cuda:0` to `cuda:{}`",
                count.saturating_sub(1)
            ),
            Self::Device(error) => write!(f, "the GPU failed: {error}"),
            Self::Kernels(log) => write!(f, "nvrtc cannot compile the kernels for this GPU:\n{log}"),
        }
    }
}

impl std::error::Error for CudaUnavailable {}

impl From<CudaError> for CudaUnavailable {
    fn from(error: CudaError) -> Self {
        Self::Device(error)
    }
}

impl From<Error> for CudaUnavailable {
    fn from(error: Error) -> Self {
        match error {
            Error::Kernels(log) => Self::Kernels(log),
            error => Self::Device(tensors::failed(error)),
        }
    }
}

/// Opens the GPU with this index, from 0, with the random seed 0.
///
/// # Errors
/// If there is no driver or no such GPU, or it does not work; never a panic. (Where the library of the
/// driver itself, `libcuda`, is missing, a program with the feature `cuda` is linked to it and the system
/// refuses to start it.)
pub fn device(ordinal: usize) -> Result<Cuda, CudaUnavailable> {
    device_with_seed(ordinal, 0)
}

/// As [`device`], with a seed. The generator is on the host and the same as the CPU device's, so a seed
/// gives the same initial parameters on both.
///
/// # Errors
/// As [`device`].
pub fn device_with_seed(ordinal: usize, seed: u64) -> Result<Cuda, CudaUnavailable> {
    // cudarc panics where these fail, so they are tried before.
    result::init().map_err(CudaUnavailable::NoDriver)?;
    let count = result::device::get_count().map_err(CudaUnavailable::NoDriver)?;
    let count = usize::try_from(count).unwrap_or(0);
    if ordinal >= count {
        return Err(CudaUnavailable::NoDevice { ordinal, count });
    }
    let cuda = Cuda::try_build(ordinal, seed)?;
    CudaExec::of_ordinal(ordinal)?.prepare::<f32>()?;
    Ok(cuda)
}
