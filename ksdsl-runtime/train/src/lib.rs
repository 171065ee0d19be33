#![doc = include_str!("../README.md")]

// A separate crate, so that inference programs do not compile it, and changes to it do not recompile the kernels. What
// does not know dfdx is `ksdsl-train-core`.

pub mod classifier;
pub mod data;
pub mod loss;
pub mod optim;
pub mod run;
pub mod task;
pub mod trainer;

pub use classifier::Classifier;
#[doc(hidden)]
pub use ksdsl_train_core::{self as core, json, random};
pub use ksdsl_train_core::{interrupt, iterations, metrics, recipe, record, report, schedule, source};
pub use recipe::Recipe;
pub use trainer::Trainer;
