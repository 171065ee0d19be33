//! The KSDSL compiler: networks with shared kernels, from text to typed dfdx models.
//!
//! [`compile::compile`] is the one way in: parse, check, elaborate, share. What comes out are
//! resolved [networks](ir::Network) and [diagnostics](diag::Diagnostic). From a network come its
//! [summary](summary::Summary) and its [Rust code](codegen::network).
//!
//! - In build scripts: [`build`].
//! - In tests, to pin an architecture: [`spec::Spec`].
//! - On the command line: `ksn`, with the feature `cli`.
//!
//! The language itself is described in the book under `docs/book`.
#![forbid(unsafe_code)]

// pest without its `std` feature generates code that names this crate. The feature would add a
// stack probe to every rule, which the limit on nesting makes superfluous.
extern crate alloc;

pub mod analyse;
pub mod ast;
pub mod build;
pub mod check;
pub mod checkpoint;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod codegen;
pub mod compile;
pub mod diag;
pub mod elaborate;
pub mod export;
pub mod foreign;
pub mod ir;
pub mod layers;
pub mod limits;
pub mod mappings;
pub mod parse;
pub mod paths;
mod plan;
pub mod render;
pub mod share;
pub mod source;
pub mod spec;
pub mod summary;
pub mod value;
