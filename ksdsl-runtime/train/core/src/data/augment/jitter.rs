//! Colour jitter.

use super::{Picture, Transform};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Scales brightness, contrast and saturation and shifts hue by random amounts, in random order (torchvision's
/// `ColorJitter`). A factor is uniform between `1 - x` (0 if that is less) and `1 + x`, the shift of hue between
/// `-x` and `x` of the wheel; where `x` is 0 nothing is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ColorJitter {
    /// Maximum change of brightness.
    pub brightness: f32,
    /// Maximum change of contrast.
    pub contrast: f32,
    /// Maximum change of saturation.
    pub saturation: f32,
    /// Maximum shift of hue, 0 to 0.5.
    pub hue: f32,
}

/// A factor between `1 - range` and `1 + range`.
fn factor(range: f32, rng: &mut ChaCha8Rng) -> f32 {
    let (low, high) = ((1.0 - range).max(0.0), 1.0 + range);
    low + (high - low) * rng.r#gen::<f32>()
}

impl Transform for ColorJitter {
    fn apply(&self, picture: &mut Picture, rng: &mut ChaCha8Rng) {
        let mut order = [0, 1, 2, 3];
        order.shuffle(rng);
        for change in order {
            match change {
                0 if self.brightness > 0.0 => picture.brightness(factor(self.brightness, rng)),
                1 if self.contrast > 0.0 => picture.contrast(factor(self.contrast, rng)),
                2 if self.saturation > 0.0 => picture.saturation(factor(self.saturation, rng)),
                3 if self.hue > 0.0 => {
                    let turn = 2.0 * rng.r#gen::<f64>() - 1.0;
                    picture.hue(turn * f64::from(self.hue.min(0.5)));
                }
                _ => {}
            }
        }
    }
}
