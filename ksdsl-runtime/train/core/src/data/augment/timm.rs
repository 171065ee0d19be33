//! timm's RandAugment (`timm.data.auto_augment`, version 1.0), whose operations grow with the magnitude.

use super::geometry::{Sampling, centre_rotation};
use super::{Picture, Transform};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// An operation of timm's RandAugment (`_RAND_INCREASING_TRANSFORMS`), at a level from 0 to 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimmOperation {
    /// [`Picture::auto_contrast`].
    AutoContrast,
    /// [`Picture::equalize`].
    Equalize,
    /// [`Picture::invert`].
    Invert,
    /// Rotation about the centre by up to 30 degrees, in either direction.
    Rotate,
    /// [`Picture::posterize`] to 4 to 0 bits.
    Posterize,
    /// [`Picture::solarize`] from 256 to 0.
    Solarize,
    /// [`Picture::solarize_add`] of up to 110.
    SolarizeAdd,
    /// [`Picture::saturation`] with a factor of 0.1 to 1.9.
    Color,
    /// [`Picture::contrast`] with a factor of 0.1 to 1.9.
    Contrast,
    /// [`Picture::brightness`] with a factor of 0.1 to 1.9.
    Brightness,
    /// [`Picture::sharpness`] with a factor of 0.1 to 1.9.
    Sharpness,
    /// Horizontal shear by up to 0.3, in either direction.
    ShearX,
    /// Vertical shear by up to 0.3, in either direction.
    ShearY,
    /// Horizontal translation by up to 0.45 of the width, in either direction.
    TranslateX,
    /// Vertical translation by up to 0.45 of the height, in either direction.
    TranslateY,
}

impl TimmOperation {
    /// All operations; they are sampled uniformly.
    pub const ALL: [Self; 15] = [
        Self::AutoContrast,
        Self::Equalize,
        Self::Invert,
        Self::Rotate,
        Self::Posterize,
        Self::Solarize,
        Self::SolarizeAdd,
        Self::Color,
        Self::Contrast,
        Self::Brightness,
        Self::Sharpness,
        Self::ShearX,
        Self::ShearY,
        Self::TranslateX,
        Self::TranslateY,
    ];

    /// Applies the operation at a level from 0 to 10; a negative level reverses its direction. Geometric operations sample
    /// as given, and fill with a colour.
    pub fn perform(self, picture: &mut Picture, level: f64, sampling: Sampling, fill: &[u8]) {
        let (part, size) = (level / 10.0, level.abs() / 10.0);
        let factor = (1.0 + 0.9 * part).max(0.1) as f32;
        let (height, width) = (picture.height() as f64, picture.width() as f64);
        let mut affine = |matrix| picture.sampled(matrix, sampling, fill);
        match self {
            Self::AutoContrast => picture.auto_contrast(),
            Self::Equalize => picture.equalize(),
            Self::Invert => picture.invert(),
            Self::Rotate => affine(centre_rotation(width, height, 30.0 * part)),
            // Truncated, as `int` does.
            Self::Posterize => picture.posterize(4 - (4.0 * size) as u32),
            Self::Solarize => picture.solarize(256.0 - (256.0 * size).trunc().min(256.0)),
            Self::SolarizeAdd => picture.solarize_add((110.0 * size) as u8),
            Self::Color => picture.saturation(factor),
            Self::Contrast => picture.contrast(factor),
            Self::Brightness => picture.brightness(factor),
            Self::Sharpness => picture.sharpness(factor),
            Self::ShearX => affine([1.0, 0.3 * part, 0.0, 0.0, 1.0, 0.0]),
            Self::ShearY => affine([1.0, 0.0, 0.0, 0.3 * part, 1.0, 0.0]),
            Self::TranslateX => affine([1.0, 0.0, 0.45 * part * width, 0.0, 1.0, 0.0]),
            Self::TranslateY => affine([1.0, 0.0, 0.0, 0.0, 1.0, 0.45 * part * height]),
        }
    }
}

/// timm's RandAugment with increasing operations, two of them, each applied with probability 0.5: `rand-m9-mstd0.5-inc1`
/// has magnitude 9 and deviation 0.5. Each geometric operation samples bilinearly or bicubically, at random.
#[derive(Clone, Debug, PartialEq)]
pub struct TimmRandAugment {
    /// The mean of the levels, 0 to 10.
    pub magnitude: f64,
    /// Their standard deviation; levels are clamped to 0 to 10.
    pub deviation: f64,
    /// What geometric operations fill with, for each channel; the mean of the training images in timm.
    pub fill: Vec<u8>,
}

impl TimmRandAugment {
    /// Draws an operation with its signed level and sampling; `None` is no change.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Option<(TimmOperation, f64, Sampling)> {
        let operation = TimmOperation::ALL[rng.gen_range(0..TimmOperation::ALL.len() as u32) as usize];
        if rng.r#gen::<bool>() {
            return None;
        }
        let noise: f64 = rng.sample(StandardNormal);
        let level = (self.magnitude + self.deviation * noise).clamp(0.0, 10.0);
        let level = if rng.r#gen::<bool>() { -level } else { level };
        let sampling = match rng.r#gen::<bool>() {
            true => Sampling::Bilinear,
            false => Sampling::Bicubic,
        };
        Some((operation, level, sampling))
    }
}

impl Transform for TimmRandAugment {
    fn apply(&self, picture: &mut Picture, rng: &mut ChaCha8Rng) {
        for _ in 0..2 {
            if let Some((operation, level, sampling)) = self.draw(rng) {
                operation.perform(picture, level, sampling, &self.fill);
            }
        }
    }
}
