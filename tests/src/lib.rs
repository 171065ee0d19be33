//! What the tests of this crate share. The tests see the language as users do, through the macros,
//! the build helper and generated models.

mod book;
pub mod parity;
pub mod tensors;
