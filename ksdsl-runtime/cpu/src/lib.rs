#![doc = include_str!("../README.md")]
//!
//! [`CpuExec`] is the executor. Maps are NHWC, and the kernels run on the team of [`set_threads`].
//!
//! Results do not depend on the number of threads: work is cut by sizes alone, each element is
//! computed by one task, and sums over several tasks are added in the order of the parts
//! (see `par`).

mod activation;
mod attention;
mod attention_past;
mod buf;
mod chain;
mod compute;
mod conv;
mod conv_method;
mod depthwise;
mod elementwise;
mod error;
mod exec;
mod finish;
mod fused;
mod gemm;
mod im2col;
mod implicit;
mod joined;
mod kernel;
mod layout;
mod linear;
pub mod memory;
pub mod meter;
mod norm;
mod par;
mod place;
mod pool;
mod real;
mod rows;
mod scoped;
#[cfg(feature = "signs")]
mod signs;
mod simd;
mod slices;
mod special;
mod tail;
mod threads;
mod uneven;
mod update;
mod weight_layout;
mod weight_type;
mod winograd;

pub use buf::{CpuBuf, Plain};
pub use conv_method::{WinogradChoice, with_winograd};
pub use error::Error;
pub use exec::CpuExec;
pub use kernel::{CpuKernel, CpuKernelGradient};
pub use par::in_parallel;
pub use real::CpuReal;
#[cfg(feature = "signs")]
pub use signs::with_signs;
pub use simd::Level;
pub use slices::with_unit_bytes;
pub use threads::{THREADS_VARIABLE, set_threads, threads, with_threads};
pub use weight_type::WeightType;
