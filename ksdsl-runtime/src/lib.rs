#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! - [`prelude`]: dfdx's devices, tensors, losses, optimisers, and the traits to build, run, save and load a model.
//! - [`checkpoint`]: safetensors files that are checked when they are read.
//! - [`prepared`]: a model whose kernels are packed once, for many calls.
//! - [`steps`]: the counts of loops, which a call gives.
//! - [`network`]: name, sizes and counts of a generated network, for generic code.
//! - [`cpu`]: threads, instruction sets, memory.

pub mod checkpoint;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod network;
pub mod prelude;
pub mod prepared;
pub mod steps;

// What generated code, the trainer and the tests of this workspace use. No stable interface: these depend on this
// crate's exact version.
#[doc(hidden)]
pub mod act;
#[doc(hidden)]
pub mod backend;
#[doc(hidden)]
pub mod bank;
#[doc(hidden)]
pub mod generated;
#[doc(hidden)]
pub mod init;
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod norm;
#[doc(hidden)]
pub mod ops;
#[doc(hidden)]
pub mod outputs;
#[doc(hidden)]
pub mod param;
#[doc(hidden)]
pub mod pass;
#[doc(hidden)]
pub mod repeat;
#[doc(hidden)]
pub mod scalar;
#[doc(hidden)]
pub mod tensors;
#[doc(hidden)]
pub mod visit;

#[doc(inline)]
pub use backend::Backend;
pub use dfdx;
pub use ksdsl_macros::{include_ksn, ksnet};
#[doc(inline)]
pub use scalar::Scalar;

/// Includes what `ksdsl::build` generated in the build script: `include_generated!("small")` for
/// the networks of `small.ksn`.
#[macro_export]
macro_rules! include_generated {
    ($name:literal) => {
        ::core::include!(::core::concat!(::core::env!("OUT_DIR"), "/", $name, ".rs"));
    };
}
