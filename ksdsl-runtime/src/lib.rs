#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! - [`prelude`]: dfdx's devices, tensors, losses, optimisers, and the traits to build, run, save and load a model.
//! - [`checkpoint`]: safetensors files that are checked when they are read.
//! - [`prepared`]: a model whose kernels are packed once, for many calls.
//! - [`network`]: name, sizes and counts of a generated network, for generic code.
//! - [`cpu`]: threads, instruction sets, memory.

pub mod act;
pub mod backend;
pub mod bank;
pub mod checkpoint;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
#[doc(hidden)]
pub mod generated;
pub mod geometry;
pub mod init;
pub mod network;
pub mod norm;
pub mod ops;
pub mod oracle;
pub mod param;
pub mod pass;
mod pending;
pub mod prelude;
pub mod prepared;
pub mod repeat;
mod saved;
pub mod scalar;
pub mod update;
pub mod weight;

pub use dfdx;
pub use ksdsl_macros::{include_ksn, ksnet};
pub use scalar::Scalar;

/// Includes what `ksdsl::build` generated in the build script: `include_generated!("small")` for
/// the networks of `small.ksn`.
#[macro_export]
macro_rules! include_generated {
    ($name:literal) => {
        ::core::include!(::core::concat!(::core::env!("OUT_DIR"), "/", $name, ".rs"));
    };
}
