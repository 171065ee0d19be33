//! All that decides how a net is trained, as one value that can be saved and compared.

use crate::optim::{AdamW, Averaging, Decayed, Method, Sgd};
use crate::schedule::{OneCycle, Place, Schedule, WarmUp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How to train. [`Recipe::default`] suits small convolutional nets; change what should differ:
///
/// ```
/// use ksdsl_train::Recipe;
/// use ksdsl_train::optim::AdamW;
///
/// let recipe = Recipe { epochs: 10, method: AdamW::default().into(), rate: 0.003, ..Recipe::default() };
/// recipe.check()?;
/// # Ok::<(), ksdsl_train::recipe::Unfit>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// How often every image is seen.
    pub epochs: u32,
    /// In place of `epochs`, how many steps there are; the last epoch may have fewer than the others.
    pub steps: Option<u64>,
    /// Images per step, for whoever makes the batches.
    pub batch: usize,
    /// Decides on everything random.
    pub seed: u64,
    /// The optimiser.
    pub method: Method,
    /// Which parameters decay.
    pub decayed: Decayed,
    /// The learning rate that the schedule changes; its highest, for every schedule there is.
    pub rate: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// A rise of the rate before the schedule.
    pub warm_up: Option<WarmUp>,
    /// The largest norm of all gradients together.
    pub clip: Option<f64>,
    /// Whether and how an average of the model is kept, which is evaluated as well.
    pub average: Option<Averaging>,
    /// How images are changed, for whoever makes the batches.
    pub augment: Augment,
    /// The model is evaluated after every so many epochs, and after the last.
    pub evaluate_every: u32,
    /// Training stops early when so many evaluations in a row brought nothing better.
    pub patience: Option<u32>,
}

/// How images are changed in training; what is 0 or `false` does not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Pixels of padding around an image before a part of its size is cut out at random (He et al. 2016: 4).
    pub crop: usize,
    /// Whether every other image is mirrored.
    pub flip: bool,
    /// The magnitude of RandAugment's two operations, out of 10 (Cubuk et al. 2020).
    pub rand_augment: f64,
    /// The probability that a rectangle is erased (Zhong et al. 2020).
    pub erase: f64,
    /// The parameter of mixup's beta distribution (Zhang et al. 2018).
    pub mixup: f64,
    /// The parameter of cutmix's beta distribution (Yun et al. 2019).
    pub cutmix: f64,
    /// The probability that a target gives away, spread over all classes (Szegedy et al. 2016).
    pub smoothing: f64,
}

impl Default for Recipe {
    /// Twenty epochs of SGD with the one-cycle schedule up to a rate of 0.1, in batches of 64.
    fn default() -> Self {
        Self {
            epochs: 20,
            steps: None,
            batch: 64,
            seed: 0,
            method: Sgd::default().into(),
            decayed: Decayed::default(),
            rate: 0.1,
            schedule: Schedule::OneCycle(OneCycle::default()),
            warm_up: None,
            clip: None,
            average: None,
            augment: Augment::default(),
            evaluate_every: 1,
            patience: None,
        }
    }
}

