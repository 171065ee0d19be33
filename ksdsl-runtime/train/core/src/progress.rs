//! The progress of a run.

use crate::metrics::Evaluation;
use crate::recipe::Recipe;
use crate::record::Epoch;
use serde::{Deserialize, Serialize};

/// The progress of a run: together with model, optimiser state and average, all that is needed to resume it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// The current epoch, from 1.
    pub epoch: u32,
    /// Steps done in the epoch.
    pub step: u64,
    /// Steps done in the run.
    pub steps: u64,
    /// Steps of the optimiser: equal to `steps`, or 0 if the model has no trainable parameters.
    pub optimiser_steps: u64,
    /// The sum of the losses over the epoch's images so far. JSON stores it exactly: numbers round-trip.
    pub loss: f64,
    /// Images in the epoch so far.
    pub images: usize,
    /// Seconds of the epoch's steps so far.
    pub seconds: f64,
    /// Seconds of these spent waiting for data.
    pub waited: f64,
    /// Seconds that processors worked meanwhile, all threads together; 0 if the system does not say.
    #[serde(default)]
    pub processor: f64,
    /// The learning rate of the last step.
    pub rate: f64,
    /// The gradient norm of the last step.
    pub gradient_norm: Option<f64>,
    /// The best evaluation so far.
    pub best: Option<Best>,
    /// Evaluations since the best one.
    pub evaluations_without_improvement: u32,
    /// How the run ended, if it has.
    pub ended: Option<End>,
}

/// The best evaluation of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// The epoch.
    pub epoch: u32,
    /// Top-1 accuracy, 0 to 1.
    pub top1: f64,
    /// Mean cross-entropy.
    pub loss: f64,
}

impl Best {
    /// Whether `evaluation` is better: higher accuracy, or equal accuracy and lower loss; for language models, lower loss.
    pub fn is_worse_than(&self, evaluation: &Evaluation) -> bool {
        if evaluation.is_of_text() {
            return evaluation.loss < self.loss;
        }
        evaluation.top1 > self.top1 || evaluation.top1 == self.top1 && evaluation.loss < self.loss
    }
}

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// All epochs are done.
    Finished,
    /// Early stopping: the recipe's patience was exceeded.
    Early,
    /// A stop was requested; the run can be resumed.
    Interrupted,
}

/// The progress of a new run.
impl Default for Progress {
    fn default() -> Self {
        Self {
            epoch: 1,
            step: 0,
            steps: 0,
            optimiser_steps: 0,
            loss: 0.0,
            images: 0,
            seconds: 0.0,
            waited: 0.0,
            processor: 0.0,
            rate: 0.0,
            gradient_norm: None,
            best: None,
            evaluations_without_improvement: 0,
            ended: None,
        }
    }
}

impl Progress {
    /// The record of the epoch, without evaluations.
    pub fn record(&self) -> Epoch {
        Epoch {
            number: self.epoch,
            steps: self.steps,
            training_loss: self.loss / self.images.max(1) as f64,
            rate: self.rate,
            seconds: self.seconds,
            waited: self.waited,
            processor: (self.processor > 0.0).then_some(self.processor),
            images: self.images,
            evaluation: None,
            averaged: None,
        }
    }

