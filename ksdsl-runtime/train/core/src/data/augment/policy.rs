//! RandAugment (Cubuk, Zoph, Shlens & Le 2020, arXiv 1909.13719).

use super::{Picture, Transform};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// An operation of RandAugment. Operations and magnitudes are torchvision's (`RandAugment._augmentation_space`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The identity.
    Identity,
    /// [`Picture::shear_x`] by up to 0.3, in either direction.
    ShearX,
    /// [`Picture::shear_y`] by up to 0.3, in either direction.
    ShearY,
    /// Horizontal translation by up to 150/331 of the width.
    TranslateX,
    /// Vertical translation by up to 150/331 of the height.
    TranslateY,
    /// [`Picture::rotate`] by up to 30 degrees, in either direction.
    Rotate,
    /// [`Picture::brightness`] with a factor of 0.1 to 1.9.
    Brightness,
    /// [`Picture::saturation`] with a factor of 0.1 to 1.9.
    Color,
    /// [`Picture::contrast`] with a factor of 0.1 to 1.9.
    Contrast,
    /// [`Picture::sharpness`] with a factor of 0.1 to 1.9.
    Sharpness,
    /// [`Picture::posterize`] to 8 to 4 bits.
    Posterize,
    /// [`Picture::solarize`] from 255 to 0.
    Solarize,
    /// [`Picture::auto_contrast`].
    AutoContrast,
    /// [`Picture::equalize`].
    Equalize,
}

impl Operation {
    /// All operations; RandAugment samples them uniformly.
    pub const ALL: [Self; 14] = [
        Self::Identity,
        Self::ShearX,
        Self::ShearY,
        Self::TranslateX,
        Self::TranslateY,
        Self::Rotate,
        Self::Brightness,
        Self::Color,
        Self::Contrast,
        Self::Sharpness,
        Self::Posterize,
        Self::Solarize,
        Self::AutoContrast,
        Self::Equalize,
    ];

    /// Whether the operation has a direction.
    pub fn is_signed(self) -> bool {
        use Operation::*;
        !matches!(self, Identity | Posterize | Solarize | AutoContrast | Equalize)
    }

    /// Applies the operation with a strength from 0 to 1; a negative strength reverses its direction.
    pub fn perform(self, picture: &mut Picture, strength: f64) {
        let factor = (1.0 + 0.9 * strength) as f32;
        // Rounded towards 0, as in torchvision.
        let distance = |size: usize| (150.0 / 331.0 * size as f64 * strength) as i64;
        match self {
            Self::Identity => {}
            Self::ShearX => picture.shear_x(0.3 * strength),
            Self::ShearY => picture.shear_y(0.3 * strength),
            Self::TranslateX => picture.moved(distance(picture.width()), 0),
            Self::TranslateY => picture.moved(0, distance(picture.height())),
            Self::Rotate => picture.rotate(30.0 * strength),
            Self::Brightness => picture.brightness(factor),
            Self::Color => picture.saturation(factor),
            Self::Contrast => picture.contrast(factor),
            Self::Sharpness => picture.sharpness(factor),
            Self::Posterize => picture.posterize(8 - (4.0 * strength.abs()).round_ties_even() as u32),
            Self::Solarize => picture.solarize(255.0 * (1.0 - strength.abs())),
            Self::AutoContrast => picture.auto_contrast(),
            Self::Equalize => picture.equalize(),
        }
    }
}

/// RandAugment: a number of operations sampled from [`Operation::ALL`], all with the same strength.
///
/// A strength is a fraction of the maximum; libraries scale it differently: timm from 0 to 10
/// ([`RandAugment::of_ten`]), torchvision from 0 to 30 ([`RandAugment::of_thirty`]).
///
/// This is torchvision's RandAugment; timm's is [`TimmRandAugment`](super::TimmRandAugment).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandAugment {
    /// The number of operations.
    pub changes: usize,
    /// The strength of the operations, 0 to 1.
    pub strength: f64,
}

impl Default for RandAugment {
    /// Two operations of magnitude 9 out of 10.
    fn default() -> Self {
        Self::of_ten(9.0)
    }
}

impl RandAugment {
    /// Two operations with a magnitude from 0 to 10, timm's scale: `rand-m9` has magnitude 9.
    pub fn of_ten(magnitude: f64) -> Self {
        Self {
            changes: 2,
            strength: (magnitude / 10.0).clamp(0.0, 1.0),
        }
    }

    /// Two operations with a magnitude from 0 to 30, torchvision's scale (31 bins). torchvision's default, 9, is a
    /// third as strong as 9 on timm's scale.
    pub fn of_thirty(magnitude: f64) -> Self {
        Self {
            changes: 2,
            strength: (magnitude / 30.0).clamp(0.0, 1.0),
        }
    }

    /// Samples an operation and its signed strength.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> (Operation, f64) {
        let operation = Operation::ALL[rng.gen_range(0..Operation::ALL.len() as u32) as usize];
        let turned = operation.is_signed() && rng.r#gen::<bool>();
        (operation, if turned { -self.strength } else { self.strength })
    }
}

impl Transform for RandAugment {
    fn apply(&self, picture: &mut Picture, rng: &mut ChaCha8Rng) {
        for _ in 0..self.changes {
            let (operation, strength) = self.draw(rng);
            operation.perform(picture, strength);
        }
    }
}
