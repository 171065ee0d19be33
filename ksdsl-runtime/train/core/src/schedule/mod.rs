//! Learning rate schedules, as pure functions of the step.

mod one_cycle;

pub use one_cycle::OneCycle;

use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The position of a step in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The step, from 0.
    pub step: u64,
    /// Steps per epoch.
    pub per_epoch: u64,
    /// Steps of the run.
    pub steps: u64,
}

/// A learning rate schedule: a factor on the recipe's learning rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// A constant learning rate.
    Constant,
    /// Multiplies the learning rate by `factor` after each of these epochs (PyTorch's `MultiStepLR`).
    MultiStep {
        /// The milestones in epochs, increasing.
        epochs: Vec<u32>,
        /// The factor (`gamma`).
        factor: f64,
    },
    /// Cosine annealing from 1 to `last` over all steps of the run (Loshchilov & Hutter 2017 without restarts;
    /// PyTorch's `CosineAnnealingLR` over all steps).
    Cosine {
        /// The final factor, reached after the last step.
        last: f64,
    },
    /// The one-cycle schedule (PyTorch's `OneCycleLR`); the recipe's learning rate is the peak.
    OneCycle(OneCycle),
}

/// Linear warm-up before the schedule (Goyal et al. 2017).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmUp {
    /// Its length in epochs; may be fractional.
    pub epochs: f64,
    /// The factor of the first step.
    pub first: f64,
}

impl WarmUp {
    fn steps(self, place: Place) -> u64 {
        let steps = (self.epochs * place.per_epoch as f64).round() as u64;
        steps.min(place.steps)
    }
}

impl Schedule {
    /// The factor at a step. After a warm-up the schedule covers the remaining steps; the milestones of
    /// [`Schedule::MultiStep`] still count from the start of the run.
    pub fn factor(&self, place: Place, warm_up: Option<WarmUp>) -> f64 {
        let Some(warm_up) = warm_up else {
            return self.after(place, 0);
        };
        let rise = warm_up.steps(place);
        if place.step >= rise {
            return self.after(place, rise);
        }
        let share = place.step as f64 / rise as f64;
        let start = Place { step: rise, ..place };
        (warm_up.first + (1.0 - warm_up.first) * share) * self.after(start, rise)
    }

    /// The factor where the first `rise` steps are a warm-up, and over.
    fn after(&self, place: Place, rise: u64) -> f64 {
        let (step, steps) = (place.step - rise, place.steps - rise);
        match self {
            Self::Constant => 1.0,
            Self::MultiStep { epochs, factor } => {
                let passed = |epoch: &&u32| place.step >= u64::from(**epoch).saturating_mul(place.per_epoch);
                factor.powi(epochs.iter().filter(passed).count() as i32)
            }
            Self::Cosine { last } => {
                let at = step as f64 / steps.max(1) as f64;
                last + (1.0 - last) * (1.0 + (PI * at).cos()) / 2.0
            }
            Self::OneCycle(cycle) => cycle.factor(step, steps),
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
