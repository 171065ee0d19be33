//! The KSDSL compiler: networks with shared kernels, from text to typed dfdx models.
//!
//! The entry point is [`compile::compile`]: parse, check, elaborate, share. It returns resolved
//! [networks](ir::Network) and [diagnostics](diag::Diagnostic). A network has a
//! [summary](summary::Summary) and [Rust code](codegen::network).
//!
//! - In build scripts: [`build`].
//! - In tests, to pin an architecture: [`spec::Spec`].
//! - On the command line: `ksn`, with the feature `cli`.
//!
//! The book under `docs/book` describes the language.
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
