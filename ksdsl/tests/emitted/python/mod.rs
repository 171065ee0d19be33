//! Exported Python, read and run on words instead of numbers.

mod parse;
mod run;

pub(crate) use run::trace;
