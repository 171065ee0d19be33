//! Training of KSDSL models: data and augmentation, optimisers that resume exactly, schedules, runs that
//! survive, metrics and pictures.
//!
//! A crate beside the runtime, so that a program that only runs models compiles none of it, and the
//! kernels are not compiled anew when the trainer changes.

pub mod data;
pub mod metrics;
pub mod random;
pub mod record;
pub mod source;
