#![doc = include_str!("../README.md")]

// A separate crate, so that inference programs do not compile it, and changes to it do not recompile the kernels.

pub mod classifier;
pub mod data;
pub mod interrupt;
#[doc(hidden)]
pub mod json;
pub mod loss;
pub mod metrics;
pub mod optim;
mod progress;
#[doc(hidden)]
pub mod random;
pub mod recipe;
pub mod record;
pub mod report;
pub mod run;
pub mod schedule;
pub mod source;
pub mod task;
pub mod trainer;

pub use classifier::Classifier;
pub use recipe::Recipe;
pub use trainer::Trainer;
