#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! - [`build`]: compiles `.ksn` files in build scripts.
//! - [`spec`]: reads, configures and summarises a network in tests and tools.
//! - [`compile`](mod@compile): compiles a source to networks and diagnostics.
//! - [`diag`] and [`render`](mod@render): diagnostics as data and as text.
//! - [`summary`]: layers, shapes, shared kernels and costs as data.
#![forbid(unsafe_code)]

pub mod build;
pub mod compile;
pub mod diag;
pub mod render;
pub mod source;
pub mod spec;
pub mod summary;

// The passes of the compiler, for `ksdsl-macros`, `ksn` and the tests of this workspace. No stable interface: these
// crates depend on one another's exact version.
#[doc(hidden)]
pub mod analyse;
#[doc(hidden)]
pub mod ast;
#[cfg(feature = "audit")]
#[doc(hidden)]
pub mod audit;
#[doc(hidden)]
pub mod check;
#[doc(hidden)]
pub mod checkpoint;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod codegen;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod diagram;
#[cfg(feature = "memory")]
#[doc(hidden)]
pub mod diff;
#[doc(hidden)]
pub mod elaborate;
#[doc(hidden)]
pub mod export;
#[doc(hidden)]
pub mod foreign;
#[doc(hidden)]
pub mod format;
#[cfg(feature = "train")]
#[doc(hidden)]
pub mod generate;
#[cfg(feature = "graph")]
#[doc(hidden)]
pub mod graph;
#[doc(hidden)]
pub mod imports;
#[doc(hidden)]
pub mod ir;
#[doc(hidden)]
pub mod limits;
#[cfg(feature = "lsp")]
#[doc(hidden)]
pub mod lsp;
#[doc(hidden)]
pub mod mappings;
#[doc(hidden)]
pub mod ops;
#[doc(hidden)]
pub mod parse;
#[doc(hidden)]
pub mod paths;
mod plan;
#[doc(hidden)]
pub mod project;
#[doc(hidden)]
pub mod quantize;
#[doc(hidden)]
pub mod share;
#[doc(hidden)]
pub mod steps;
#[doc(hidden)]
pub mod value;
