//! The layer operations on NVIDIA GPUs, for dfdx's [`Cuda`] device (feature `cuda`).
//!
//! [`device`] gives the device, or says why there is none. Everything else is as on the CPU: build a
//! model on it, run and train it. Activations stay on the GPU from the input to the logits.
//!
//! ```no_run
//! use ksdsl_runtime::cuda;
//! use ksdsl_runtime::prelude::*;
//!
//! # fn main() -> Result<(), cuda::CudaUnavailable> {
//! let device = cuda::device(0)?;
//! cuda::set_precision(&device, cuda::Precision::Tf32)?;
//! let x: Tensor<(Const<2>, Const<8>, Const<16>, Const<16>), f32, _> = device.sample_normal();
//! # Ok(())
//! # }
//! ```
//!
//! Products of dense matrices are cuBLAS's, all other kernels are in `kernels/*.cu` and compiled by nvrtc for the
//! GPU that is there when the first operation runs, which takes seconds. All run on the default stream
//! of the device's primary context, which is dfdx's too. Sums are added in a fixed order, so equal
//! inputs give equal bits on the same GPU with the same versions of CUDA.

mod attention;
mod backend;
mod buf;
mod conv;
mod engine;
mod gather;
mod layers;
mod norms;
mod real;
mod source;
mod tensors;
mod unavailable;
mod update;

#[doc(hidden)]
pub use buf::{CudaBuf, CudaKernel, CudaKernelGradient};
pub use real::Precision;
#[doc(hidden)]
pub use real::Real;
pub use unavailable::{CudaUnavailable, device, device_with_seed};

use dfdx::shapes::Shape;
use dfdx::tensor::{Cuda, CudaError, Tensor};
use engine::Engine;

/// Reads a tensor in the way that is taken where dfdx does not show its address; for tests.
///
/// # Errors
/// If the device fails.
#[doc(hidden)]
pub fn read_through_gradient<S: Shape>(tensor: &Tensor<S, f32, Cuda>) -> Result<CudaBuf<f32>, CudaError> {
    tensors::through_gradient(tensor.clone())
}

/// Sets how matrix products of `f32` are computed on this GPU, by all threads of this process.
///
/// # Errors
/// If the device fails.
pub fn set_precision(device: &Cuda, precision: Precision) -> Result<(), CudaUnavailable> {
    Engine::of(device)?.set_precision(precision);
    Ok(())
}

/// How matrix products of `f32` are computed on this GPU.
///
/// # Errors
/// If the device fails.
pub fn precision(device: &Cuda) -> Result<Precision, CudaUnavailable> {
    Ok(Engine::of(device)?.precision())
}
