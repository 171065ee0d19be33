//! A schedule for the learning rate.

use std::f64::consts::PI;

/// The one-cycle schedule (Smith & Topin 2017), with the shape of PyTorch's `OneCycleLR`: half a
/// cosine up to the peak, then half a cosine down to almost nothing.
#[derive(Clone, Copy, Debug)]
pub struct OneCycle {
    /// The highest rate.
    pub peak: f64,
    /// How many steps the schedule lasts.
    pub steps: usize,
}

impl OneCycle {
    /// The share of the steps on which the rate rises.
    const RISE: f64 = 0.3;
    /// The first rate, as a share of the peak.
    const FIRST: f64 = 1.0 / 25.0;
    /// The last rate, as a share of the peak.
    const LAST: f64 = Self::FIRST / 1e4;

    /// The learning rate of a step, counted from 0.
    pub fn rate(&self, step: usize) -> f64 {
        let last = self.steps.saturating_sub(1) as f64;
        let top = (Self::RISE * self.steps as f64 - 1.0).clamp(0.0, last);
        let step = (step as f64).min(last);
        let share = if step < top {
            blend(Self::FIRST, 1.0, step / top)
        } else {
            blend(1.0, Self::LAST, (step - top) / (last - top).max(1.0))
        };
        self.peak * share
    }
}

/// From `a` at 0 to `b` at 1 along half a cosine.
fn blend(a: f64, b: f64, at: f64) -> f64 {
    b + (a - b) * (1.0 + (PI * at).cos()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::OneCycle;

    /// For a peak of 1 over 11 steps the top lies at 0.3 * 11 - 1 = 2.3: from there to step 10 the
    /// cosine runs over 7.7 steps.
    const CYCLE: OneCycle = OneCycle { peak: 1.0, steps: 11 };

    #[track_caller]
    fn assert_rate(step: usize, expected: f64) {
        let rate = CYCLE.rate(step);
        assert!((rate - expected).abs() < 1e-12, "step {step}: {rate} is not {expected}");
    }

    #[test]
    fn rises_and_falls_along_cosines() {
        let half_cosine = |at: f64| (1.0 + (std::f64::consts::PI * at).cos()) / 2.0;
        assert_rate(0, 0.04);
        assert_rate(1, 1.0 - 0.96 * half_cosine(1.0 / 2.3));
        assert_rate(2, 1.0 - 0.96 * half_cosine(2.0 / 2.3));
        assert_rate(3, 4e-6 + (1.0 - 4e-6) * half_cosine(0.7 / 7.7));
        assert_rate(10, 4e-6);
        assert_rate(11, 4e-6);
    }

    #[test]
    fn scales_with_the_peak() {
        let doubled = OneCycle { peak: 2.0, steps: 11 };
        assert_eq!(doubled.rate(5), 2.0 * CYCLE.rate(5));
    }

    #[test]
    fn short_schedules_stay_positive_and_below_the_peak() {
        for steps in 0..8 {
            for step in 0..8 {
                let rate = OneCycle { peak: 1.0, steps }.rate(step);
                assert!(rate > 0.0 && rate <= 1.0, "step {step} of {steps}: {rate}");
            }
        }
    }
}
