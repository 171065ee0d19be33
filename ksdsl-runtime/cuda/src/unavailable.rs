//! Opening a GPU.

use super::error::Error;
use super::handle::CudaExec;
use cudarc::driver::{DriverError, result};
use std::fmt;

/// Why a GPU cannot be used.
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
    /// The GPU fails, for example because its memory is full; what it says.
    Device(String),
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
            Self::Device(what) => write!(f, "the GPU failed: {what}"),
            Self::Kernels(log) => write!(f, "nvrtc cannot compile the kernels for this GPU:\n{log}"),
        }
    }
}

impl std::error::Error for CudaUnavailable {}

impl From<Error> for CudaUnavailable {
    fn from(error: Error) -> Self {
        match error {
            Error::Kernels(log) => Self::Kernels(log),
            error => Self::Device(error.to_string()),
        }
    }
}

impl CudaExec {
    /// The GPU with this index, from 0, with its kernels for `f32`.
    ///
    /// # Errors
    /// If there is no driver or no such GPU, or it does not work; never a panic. (Where the library of the
    /// driver itself, `libcuda`, is missing, a program that is linked to it is refused by the system.)
    pub fn open(ordinal: usize) -> Result<Self, CudaUnavailable> {
        result::init().map_err(CudaUnavailable::NoDriver)?;
        let count = result::device::get_count().map_err(CudaUnavailable::NoDriver)?;
        let count = usize::try_from(count).unwrap_or(0);
        if ordinal >= count {
            return Err(CudaUnavailable::NoDevice { ordinal, count });
        }
        let exec = Self::of_ordinal(ordinal)?;
        exec.prepare::<f32>()?;
        Ok(exec)
    }
}
