//! The changes that a recipe asks for.

use super::{Augment, Erasing, Filling, HorizontalFlip, Mix, PaddedCrop, RandAugment};
use crate::recipe;

impl From<&recipe::Augment> for Augment {
    /// Crop, flip and RandAugment of pictures, in this order; erased parts are filled with noise, as in
    /// [`Augment::conv_mixer`].
    fn from(asked: &recipe::Augment) -> Self {
        let mut augment = Self::none();
        if asked.crop > 0 {
            augment = augment.then(PaddedCrop { pad: asked.crop });
        }
        if asked.flip {
            augment = augment.then(HorizontalFlip::default());
        }
        if asked.rand_augment > 0.0 {
            augment = augment.then(RandAugment {
                magnitude: asked.rand_augment.round() as u32,
                ..RandAugment::default()
            });
        }
        if asked.erase > 0.0 {
            augment = augment.erase(Erasing {
                probability: asked.erase,
                filling: Filling::Noise,
                ..Erasing::default()
            });
        }
        if asked.mixup > 0.0 || asked.cutmix > 0.0 {
            augment = augment.mix(Mix {
                mixup: asked.mixup,
                cutmix: asked.cutmix,
                ..Mix::default()
            });
        }
        augment.smooth(asked.smoothing as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::Augment;
    use crate::Recipe;

    #[test]
    fn recipes_ask_for_what_the_presets_do() {
        let of = |recipe: Recipe| format!("{:?}", Augment::from(&recipe.augment));
        assert_eq!(of(Recipe::default()), format!("{:?}", Augment::none()));
        assert_eq!(of(Recipe::se_resnet()), format!("{:?}", Augment::cifar()));
        // The preset crops, flips and smooths as well.
        let mut convmixer = Recipe::convmixer();
        convmixer.augment.crop = 4;
        convmixer.augment.flip = true;
        convmixer.augment.smoothing = 0.1;
        assert_eq!(of(convmixer), format!("{:?}", Augment::conv_mixer()));
    }
}
