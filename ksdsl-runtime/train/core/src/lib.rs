#![doc = include_str!("../README.md")]

mod clock;
pub mod data;
pub mod interrupt;
pub mod iterations;
#[doc(hidden)]
pub mod json;
pub mod loss;
pub mod metrics;
pub mod optim;
#[cfg(feature = "program")]
#[doc(hidden)]
pub mod program;
#[doc(hidden)]
pub mod progress;
pub mod puzzle;
#[doc(hidden)]
pub mod random;
pub mod recipe;
pub mod record;
pub mod report;
pub mod run;
pub mod schedule;
pub mod source;
pub mod task;
pub mod text;
pub mod trainer;

pub use recipe::Recipe;
