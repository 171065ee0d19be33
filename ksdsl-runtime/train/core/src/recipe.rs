//! Training recipes: all hyperparameters of a run, as one value that can be saved and compared.

mod invalid;
mod presets;

pub use invalid::InvalidRecipe;

use crate::iterations::Iterations;
use crate::json::{self, JsonError};
use crate::optim::{Averaging, Decayed, Method, Sgd};
use crate::schedule::{OneCycle, Place, Schedule, WarmUp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The hyperparameters of a training run. [`Recipe::default`] suits small convolutional networks; override fields as
/// needed:
///
/// ```
/// # extern crate ksdsl_train_core as ksdsl_train;
/// use ksdsl_train::Recipe;
/// use ksdsl_train::optim::AdamW;
///
/// let recipe = Recipe { epochs: 10, method: AdamW::default().into(), rate: 0.003, ..Recipe::default() };
/// recipe.check()?;
/// # Ok::<(), ksdsl_train::recipe::InvalidRecipe>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Number of epochs.
    pub epochs: u32,
    /// Number of steps, overrides `epochs`; the last epoch may be shorter.
    pub steps: Option<u64>,
    /// Steps of an epoch, for sources that draw at random, such as windows of a text; without it an epoch has as many
    /// as a pass over the data.
    pub steps_per_epoch: Option<u64>,
    /// Batch size, for the source of the batches.
    pub batch: usize,
    /// Number of micro-batches that a step's batch is computed in (gradient accumulation): less memory, the same mean
    /// gradient. Batch norm takes the statistics of each micro-batch.
    pub accumulate: Option<usize>,
    /// Seed of all randomness.
    pub seed: u64,
    /// The optimiser.
    pub method: Method,
    /// Which parameters have weight decay.
    pub decayed: Decayed,
    /// Peak learning rate; the schedule scales it.
    pub rate: f64,
    /// Learning rate schedule.
    pub schedule: Schedule,
    /// Linear warm-up before the schedule.
    pub warm_up: Option<WarmUp>,
    /// Maximum global gradient norm (gradient clipping).
    pub clip: Option<f64>,
    /// Weight averaging; the averaged model is evaluated too.
    pub average: Option<Averaging>,
    /// The parameters that are trained, as paths; all, if there is none. The others keep their values. For networks that train
    /// without generated code: selectors as in `share` clauses.
    #[serde(default)]
    pub train_only: Vec<String>,
    /// Data augmentation, for the source of the batches.
    pub augment: Augment,
    /// Leave out the last batch of an epoch if it is smaller (`drop_last` of PyTorch's `DataLoader`).
    #[serde(default)]
    pub drop_last: bool,
    /// Evaluate every this many epochs, and after the last.
    pub evaluate_every: u32,
    /// Early stopping after this many evaluations in a row without improvement.
    pub patience: Option<u32>,
    /// For language models with exit gates: the `entropy` of [`exit_cross_entropy`](crate::loss::exit_cross_entropy).
    #[serde(default = "Recipe::entropy_of_exits")]
    pub exit_entropy: f64,
    /// For language models with exit gates: these learn [whether a further visit lowers the
    /// loss](crate::loss::exit_improvement), instead of all that `exit_entropy` is for.
    #[serde(default)]
    pub exit_targets: Option<ExitTargets>,
    /// For language models with a loop: how often it runs in a step; as often as it can without it.
    #[serde(default)]
    pub iterations: Option<Iterations>,
}

/// From which improvement on a token should not have left: the targets of
/// [`exit_improvement`](crate::loss::exit_improvement).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExitTargets {
    /// How steeply targets rise with the improvement; the authors' is 50.
    pub slope: f64,
    /// The improvement, in nats, at which a target is one half; the authors' is 0.005.
    pub threshold: f64,
}

/// Data augmentation; 0 or `false` disables a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Padding in pixels of a padded random crop (He et al. 2016: 4).
    pub crop: usize,
    /// Random horizontal flips with probability 0.5.
    pub flip: bool,
    /// Magnitude of RandAugment's two operations, 0 to 10 (Cubuk et al. 2020).
    pub rand_augment: f64,
    /// Probability of random erasing (Zhong et al. 2020).
    pub erase: f64,
    /// Alpha of mixup's Beta distribution (Zhang et al. 2018).
    pub mixup: f64,
    /// Alpha of cutmix's Beta distribution (Yun et al. 2019).
    pub cutmix: f64,
    /// Label smoothing (Szegedy et al. 2016).
    pub smoothing: f64,
    /// Whose RandAugment and random erasing.
    #[serde(default)]
    pub library: Library,
}

/// The library whose RandAugment and random erasing augment images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Library {
    /// torchvision's: operations of one magnitude; erased values are 0, the mean.
    #[default]
    Torchvision,
    /// timm's `rand-mM-mstd0.5-inc1` ([`TimmRandAugment`]), and erasing with noise (`--remode pixel`).
    ///
    /// [`TimmRandAugment`]: crate::data::augment::TimmRandAugment
    Timm,
}

impl Default for Recipe {
    /// SGD for 20 epochs, batch size 64, one-cycle schedule with a peak learning rate of 0.1.
    fn default() -> Self {
        Self {
            epochs: 20,
            steps: None,
            steps_per_epoch: None,
            batch: 64,
            accumulate: None,
            seed: 0,
            method: Sgd::default().into(),
            decayed: Decayed::default(),
            rate: 0.1,
            schedule: Schedule::OneCycle(OneCycle::default()),
            warm_up: None,
            clip: None,
            average: None,
            train_only: Vec::new(),
            augment: Augment::default(),
            drop_last: false,
            evaluate_every: 1,
            patience: None,
            exit_entropy: Self::entropy_of_exits(),
            exit_targets: None,
            iterations: None,
        }
    }
}

