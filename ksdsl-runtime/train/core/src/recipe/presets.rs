//! Recipes of the literature.

use super::{Augment, Library, Recipe};
use crate::optim::{AdamW, Decayed, Method, Sgd};
use crate::schedule::{Schedule, WarmUp};

impl Recipe {
    /// The recipe of the authors' program for SE-ResNets on CIFAR (arXiv 2210.14151): SGD with momentum for 256 epochs, a
    /// learning rate of 0.1 divided by 10 after epochs 85, 130 and 180; random crops and flips as in He et al. 2016; the
    /// last batch of an epoch is left out if it is smaller. Their convolutions start Kaiming-normal, which is a matter of
    /// the specification: `init = kaiming_normal`.
    pub fn se_resnet() -> Self {
        Self {
            epochs: 256,
            batch: 128,
            method: Method::Sgd(Sgd {
                momentum: 0.9,
                nesterov: false,
                decay: 1e-4,
                decoupled: 0.0,
            }),
            rate: 0.1,
            schedule: Schedule::MultiStep {
                epochs: vec![85, 130, 180],
                factor: 0.1,
            },
            augment: Augment {
                crop: 4,
                flip: true,
                ..Augment::default()
            },
            drop_last: true,
            ..Self::default()
        }
    }

    /// The recipe of the authors' program for ConvMixers on CIFAR (arXiv 2210.14151), a command line of timm: AdamW for 200
    /// epochs with a cosine schedule to 1e-6, gradient clipping, crops and flips, timm's RandAugment
    /// (`rand-m9-mstd0.5-inc1`), random erasing with noise, mixup, cutmix and label smoothing. Norms and biases have no
    /// weight decay. timm changes the learning rate after each epoch, this recipe after each step.
    pub fn convmixer() -> Self {
        Self {
            epochs: 200,
            batch: 128,
            method: Method::AdamW(AdamW {
                betas: [0.9, 0.999],
                eps: 1e-3,
                decay: 0.01,
            }),
            decayed: Decayed::Kernels,
            rate: 1e-2,
            schedule: Schedule::Cosine { last: 1e-4 },
            clip: Some(1.0),
            augment: Augment {
                crop: 4,
                flip: true,
                rand_augment: 9.0,
                erase: 0.25,
                mixup: 0.5,
                cutmix: 0.5,
                smoothing: 0.1,
                library: Library::Timm,
            },
            ..Self::default()
        }
    }

    /// nanoGPT's recipe for its small character-level models on a CPU (the command line in its README, with the rest from
    /// `config/train_shakespeare_char.py`): AdamW for 2,000 steps of 12 windows, a warm-up of 100 steps, a cosine from
    /// 1e-3 to 1e-4, gradients clipped at 1; only kernels and embeddings decay. An epoch is 250 steps, after which nanoGPT
    /// evaluates. (Dropout, 0 there, is a layer of the network here.)
    pub fn nanogpt() -> Self {
        const WARM_UP: f64 = 100.0;
        const PER_EPOCH: u64 = 250;
        Self {
            steps: Some(2000),
            steps_per_epoch: Some(PER_EPOCH),
            batch: 12,
            method: Method::AdamW(AdamW {
                betas: [0.9, 0.99],
                eps: 1e-8,
                decay: 0.1,
            }),
            decayed: Decayed::Kernels,
            rate: 1e-3,
            schedule: Schedule::Cosine { last: 0.1 },
            // `lr * (it + 1) / (warmup_iters + 1)`
            warm_up: Some(WarmUp {
                epochs: WARM_UP / PER_EPOCH as f64,
                first: 1.0 / (WARM_UP + 1.0),
            }),
            clip: Some(1.0),
            ..Self::default()
        }
    }

    /// A recipe for small networks that solve generated puzzles: AdamW with the betas of Tiny Recursive Models (arXiv
    /// 2510.04871) for 1,500 steps of 64 puzzles, a warm-up of 100 steps, a cosine from 2e-3 to 2e-4, gradients clipped at 1.
    /// An epoch is 250 steps.
    pub fn puzzles() -> Self {
        Self {
            steps: Some(1500),
            batch: 64,
            method: Method::AdamW(AdamW {
                betas: [0.9, 0.95],
                eps: 1e-8,
                decay: 0.1,
            }),
            rate: 2e-3,
            warm_up: Some(WarmUp {
                epochs: 0.4,
                first: 0.01,
            }),
            ..Self::nanogpt()
        }
    }
}
