//! RandAugment (Cubuk, Zoph, Shlens & Le 2020, arXiv 1909.13719).

use super::{Picture, Transform};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// One of RandAugment's changes. What they do at which strength is torchvision's table
/// (`RandAugment._augmentation_space`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Nothing.
    Identity,
    /// [`Picture::shear_x`] by up to 0.3, to either side.
    ShearX,
    /// [`Picture::shear_y`] by up to 0.3, to either side.
    ShearY,
    /// Moved to the right or left by up to 150/331 of the width.
    TranslateX,
    /// Moved down or up by up to 150/331 of the height.
    TranslateY,
    /// [`Picture::rotate`] by up to 30 degrees, to either side.
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
    /// All of them; RandAugment takes each as often.
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

    /// Whether it may go either way.
    pub fn is_signed(self) -> bool {
        use Operation::*;
        !matches!(self, Identity | Posterize | Solarize | AutoContrast | Equalize)
    }

    /// Does it with a strength of 0 to 1; one that may go either way goes the other for `-strength`.
    pub fn perform(self, picture: &mut Picture, strength: f64) {
        let factor = (1.0 + 0.9 * strength) as f32;
        // Rounded towards 0, as torchvision does.
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

/// A number of changes, each drawn from [`Operation::ALL`], all of the same strength.
///
/// A strength is a part of the greatest, and papers and libraries count it in different ways: the paper and timm out
/// of 10, see [`RandAugment::of_ten`]; torchvision out of 30, see [`RandAugment::of_thirty`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandAugment {
    /// How many changes follow one another.
    pub changes: usize,
    /// Their strength, 0 to 1.
    pub strength: f64,
}

impl Default for RandAugment {
    /// Two changes of magnitude 9 of 10, as ConvMixer's recipe and many others have it.
    fn default() -> Self {
        Self::of_ten(9.0)
    }
}

impl RandAugment {
    /// Two changes of a magnitude out of 10, timm's scale: `rand-m9` is magnitude 9.
    pub fn of_ten(magnitude: f64) -> Self {
        Self {
            changes: 2,
            strength: (magnitude / 10.0).clamp(0.0, 1.0),
        }
    }

    /// Two changes of a magnitude out of 30, torchvision's scale (31 bins, the first for 0); its default is 9, a
    /// third of timm's.
    pub fn of_thirty(magnitude: f64) -> Self {
        Self {
            changes: 2,
            strength: (magnitude / 30.0).clamp(0.0, 1.0),
        }
    }

    /// Draws a change and its strength with its direction.
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
