//! Data sets: reading, splitting, normalising and augmentation.
//!
//! ```
//! use ksdsl_runtime::prelude::*;
//! use ksdsl_train::data::{Digits, OnDevice as _, Scaling};
//! use ksdsl_train::source::{Plain, Source};
//!
//! let (train, validation) = Digits::embedded().split(0.2, 0);
//! assert_eq!((train.len(), validation.len()), (1438, 359));
//!
//! let device = Cpu::default();
//! let mut source = Plain::new(&train, 64.try_into().unwrap(), &Scaling::of(&train), 0);
//! for batch in source.epoch(1, 0) {
//!     let (images, targets) = batch?.tensors::<1, 8, 8, 10, _>(&device)?;
//!     assert_eq!(images.shape().0, targets.shape().0);
//! }
//! # Ok::<(), ksdsl_train::data::DataError>(())
//! ```

mod tensors;

pub use ksdsl_train_core::data::*;
pub use tensors::{Images, OnDevice, Targets};
