#![doc = include_str!("../README.md")]

// A crate beside the runtime, so that a program that only runs models compiles none of it, and the
// kernels are not compiled anew when the trainer changes.

pub mod classifier;
pub mod data;
pub mod interrupt;
#[doc(hidden)]
pub mod json;
pub mod loss;
pub mod metrics;
pub mod optim;
#[doc(hidden)]
pub mod random;
pub mod recipe;
pub mod record;
pub mod report;
pub mod run;
pub mod schedule;
pub mod source;
pub mod trainer;

pub use classifier::Classifier;
pub use recipe::Recipe;
pub use trainer::Trainer;
