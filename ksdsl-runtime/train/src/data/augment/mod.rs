//! Changes of images in training: what is done to one picture, to its scaled values, and to a batch.
//!
//! Everything random is drawn from a generator that is handed in, so an image's change is a function of the
//! run's seed, the epoch and the image. The arithmetic is that of PIL and torchvision, so that recipes written
//! for them mean the same here.
//!
//! ```
//! use ksdsl_train::data::augment::{Augment, Erasing, HorizontalFlip, Mix, PaddedCrop, RandAugment};
//!
//! let augment = Augment::none()
//!     .then(PaddedCrop { pad: 4 })
//!     .then(HorizontalFlip::default())
//!     .then(RandAugment::default())
//!     .erase(Erasing::default())
//!     .mix(Mix { mixup: 0.2, cutmix: 1.0, ..Mix::default() })
//!     .smooth(0.1);
//! assert!(format!("{augment:?}").contains("PaddedCrop { pad: 4 }"));
//! ```

mod color;
mod erase;
mod geometry;
mod jitter;
mod mix;
mod picture;
mod policy;

pub use erase::{Cutout, Erase, Erasing, Filling};
pub use geometry::{HorizontalFlip, PaddedCrop};
pub use jitter::ColorJitter;
pub use mix::{Mix, smooth};
#[cfg(feature = "pictures")]
pub(super) use picture::lightness;
pub use picture::{Picture, Transform};
pub use policy::{Operation, RandAugment};

use crate::recipe;
use std::sync::Arc;

/// All changes of the images of a run, in the order in which they are made: of pictures, of their scaled
/// values, of batches, of targets.
#[derive(Clone, Debug, Default)]
pub struct Augment {
    /// Changes of a picture, one after the other.
    pub pictures: Vec<Arc<dyn Transform>>,
    /// Parts of the scaled values replaced, one after the other.
    pub erasing: Vec<Arc<dyn Erase>>,
    /// Images of a batch mixed.
    pub mix: Option<Mix>,
    /// The part of each target that is spread over all classes.
    pub smoothing: f32,
}

impl Augment {
    /// Images as they are.
    pub fn none() -> Self {
        Self::default()
    }

    /// What nearly every paper on CIFAR does: a window out of the image with a border of 4 pixels, and every
    /// second image mirrored (He et al. 2016, arXiv 1512.03385, section 4.2).
    pub fn cifar() -> Self {
        Self::none().then(PaddedCrop { pad: 4 }).then(HorizontalFlip::default())
    }

    /// Adds a change of pictures after those there are.
    #[must_use]
    pub fn then(mut self, change: impl Transform + 'static) -> Self {
        self.pictures.push(Arc::new(change));
        self
    }

    /// Adds a change of scaled values after those there are.
    #[must_use]
    pub fn erase(mut self, erasing: impl Erase + 'static) -> Self {
        self.erasing.push(Arc::new(erasing));
        self
    }

    /// Mixes the images of a batch.
    #[must_use]
    pub fn mix(mut self, mix: Mix) -> Self {
        self.mix = Some(mix);
        self
    }

    /// Smooths the targets; see [`smooth`].
    #[must_use]
    pub fn smooth(mut self, smoothing: f32) -> Self {
        self.smoothing = smoothing;
        self
    }
}

impl From<recipe::Augment> for Augment {
    /// What a recipe asks for, in the order crop, flip, RandAugment (two changes), erasing (by 0, which is the mean),
    /// mixup or cutmix of every batch, label smoothing.
    fn from(wanted: recipe::Augment) -> Self {
        let mut augment = Self::none();
        if wanted.crop > 0 {
            augment = augment.then(PaddedCrop { pad: wanted.crop });
        }
        if wanted.flip {
            augment = augment.then(HorizontalFlip::default());
        }
        if wanted.rand_augment > 0.0 {
            augment = augment.then(RandAugment::of_ten(wanted.rand_augment));
        }
        if wanted.erase > 0.0 {
            augment = augment.erase(Erasing {
                probability: wanted.erase,
                ..Erasing::default()
            });
        }
        if wanted.mixup > 0.0 || wanted.cutmix > 0.0 {
            augment = augment.mix(Mix {
                mixup: wanted.mixup,
                cutmix: wanted.cutmix,
                ..Mix::default()
            });
        }
        augment.smooth(wanted.smoothing as f32)
    }
}

#[cfg(test)]
mod distribution_tests;
#[cfg(test)]
mod tests;
