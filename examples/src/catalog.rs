//! The networks that can be trained.

use crate::entry::Entry;
use crate::nets;
use ksdsl_train::Recipe;
use ksdsl_train::data::Sizes;
use ksdsl_train::optim::{AdamW, Decayed};
use ksdsl_train::recipe::Augment;
use ksdsl_train_core::program::ImageNet as _;

/// All networks. Of those for one kind of images, the first family is the default.
pub fn entries() -> Vec<Entry> {
    let all = [grey(), colour()];
    #[cfg(feature = "cifar")]
    let all = [&all[..], &[cifar()]].concat();
    all.concat()
}

/// The networks for images and classes of these sizes.
pub fn entries_for(sizes: Sizes) -> Vec<Entry> {
    let mut entries = entries();
    entries.retain(|entry| entry.sizes() == sizes);
    entries
}

/// 8x8 grey images in ten classes.
fn grey() -> Vec<Entry> {
    let sgd = Recipe::default;
    let adam = || Recipe {
        method: AdamW::default().into(),
        rate: 0.003,
        ..Recipe::default()
    };
    vec![
        Entry::of::<nets::digits_unshared::Builder, 1, 8, 8, 10>(sgd()),
        Entry::of::<nets::digits_shared::Builder, 1, 8, 8, 10>(sgd()),
        Entry::of::<nets::vit_unshared::Builder, 1, 8, 8, 10>(adam()),
        Entry::of::<nets::vit_shared::Builder, 1, 8, 8, 10>(adam()),
    ]
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

/// 32x32 colour images in ten classes.
fn colour() -> Vec<Entry> {
    use nets::small_convmixer::{convmixer_small_shared, convmixer_small_unshared};
    use nets::small_se_resnet::{se_resnet_small_shared, se_resnet_small_unshared};
    vec![
        Entry::of::<se_resnet_small_unshared::Builder, 3, 32, 32, 10>(colour_sgd()),
        Entry::of::<se_resnet_small_shared::Builder, 3, 32, 32, 10>(colour_sgd()),
        Entry::of::<convmixer_small_unshared::Builder, 3, 32, 32, 10>(colour_adam()),
        Entry::of::<convmixer_small_shared::Builder, 3, 32, 32, 10>(colour_adam()),
    ]
}

/// The study of `cifar/study.ksn`, and small networks for a hundred classes.
#[cfg(feature = "cifar")]
fn cifar() -> Vec<Entry> {
    use nets::cifar::{
        cm_all, cm_all_100, cm_none, cm_none_100, se_2_all, se_2_all_100, se_2_none, se_2_none_100, se_2_s1, se_2_s2,
        se_2_s3,
    };
    use nets::small_convmixer::{convmixer_small_100_shared, convmixer_small_100_unshared};
    use nets::small_se_resnet::{se_resnet_small_100_shared, se_resnet_small_100_unshared};
    vec![
        Entry::of::<se_2_none::Builder, 3, 32, 32, 10>(colour_sgd()),
        Entry::of::<se_2_s1::Builder, 3, 32, 32, 10>(colour_sgd()),
        Entry::of::<se_2_s2::Builder, 3, 32, 32, 10>(colour_sgd()),
        Entry::of::<se_2_s3::Builder, 3, 32, 32, 10>(colour_sgd()),
        Entry::of::<se_2_all::Builder, 3, 32, 32, 10>(colour_sgd()),
        Entry::of::<nets::cifar::se_2_wide::Builder, 3, 32, 32, 10>(colour_sgd()),
        Entry::of::<cm_none::Builder, 3, 32, 32, 10>(colour_adam()),
        Entry::of::<cm_all::Builder, 3, 32, 32, 10>(colour_adam()),
        Entry::of::<se_resnet_small_100_unshared::Builder, 3, 32, 32, 100>(colour_sgd()),
        Entry::of::<se_resnet_small_100_shared::Builder, 3, 32, 32, 100>(colour_sgd()),
        Entry::of::<convmixer_small_100_unshared::Builder, 3, 32, 32, 100>(colour_adam()),
        Entry::of::<convmixer_small_100_shared::Builder, 3, 32, 32, 100>(colour_adam()),
        Entry::of::<se_2_none_100::Builder, 3, 32, 32, 100>(colour_sgd()),
        Entry::of::<se_2_all_100::Builder, 3, 32, 32, 100>(colour_sgd()),
        Entry::of::<cm_none_100::Builder, 3, 32, 32, 100>(colour_adam()),
        Entry::of::<cm_all_100::Builder, 3, 32, 32, 100>(colour_adam()),
    ]
}
