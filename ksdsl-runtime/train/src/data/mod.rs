//! Data sets: reading, splitting, normalising, batching and augmentation.
//!
//! ```
//! use ksdsl_train::data::{Batches, Digits, Scaling};
//! use ksdsl_runtime::prelude::*;
//! use std::num::NonZeroUsize;
//!
//! let (train, validation) = Digits::embedded().split(0.2, 0);
//! assert_eq!((train.len(), validation.len()), (1438, 359));
//!
//! let device = Cpu::default();
//! let scaling = Scaling::of(&train);
//! let mut batches = Batches::new(&train, NonZeroUsize::new(64).unwrap(), scaling, 0);
//! for batch in batches.epoch::<f32, _>(&device) {
//!     let batch = batch?;
//!     assert_eq!(batch.images.shape().0, batch.targets.shape().0);
//! }
//! # Ok::<(), <Cpu as HasErr>::Err>(())
//! ```

mod ahead;
mod archive;
pub mod augment;
mod batches;
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
mod shapes;

pub use batches::{Batch, Batches, Images, Scaling, Targets};
pub use cifar::{Cifar10, Cifar100};
pub use dataset::{Dataset, Example};
pub use digits::Digits;
pub use error::DataError;
pub use loader::{Loader, Waits};
pub use shapes::Shapes;