    /// Begins the next epoch.
    pub fn next_epoch(&mut self) {
        *self = Self {
            epoch: self.epoch + 1,
            step: 0,
            loss: 0.0,
            images: 0,
            seconds: 0.0,
            waited: 0.0,
            processor: 0.0,
            ..self.clone()
        };
    }

    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and maps with text as keys")
    }

    /// Checks that a run with this recipe can have this progress; the error is the first contradiction.
    pub fn check(&self, recipe: &Recipe, per_epoch: u64) -> Result<(), String> {
        let total = recipe.total_steps(per_epoch);
        let epochs = total.div_ceil(per_epoch);
        if !(1..=epochs).contains(&self.epoch.into()) {
            return Err(format!("`epoch` is {}, expected 1 to {epochs}", self.epoch));
        }
        let before = u64::from(self.epoch - 1) * per_epoch;
        let of_epoch = per_epoch.min(total - before);
        self.check_steps(before, of_epoch)?;
        self.check_numbers(recipe, per_epoch)?;
        let done = match self.ended {
            Some(_) => self.epoch,
            None => self.epoch - 1,
        };
        self.check_best(done, recipe.evaluate_every, epochs)?;
        self.check_end(recipe, self.step == of_epoch, self.steps == total)
    }

    fn check_steps(&self, before: u64, of_epoch: u64) -> Result<(), String> {
        let Self { epoch, step, steps, .. } = self;
        if *step > of_epoch {
            return Err(format!("`step` is {step}, expected at most {of_epoch}"));
        }
        if *steps != before + step {
            let expected = before + step;
            return Err(format!(
                "`steps` is {steps}, expected {expected} (step {step} of epoch {epoch})"
            ));
        }
        if ![0, *steps].contains(&self.optimiser_steps) {
            return Err(format!(
                "`optimiser_steps` is {}, expected 0 or {steps}",
                self.optimiser_steps
            ));
        }
        match (self.images == 0) == (*step == 0) {
            true => Ok(()),
            false => Err(format!("`images` is {} after {step} steps of the epoch", self.images)),
        }
    }

    fn check_numbers(&self, recipe: &Recipe, per_epoch: u64) -> Result<(), String> {
        let rate = match self.steps {
            0 => 0.0,
            steps => recipe.rate_at(steps - 1, per_epoch),
        };
        // Cosines may differ between machines in the last digit.
        if (self.rate - rate).abs() > 1e-9 * rate {
            return Err(format!("`rate` is {}, expected the recipe's {rate}", self.rate));
        }
        let least = |x: f64| x.is_finite() && x >= 0.0;
        let known = [
            ("loss", self.loss.is_finite()),
            ("seconds", least(self.seconds)),
            ("waited", least(self.waited)),
            ("processor", least(self.processor)),
            ("gradient_norm", self.gradient_norm.is_none_or(least)),
        ];
        match known.into_iter().find(|(_, fits)| !fits) {
            Some((name, _)) => Err(format!("`{name}` has an invalid value")),
            None => Ok(()),
        }
    }

    /// Checks the best evaluation, after `done` epochs.
    fn check_best(&self, done: u32, every: u32, epochs: u64) -> Result<(), String> {
        let Some(best) = self.best else {
            return match self.evaluations_without_improvement {
                0 => Ok(()),
                evaluations_without_improvement => Err(format!(
                    "`evaluations_without_improvement` is {evaluations_without_improvement} without a `best`"
                )),
            };
        };
        let is_evaluated = best.epoch.is_multiple_of(every) || u64::from(best.epoch) == epochs;
        if !(1..=done).contains(&best.epoch) || !is_evaluated {
            return Err(format!("`best.epoch` is {}; {done} epochs are done", best.epoch));
        }
        if !(0.0..=1.0).contains(&best.top1) || !best.loss.is_finite() {
            return Err(format!(
                "`best` has an invalid accuracy ({}) or loss ({})",
                best.top1, best.loss
            ));
        }
        match self.evaluations_without_improvement <= done - best.epoch {
            true => Ok(()),
            false => Err(format!(
                "`evaluations_without_improvement` is {}; {done} epochs are done",
                self.evaluations_without_improvement
            )),
        }
    }

    fn check_end(&self, recipe: &Recipe, whole_epoch: bool, whole_run: bool) -> Result<(), String> {
        let is_out_of_patience = recipe
            .patience
            .is_some_and(|patience| self.evaluations_without_improvement >= patience);
        let fits = match self.ended {
            Some(End::Finished) => whole_run,
            Some(End::Early) => whole_epoch && is_out_of_patience,
            Some(End::Interrupted) => false,
            None => !is_out_of_patience,
        };
        match fits {
            true => Ok(()),
            false => Err(format!("`ended` is {:?} after {} steps", self.ended, self.steps)),
        }
    }
}
