//! Recipes of papers and programs.

use super::{Augment, Library, Recipe};
use crate::optim::{Decayed, Method};
use crate::schedule::WarmUp;

/// The values of the authors' program for arXiv 2210.14151 (`Cifar.py`).
#[test]
fn se_resnets_have_the_papers_recipe() {
    let recipe = Recipe::se_resnet();
    assert_eq!((recipe.epochs, recipe.batch), (256, 128));
    let Method::Sgd(sgd) = recipe.method else {
        panic!("{recipe:?}")
    };
    assert_eq!((sgd.momentum, sgd.decay, sgd.nesterov), (0.9, 1e-4, false));
    // 50,000 images are 391 steps.
    let rate = |epoch: u64| recipe.rate_at(391 * epoch, 391);
    let before = |epoch: u64| recipe.rate_at(391 * epoch - 1, 391);
    assert_eq!((rate(0), before(85)), (0.1, 0.1));
    for (found, expected) in [
        (rate(85), 0.01),
        (before(130), 0.01),
        (rate(130), 1e-3),
        (before(180), 1e-3),
        (rate(180), 1e-4),
        (before(256), 1e-4),
    ] {
        assert!((found / expected - 1.0).abs() < 1e-12, "{found} is not {expected}");
    }
    assert_eq!(
        recipe.augment,
        Augment {
            crop: 4,
            flip: true,
            ..Augment::default()
        }
    );
    assert!(recipe.drop_last);
    recipe.check().unwrap();
}

/// The values of the authors' command line of timm.
#[test]
fn convmixers_have_the_papers_recipe() {
    let recipe = Recipe::convmixer();
    assert_eq!((recipe.epochs, recipe.batch, recipe.clip), (200, 128, Some(1.0)));
    let Method::AdamW(adam) = recipe.method else {
        panic!("{recipe:?}")
    };
    assert_eq!((adam.eps, adam.decay), (1e-3, 0.01));
    let augment = recipe.augment;
    assert_eq!((augment.rand_augment, augment.erase), (9.0, 0.25));
    assert_eq!((augment.mixup, augment.cutmix, augment.smoothing), (0.5, 0.5, 0.1));
    assert_eq!((augment.crop, augment.flip, augment.library), (4, true, Library::Timm));
    assert!(matches!(recipe.decayed, Decayed::Kernels));
    assert_eq!(recipe.rate_at(0, 391), 1e-2);
    assert!((recipe.rate_at(100 * 391, 391) - (5e-3 + 5e-7)).abs() < 1e-12);
    assert!((recipe.rate_at(200 * 391 - 1, 391) - 1e-6).abs() < 1e-9);
    recipe.check().unwrap();
}

/// nanoGPT's `get_lr` for the learning rates of these iterations, with its values for the CPU:
///
/// ```python
/// import math
/// learning_rate, min_lr, warmup_iters, lr_decay_iters = 1e-3, 1e-4, 100, 2000
/// def get_lr(it):
///     if it < warmup_iters: return learning_rate * (it + 1) / (warmup_iters + 1)
///     ratio = (it - warmup_iters) / (lr_decay_iters - warmup_iters)
///     return min_lr + 0.5 * (1.0 + math.cos(math.pi * ratio)) * (learning_rate - min_lr)
/// print([get_lr(it) for it in (0, 99, 100, 1050, 1999)])
/// ```
#[test]
fn language_models_have_nanogpts_schedule() {
    let recipe = Recipe::nanogpt();
    let rates = [
        (0, 9.900990099009901e-06),
        (99, 0.0009900990099009901),
        (100, 0.001),
        (1050, 0.00055),
        (1999, 0.00010000061514140841),
    ];
    for (step, expected) in rates {
        let found = recipe.rate_at(step, 250);
        assert!((found / expected - 1.0).abs() < 1e-12, "step {step}: {found}");
    }
    assert_eq!(recipe.total_steps(250), 2000);
    recipe.check().unwrap();
}

/// Bit for bit, including the largest seed.
#[test]
fn recipes_round_trip_through_json() {
    for recipe in [
        Recipe::default(),
        Recipe::se_resnet(),
        Recipe::convmixer(),
        Recipe::nanogpt(),
    ] {
        let recipe = Recipe {
            seed: u64::MAX,
            rate: 0.1 + 0.2,
            warm_up: Some(WarmUp {
                epochs: 1.0 / 3.0,
                first: f64::MIN_POSITIVE,
            }),
            ..recipe
        };
        let json = serde_json::to_string(&recipe).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe);
    }
}

#[test]
fn the_default_is_valid() {
    Recipe::default().check().unwrap();
}
