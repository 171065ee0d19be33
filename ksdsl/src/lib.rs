//! The KSDSL compiler.
#![forbid(unsafe_code)]

pub mod analyse;
pub mod ast;
pub mod check;
pub mod codegen;
pub mod compile;
pub mod diag;
pub mod elaborate;
pub mod ir;
pub mod layers;
pub mod limits;
pub mod parse;
pub mod render;
pub mod share;
pub mod source;
pub mod summary;
pub mod value;
