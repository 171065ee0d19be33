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
mod unavailable;

#[doc(inline)]
pub use ksdsl_cuda::Precision;
pub use unavailable::{CudaUnavailable, device, device_with_seed};

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

/// Sets how matrix products of `f32` are computed on this GPU, by all threads of this process.
///
/// # Errors
/// If the device fails.
pub fn set_precision(device: &Cuda, precision: Precision) -> Result<(), CudaUnavailable> {
    tensors::exec(device)?.set_precision(precision);
    Ok(())
}

/// How matrix products of `f32` are computed on this GPU.
///
/// # Errors
/// If the device fails.
pub fn precision(device: &Cuda) -> Result<Precision, CudaUnavailable> {
    Ok(tensors::exec(device)?.precision())
}
