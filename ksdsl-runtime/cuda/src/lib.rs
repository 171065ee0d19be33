#![doc = include_str!("../README.md")]
#![cfg(feature = "device")]
//!
//! [`CudaExec`] is the executor. Products of dense matrices are cuBLAS's, all other kernels are in `kernels/*.cu` and compiled by
//! nvrtc for the GPU that is there when the first operation runs, which takes seconds. All run on the default stream of
//! the device's primary context. Sums are added in a fixed order, so equal inputs give equal bits on the same GPU with
//! the same versions of CUDA.

mod attention;
mod buf;
mod conv;
mod error;
mod exec;
mod gather;
mod gpu;
mod grid;
mod handle;
mod layers;
mod loops;
mod norms;
mod real;
mod rows;
mod source;
mod unavailable;
mod update;

pub use buf::{CudaBuf, CudaKernel, CudaKernelGradient};
pub use error::Error;
pub use handle::CudaExec;
pub use real::{CudaReal, Precision};
pub use unavailable::CudaUnavailable;