impl Recipe {
    fn entropy_of_exits() -> f64 {
        0.1
    }

    /// The same with some values replaced: keys as in JSON, objects merged, but those with a `kind` replaced.
    ///
    /// # Errors
    /// If a key or value does not fit; the error names it.
    pub fn with(&self, changes: &Changes) -> Result<Self, JsonError> {
        fn merge(into: &mut Changes, changes: &Changes) {
            for (key, value) in changes {
                match (into.get_mut(key), value) {
                    (Some(Value::Object(inner)), Value::Object(changed)) if !changed.contains_key("kind") => {
                        merge(inner, changed);
                    }
                    _ => {
                        into.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        let mut all = match serde_json::to_value(self) {
            Ok(Value::Object(all)) => all,
            _ => Changes::new(),
        };
        merge(&mut all, changes);
        json::from_slice(Value::Object(all).to_string().as_bytes())
    }

    /// The number of steps of a run with `per_epoch` steps per epoch.
    pub fn total_steps(&self, per_epoch: u64) -> u64 {
        self.steps.unwrap_or(per_epoch.saturating_mul(self.epochs.into()))
    }

    /// The learning rate at `step` (from 0), with `per_epoch` steps per epoch.
    pub fn rate_at(&self, step: u64, per_epoch: u64) -> f64 {
        let steps = self.total_steps(per_epoch);
        let place = Place { step, per_epoch, steps };
        self.rate * self.schedule.factor(place, self.warm_up)
    }

    /// Checks all values; the error names the first invalid one.
    pub fn check(&self) -> Result<(), InvalidRecipe> {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let share = |x: f64| (0.0..=1.0).contains(&x);
        let least = |x: f64| x.is_finite() && x >= 0.0;
        // Above, all mixing coefficients are 0.5.
        let alpha = |x: f64| (0.0..=1000.0).contains(&x);
        let augment = &self.augment;
        let known = [
            ("epochs", self.epochs > 0, "at least 1"),
            ("steps", self.steps != Some(0), "at least 1"),
            ("steps_per_epoch", self.steps_per_epoch != Some(0), "at least 1"),
            ("batch", self.batch > 0, "at least 1"),
            ("accumulate", self.accumulate != Some(0), "at least 1"),
            ("augment.crop", augment.crop <= 1024, "at most 1024"),
            ("rate", positive(self.rate), "above 0"),
            ("clip", self.clip.is_none_or(positive), "above 0"),
            ("evaluate_every", self.evaluate_every > 0, "at least 1"),
            ("patience", self.patience != Some(0), "at least 1"),
            ("exit_entropy", least(self.exit_entropy), "at least 0"),
            (
                "exit_targets.slope",
                self.exit_targets.is_none_or(|it| positive(it.slope)),
                "above 0",
            ),
            (
                "exit_targets.threshold",
                self.exit_targets.is_none_or(|it| least(it.threshold)),
                "at least 0",
            ),
            (
                "iterations.mean",
                self.iterations.is_none_or(Iterations::has_mean),
                "above 0, at most 1000000",
            ),
            (
                "iterations.sigma",
                self.iterations.is_none_or(Iterations::has_sigma),
                "from 0 to 10",
            ),
            (
                "average.decay",
                self.average.is_none_or(|it| share(it.decay)),
                "from 0 to 1",
            ),
            (
                "warm_up.epochs",
                self.warm_up.is_none_or(|it| least(it.epochs)),
                "at least 0",
            ),
            (
                "warm_up.first",
                self.warm_up.is_none_or(|it| share(it.first)),
                "from 0 to 1",
            ),
            (
                "augment.rand_augment",
                (0.0..=10.0).contains(&augment.rand_augment),
                "from 0 to 10",
            ),
            ("augment.erase", share(augment.erase), "from 0 to 1"),
            ("augment.smoothing", share(augment.smoothing), "from 0 to 1"),
            ("augment.mixup", alpha(augment.mixup), "from 0 to 1000"),
            ("augment.cutmix", alpha(augment.cutmix), "from 0 to 1000"),
        ];
        let invalid = known.into_iter().find(|(_, fits, _)| !fits);
        let invalid = invalid.map(|(name, _, expected)| InvalidRecipe { name, expected });
        invalid
            .or(self.method_problem())
            .or(self.schedule_problem())
            .map_or(Ok(()), Err)
    }

    fn method_problem(&self) -> Option<InvalidRecipe> {
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
        let invalid = known.into_iter().find(|(_, fits, _)| !fits);
        invalid.map(|(name, _, expected)| InvalidRecipe { name, expected })
    }

    fn schedule_problem(&self) -> Option<InvalidRecipe> {
        let share = |x: f64| (0.0..=1.0).contains(&x);
        let (name, fits, expected) = match &self.schedule {
            Schedule::Constant => return None,
            Schedule::MultiStep { epochs, factor } => (
                "schedule",
                share(*factor) && epochs.is_sorted(),
                "a list of increasing epochs and a factor from 0 to 1",
            ),
            Schedule::Cosine { last } => ("schedule.last", share(*last), "from 0 to 1"),
            Schedule::OneCycle(cycle) => (
                "schedule",
                share(cycle.rise) && share(cycle.first) && share(cycle.last),
                "a schedule with fractions from 0 to 1",
            ),
        };
        (!fits).then_some(InvalidRecipe { name, expected })
    }
}

/// Values that replace those of a recipe.
pub type Changes = serde_json::Map<String, Value>;

#[cfg(test)]
#[path = "recipe_tests.rs"]
mod tests;
