//! Exported Python, read and run on words instead of numbers.

mod calls;
mod definitions;
mod parse;
mod run;
mod torch;
mod value;

pub(crate) use run::trace;
