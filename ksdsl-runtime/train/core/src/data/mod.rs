//! Data sets: reading, splitting, normalising and augmentation.

mod ahead;
mod archive;
pub mod augment;
mod cifar;
mod dataset;
mod digits;
mod error;
mod folder;
pub(crate) mod gunzip;
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

pub use cifar::{Cifar10, Cifar100};
pub use dataset::{Dataset, Example, Sizes};
pub use digits::Digits;
pub use error::DataError;
pub use folder::read_picture;
pub use loader::{Loader, Waits};
pub use scaling::Scaling;
pub use shapes::Shapes;
