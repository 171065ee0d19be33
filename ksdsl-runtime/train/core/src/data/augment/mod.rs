//! Data augmentation: transforms of images (bytes), of scaled values, and of batches.
//!
//! All randomness comes from a generator that is passed in, so an augmented image is a function of the run's seed, the
//! epoch and the image. The arithmetic is that of PIL and torchvision.
//!
//! ```
//! # extern crate ksdsl_train_core as ksdsl_train;
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
mod timm;

pub use erase::{Cutout, Erase, Erasing, Filling};
pub use geometry::{HorizontalFlip, PaddedCrop, Sampling};
pub use jitter::ColorJitter;
pub use mix::{Mix, smooth};
#[cfg(feature = "pictures")]
pub(super) use picture::lightness;
pub use picture::{Picture, Transform};
pub use policy::{Operation, RandAugment};
pub use timm::{TimmOperation, TimmRandAugment};

use super::Scaling;
use crate::recipe::{self, Library};
use std::sync::Arc;

/// The augmentation of a run, in order of application: transforms of images, of scaled values, of batches, of targets.
#[derive(Clone, Debug, Default)]
pub struct Augment {
    /// Transforms of images, in order.
    pub pictures: Vec<Arc<dyn Transform>>,
    /// Erasing of scaled values, in order.
    pub erasing: Vec<Arc<dyn Erase>>,
    /// Mixup and cutmix.
    pub mix: Option<Mix>,
    /// Label smoothing.
    pub smoothing: f32,
}

impl Augment {
    /// No augmentation.
    pub fn none() -> Self {
        Self::default()
    }

    /// The usual augmentation for CIFAR: random crops with 4 pixels of padding, and horizontal flips (He et al. 2016,
    /// arXiv 1512.03385, section 4.2).
    pub fn cifar() -> Self {
        Self::none().then(PaddedCrop { pad: 4 }).then(HorizontalFlip::default())
    }

    /// Appends a transform of images.
    #[must_use]
    pub fn then(mut self, change: impl Transform + 'static) -> Self {
        self.pictures.push(Arc::new(change));
        self
    }

    /// Appends a transform of scaled values.
    #[must_use]
    pub fn erase(mut self, erasing: impl Erase + 'static) -> Self {
        self.erasing.push(Arc::new(erasing));
        self
    }

    /// Sets mixup and cutmix.
    #[must_use]
    pub fn mix(mut self, mix: Mix) -> Self {
        self.mix = Some(mix);
        self
    }

    /// Sets label smoothing; see [`smooth`].
    #[must_use]
    pub fn smooth(mut self, smoothing: f32) -> Self {
        self.smoothing = smoothing;
        self
    }
}

impl Augment {
    /// The augmentation of a recipe, in this order: crop, flip, RandAugment, erasing, mixup or cutmix of every batch, label
    /// smoothing. timm's RandAugment fills with the mean of the training images.
    pub fn of(wanted: &recipe::Augment, scaling: &Scaling) -> Self {
        let mut augment = Self::none();
        if wanted.crop > 0 {
            augment = augment.then(PaddedCrop { pad: wanted.crop });
        }
        if wanted.flip {
            augment = augment.then(HorizontalFlip::default());
        }
        let (magnitude, probability) = (wanted.rand_augment, wanted.erase);
        match wanted.library {
            _ if magnitude == 0.0 => {}
            Library::Torchvision => augment = augment.then(RandAugment::of_ten(magnitude)),
            Library::Timm => {
                augment = augment.then(TimmRandAugment {
                    magnitude,
                    deviation: 0.5,
                    fill: scaling.mean.iter().map(|mean| mean.round() as u8).collect(),
                });
            }
        }
        if probability > 0.0 {
            augment = augment.erase(match wanted.library {
                Library::Torchvision => Erasing {
                    probability,
                    ..Erasing::default()
                },
                Library::Timm => Erasing::timm(probability),
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
#[cfg(test)]
mod timm_tests;
