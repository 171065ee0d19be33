#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

// pest without its `std` feature generates code that names this crate. The feature would add a
// stack probe to every rule, which the compiler's limit on nesting makes superfluous.
extern crate alloc;

pub use derived::{Grammar, Rule};
pub use pest;

/// The grammar's text.
pub const TEXT: &str = include_str!("../ksn.pest");

/// What pest derives from the grammar.
#[allow(missing_docs)]
mod derived {
    #[derive(pest_derive::Parser)]
    #[grammar = "ksn.pest"]
    pub struct Grammar;
}
