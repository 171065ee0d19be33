//! Data sets: reading, splitting, normalising and augmentation.
//!
//! ```
//! use ksdsl_runtime::prelude::*;
//! use ksdsl_train::data::{Digits, Scaling};
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

mod ahead;
mod archive;
pub mod augment;
mod cifar;
mod dataset;
mod digits;
mod error;
mod folder;
mod gunzip;
#[cfg(feature = "pictures")]
mod jpeg;
mod loader;
#[cfg(feature = "pictures")]
mod picture;
#[cfg(not(feature = "pictures"))]
#[path = "no_pictures.rs"]
mod picture;
#[cfg(feature = "pictures")]
mod png;
mod scaling;
mod shapes;
mod tensors;

pub use cifar::{Cifar10, Cifar100};
pub use dataset::{Dataset, Example, Sizes};
pub use digits::Digits;
pub use error::DataError;
pub use folder::read_picture;
pub use loader::{Loader, Waits};
pub use scaling::Scaling;
pub use shapes::Shapes;
pub use tensors::{Images, Targets};