impl Recipe {
    /// The paper's recipe for SE-ResNets on CIFAR (arXiv 2210.14151): SGD with momentum at a rate of 0.1 that is
    /// divided by ten after 85, 130 and 180 of 256 epochs; images are cropped and mirrored as in He et al.
    /// 2016.
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
            ..Self::default()
        }
    }

    /// The paper's recipe for ConvMixers on CIFAR: AdamW with a cosine schedule, clipped gradients and strong
    /// augmentation for 200 epochs. Norms and biases do not decay, as in ConvMixer's own training.
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
            schedule: Schedule::Cosine { last: 0.0 },
            clip: Some(1.0),
            augment: Augment {
                rand_augment: 9.0,
                erase: 0.25,
                mixup: 0.5,
                cutmix: 0.5,
                ..Augment::default()
            },
            ..Self::default()
        }
    }

    /// How many steps a run has, with so many per epoch.
    pub fn total_steps(&self, per_epoch: u64) -> u64 {
        self.steps.unwrap_or(per_epoch.saturating_mul(self.epochs.into()))
    }

    /// The learning rate of a step (from 0) of a run with so many steps per epoch.
    pub fn rate_at(&self, step: u64, per_epoch: u64) -> f64 {
        let steps = self.total_steps(per_epoch);
        let place = Place { step, per_epoch, steps };
        self.rate * self.schedule.factor(place, self.warm_up)
    }

    /// Whether all values make sense; the error names the first that does not.
    pub fn check(&self) -> Result<(), Unfit> {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let share = |x: f64| (0.0..=1.0).contains(&x);
        let least = |x: f64| x.is_finite() && x >= 0.0;
        // Beyond, all shares are a half.
        let alpha = |x: f64| (0.0..=1000.0).contains(&x);
        let augment = &self.augment;
        let known = [
            ("epochs", self.epochs > 0, "at least 1"),
            ("steps", self.steps != Some(0), "at least 1"),
            ("batch", self.batch > 0, "at least 1"),
            ("augment.crop", augment.crop <= 1024, "at most 1024"),
            ("rate", positive(self.rate), "above 0"),
            ("clip", self.clip.is_none_or(positive), "above 0"),
            ("evaluate_every", self.evaluate_every > 0, "at least 1"),
            ("patience", self.patience != Some(0), "at least 1"),
            (
                "average.decay",
                self.average.is_none_or(|it| share(it.decay)),
                "within 0 to 1",
            ),
            (
                "warm_up.epochs",
                self.warm_up.is_none_or(|it| least(it.epochs)),
                "at least 0",
            ),
            (
                "warm_up.first",
                self.warm_up.is_none_or(|it| share(it.first)),
                "within 0 to 1",
            ),
            (
                "augment.rand_augment",
                (0.0..=10.0).contains(&augment.rand_augment),
                "within 0 to 10",
            ),
            ("augment.erase", share(augment.erase), "within 0 to 1"),
            ("augment.smoothing", share(augment.smoothing), "within 0 to 1"),
            ("augment.mixup", alpha(augment.mixup), "within 0 to 1000"),
            ("augment.cutmix", alpha(augment.cutmix), "within 0 to 1000"),
        ];
        let wrong = known.into_iter().find(|(_, fits, _)| !fits);
        let wrong = wrong.map(|(name, _, expected)| Unfit { name, expected });
        wrong
            .or(self.method_problem())
            .or(self.schedule_problem())
            .map_or(Ok(()), Err)
    }

    fn method_problem(&self) -> Option<Unfit> {
        let below_one = |x: f64| (0.0..1.0).contains(&x);
        let least = |x: f64| x.is_finite() && x >= 0.0;
        let known = match self.method {
            Method::Sgd(sgd) => [
                ("method.momentum", below_one(sgd.momentum), "at least 0 and below 1"),
                ("method.decay", least(sgd.decay), "at least 0"),
                ("method.decoupled", least(sgd.decoupled), "at least 0"),
            ],
            Method::AdamW(adam) => [
                (
                    "method.betas",
                    adam.betas.into_iter().all(below_one),
                    "at least 0 and below 1",
                ),
                ("method.eps", least(adam.eps), "at least 0"),
                ("method.decay", least(adam.decay), "at least 0"),
            ],
        };
        let wrong = known.into_iter().find(|(_, fits, _)| !fits);
        wrong.map(|(name, _, expected)| Unfit { name, expected })
    }

    fn schedule_problem(&self) -> Option<Unfit> {
        let share = |x: f64| (0.0..=1.0).contains(&x);
        let (name, fits, expected) = match &self.schedule {
            Schedule::Constant => return None,
            Schedule::MultiStep { epochs, factor } => (
                "schedule",
                share(*factor) && epochs.is_sorted(),
                "of rising epochs and a factor within 0 to 1",
            ),
            Schedule::Cosine { last } => ("schedule.last", share(*last), "within 0 to 1"),
            Schedule::OneCycle(cycle) => (
                "schedule",
                share(cycle.rise) && share(cycle.first) && share(cycle.last),
                "of shares within 0 to 1",
            ),
        };
        (!fits).then_some(Unfit { name, expected })
    }
}

/// A value of a recipe that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// Which: `average.decay`.
    pub name: &'static str,
    /// What it should be: `within 0 to 1`.
    pub expected: &'static str,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the recipe's `{}` should be {}", self.name, self.expected)
    }
}

impl std::error::Error for Unfit {}

#[cfg(test)]
mod tests {
    use super::Recipe;
    use crate::optim::Method;
    use crate::schedule::WarmUp;

    /// The values of the paper, arXiv 2210.14151.
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
        recipe.check().unwrap();
    }

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
        assert_eq!((augment.mixup, augment.cutmix), (0.5, 0.5));
        assert_eq!(recipe.rate_at(0, 391), 1e-2);
        assert!((recipe.rate_at(100 * 391, 391) - 5e-3).abs() < 1e-12);
        assert!(recipe.rate_at(200 * 391 - 1, 391) < 1e-8);
        recipe.check().unwrap();
    }

    /// Every bit of every number, also of the largest seed.
    #[test]
    fn recipes_come_back_from_json() {
        for recipe in [Recipe::default(), Recipe::se_resnet(), Recipe::convmixer()] {
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
    fn defaults_make_sense() {
        Recipe::default().check().unwrap();
    }
}

#[cfg(test)]
#[path = "recipe_page_tests.rs"]
mod page_tests;
