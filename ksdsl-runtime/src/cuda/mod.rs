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
//! The kernels are those of [`ksdsl_cuda`].

mod tensors;

#[doc(inline)]
pub use ksdsl_cuda::{CudaUnavailable, Precision};

use crate::backend::Backend;
use dfdx::shapes::Shape;
use dfdx::tensor::{Cuda, CudaError, Gradients, Tensor};
use ksdsl_cuda::{CudaBuf, CudaExec, Error};

macro_rules! backend {
    ($E:ident) => {
        impl Backend<$E> for Cuda {
            type Exec = CudaExec;

            fn exec(&self) -> Result<CudaExec, CudaError> {
                tensors::exec(self)
            }

            fn failed(error: Error) -> CudaError {
                tensors::failed(error)
            }

            fn read_tensor<S: Shape, T>(&self, tensor: &Tensor<S, $E, Self, T>) -> Result<CudaBuf<$E>, CudaError> {
                tensors::read(self, tensor)
            }

            fn make_tensor<S: Shape>(&self, buf: CudaBuf<$E>, shape: S) -> Result<Tensor<S, $E, Self>, CudaError> {
                tensors::make(self, buf, shape)
            }

            fn add_to_gradient<S: Shape>(
                &self,
                gradients: &mut Gradients<$E, Self>,
                tensor: &Tensor<S, $E, Self>,
                buf: CudaBuf<$E>,
            ) -> Result<(), CudaError> {
                tensors::add_to_gradient(gradients, tensor, &buf)
            }

            fn take_gradient<S: Shape>(
                &self,
                gradients: &mut Gradients<$E, Self>,
                tensor: &Tensor<S, $E, Self>,
            ) -> Result<CudaBuf<$E>, CudaError> {
                tensors::take_gradient(gradients, tensor)
            }
        }
    };
}

backend!(f32);
backend!(f64);

/// Reads a tensor in the way that is taken where dfdx does not show its address; for tests.
///
/// # Errors
/// If the device fails.
#[doc(hidden)]
pub fn read_through_gradient<S: Shape>(tensor: &Tensor<S, f32, Cuda>) -> Result<CudaBuf<f32>, CudaError> {
    tensors::through_gradient(tensor.clone())
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
    // dfdx panics where this fails, so it is tried before.
    CudaExec::open(ordinal)?;
    Cuda::try_build(ordinal, seed).map_err(unavailable)
}

fn unavailable(error: CudaError) -> CudaUnavailable {
    CudaUnavailable::Device(error.to_string())
}

/// Sets how matrix products of `f32` are computed on this GPU, by all threads of this process.
///
/// # Errors
/// If the device fails.
pub fn set_precision(device: &Cuda, precision: Precision) -> Result<(), CudaUnavailable> {
    tensors::exec(device).map_err(unavailable)?.set_precision(precision);
    Ok(())
}

/// How matrix products of `f32` are computed on this GPU.
///
/// # Errors
/// If the device fails.
pub fn precision(device: &Cuda) -> Result<Precision, CudaUnavailable> {
    Ok(tensors::exec(device).map_err(unavailable)?.precision())
}
