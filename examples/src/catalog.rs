//! The networks that can be trained, by the size of their input images.

use crate::entry::Entry;
use crate::nets;
use ksdsl_train::Recipe;
use ksdsl_train::optim::{AdamW, Decayed};
use ksdsl_train::recipe::Augment;

/// The list of networks for one kind of image.
pub trait Catalog: Sized {
    /// All of them. The first family is the default.
    fn entries() -> Vec<Self>;
}

impl Catalog for Entry<1, 8, 8, 10> {
    fn entries() -> Vec<Self> {
        let sgd = Recipe::default;
        let adam = || Recipe {
            method: AdamW::default().into(),
            rate: 0.003,
            ..Recipe::default()
        };
        vec![
            Self::of::<nets::digits_unshared::Builder>(sgd()),
            Self::of::<nets::digits_shared::Builder>(sgd()),
            Self::of::<nets::vit_unshared::Builder>(adam()),
            Self::of::<nets::vit_shared::Builder>(adam()),
        ]
    }
}

/// SGD with the one-cycle schedule; random crops and horizontal flips.
fn colour_sgd() -> Recipe {
    Recipe {
        augment: Augment {
            crop: 4,
            flip: true,
            ..Augment::default()
        },
        ..Recipe::default()
    }
}

/// AdamW with ConvMixer's hyperparameters and the one-cycle schedule; random crops and horizontal flips.
fn colour_adam() -> Recipe {
    let method = AdamW {
        eps: 1e-3,
        decay: 0.01,
        ..AdamW::default()
    };
    Recipe {
        method: method.into(),
        decayed: Decayed::Kernels,
        rate: 0.01,
        clip: Some(1.0),
        ..colour_sgd()
    }
}

impl Catalog for Entry<3, 32, 32, 10> {
    fn entries() -> Vec<Self> {
        use nets::small_convmixer::{convmixer_small_shared, convmixer_small_unshared};
        use nets::small_se_resnet::{se_resnet_small_shared, se_resnet_small_unshared};
        vec![
            Self::of::<se_resnet_small_unshared::Builder>(colour_sgd()),
            Self::of::<se_resnet_small_shared::Builder>(colour_sgd()),
            Self::of::<convmixer_small_unshared::Builder>(colour_adam()),
            Self::of::<convmixer_small_shared::Builder>(colour_adam()),
            #[cfg(feature = "cifar")]
            Self::of::<nets::paper_se_resnet::se_resnet_2_unshared::Builder>(colour_sgd()),
            #[cfg(feature = "cifar")]
            Self::of::<nets::paper_se_resnet::se_resnet_2_shared::Builder>(colour_sgd()),
        ]
    }
}

#[cfg(feature = "cifar")]
impl Catalog for Entry<3, 32, 32, 100> {
    fn entries() -> Vec<Self> {
        use nets::small_convmixer::{convmixer_small_100_shared, convmixer_small_100_unshared};
        use nets::small_se_resnet::{se_resnet_small_100_shared, se_resnet_small_100_unshared};
        vec![
            Self::of::<se_resnet_small_100_unshared::Builder>(colour_sgd()),
            Self::of::<se_resnet_small_100_shared::Builder>(colour_sgd()),
            Self::of::<convmixer_small_100_unshared::Builder>(colour_adam()),
            Self::of::<convmixer_small_100_shared::Builder>(colour_adam()),
        ]
    }
}
