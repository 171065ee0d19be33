//! The one-cycle schedule.

use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The one-cycle schedule (Smith & Topin 2017), as PyTorch's `OneCycleLR` with `cycle_momentum=False`:
/// cosine annealing up to the peak, then down to almost 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneCycle {
    /// The fraction of the steps with rising learning rate (`pct_start`).
    pub rise: f64,
    /// The initial learning rate as a fraction of the peak (1 / `div_factor`).
    pub first: f64,
    /// The final learning rate as a fraction of the peak (1 / `div_factor` / `final_div_factor`).
    pub last: f64,
}

impl Default for OneCycle {
    /// PyTorch's defaults.
    fn default() -> Self {
        Self {
            rise: 0.3,
            first: 1.0 / 25.0,
            last: 1.0 / 25.0 / 1e4,
        }
    }
}

impl OneCycle {
    /// The learning rate at a step (from 0), as a fraction of the peak.
    pub fn factor(&self, step: u64, steps: u64) -> f64 {
        let last = steps.saturating_sub(1) as f64;
        let top = (self.rise * steps as f64 - 1.0).clamp(0.0, last);
        let step = (step as f64).min(last);
        if step < top {
            blend(self.first, 1.0, step / top)
        } else {
            blend(1.0, self.last, (step - top) / (last - top).max(1.0))
        }
    }
}

/// Cosine interpolation from `a` at 0 to `b` at 1.
fn blend(a: f64, b: f64, at: f64) -> f64 {
    b + (a - b) * (1.0 + (PI * at).cos()) / 2.0
}
