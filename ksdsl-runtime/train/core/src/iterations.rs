//! How often a loop runs in a training step.

use crate::random::{Purpose, generator};
use rand::distributions::Distribution as _;
use rand_distr::{LogNormal, Poisson};
use serde::{Deserialize, Serialize};

/// How often the loop of a language model runs in a training step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Iterations {
    /// Drawn for each step as Huginn draws them (Geiping et al. 2025): 1 more than a Poisson number, whose rate has the logarithm
    /// N(ln(mean) - sigma^2 / 2, sigma), so that its mean is `mean`.
    LogNormalPoisson {
        /// The mean of the rates; the authors' is 32.
        mean: f64,
        /// The standard deviation of their logarithms; the authors' is 0.5.
        sigma: f64,
    },
}

impl Iterations {
    /// Whether the mean is one that rates can have.
    pub(crate) fn has_mean(self) -> bool {
        let Self::LogNormalPoisson { mean, .. } = self;
        mean > 0.0 && mean <= 1e6
    }

    /// Whether the deviation is one that rates can have.
    pub(crate) fn has_sigma(self) -> bool {
        let Self::LogNormalPoisson { sigma, .. } = self;
        (0.0..=10.0).contains(&sigma)
    }

    /// Those of the step with this seed, at least 1 and at most `most`.
    pub fn draw(self, step: u64, most: usize) -> usize {
        let Self::LogNormalPoisson { mean, sigma } = self;
        let mut random = generator(step, Purpose::Iterations, [0, 0]);
        let rate = LogNormal::new(mean.ln() - sigma * sigma / 2.0, sigma).map_or(mean, |of| of.sample(&mut random));
        let number = Poisson::new(rate).map_or(rate, |of| of.sample(&mut random));
        // Saturates; a rate that rounds to 0 makes no Poisson distribution.
        (number as usize).saturating_add(1).min(most.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::Iterations;

    /// Mean and variance of 1 + Poisson(rate) are 1 + E(rate) and E(rate) + Var(rate), those of the rate mean and
    /// mean^2 (exp(sigma^2) - 1). The shares below are of 10 million draws:
    ///
    /// ```python
    /// g = np.random.default_rng(0)
    /// r = g.poisson(np.exp(g.normal(np.log(32) - 0.125, 0.5, 10**7))) + 1
    /// print([(r <= k).mean() for k in (10, 20, 30, 50, 80)])
    /// ```
    #[test]
    fn the_distribution_is_the_papers() {
        let of = Iterations::LogNormalPoisson { mean: 32.0, sigma: 0.5 };
        let drawn: Vec<f64> = (0..40_000).map(|step| of.draw(step, usize::MAX) as f64).collect();
        let count = drawn.len() as f64;
        let mean = drawn.iter().sum::<f64>() / count;
        let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let expected = 32.0 + 32.0 * 32.0 * (0.25_f64.exp() - 1.0);
        assert!((mean - 33.0).abs() < 0.5, "{mean}");
        assert!((variance / expected - 1.0).abs() < 0.05, "{variance}, {expected}");
        for (most, share) in [(10, 0.0323), (20, 0.2504), (30, 0.5335), (50, 0.86), (80, 0.9783)] {
            let found = drawn.iter().filter(|x| **x <= f64::from(most)).count() as f64 / count;
            assert!((found - share).abs() < 0.01, "{most}: {found}");
        }
    }

    #[test]
    fn there_is_at_least_one_and_at_most_what_the_loop_can() {
        let of = |mean, sigma| Iterations::LogNormalPoisson { mean, sigma };
        assert!((0..200).all(|step| of(1e-300, 0.0).draw(step, 8) == 1));
        let few: Vec<usize> = (0..200).map(|step| of(6.0, 0.5).draw(step, 8)).collect();
        assert!(
            few.contains(&8) && few.iter().all(|count| (1..=8).contains(count)),
            "{few:?}"
        );
        assert_eq!(few, (0..200).map(|step| of(6.0, 0.5).draw(step, 8)).collect::<Vec<_>>());
        assert!(!of(0.0, 0.5).has_mean() && !of(f64::NAN, 0.5).has_mean() && !of(4.0, -1.0).has_sigma());
    }
}
