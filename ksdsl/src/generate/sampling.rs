//! Drawing the next token from logits.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cmp::Ordering;
use std::fmt;

/// Which tokens may come next, and how often each does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// What logits are divided by before the softmax: below 1 the probable tokens become more probable. At 0 the most
    /// probable token always comes next (greedy decoding).
    pub temperature: f64,
    /// Only so many of the most probable tokens.
    pub top_k: Option<usize>,
    /// Of those, only the fewest most probable ones whose probabilities sum to at least this (Holtzman et al. 2020,
    /// arXiv 1904.09751, section 3.1).
    pub top_p: Option<f64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: None,
        }
    }
}

/// Logits that are not numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotNumbers;

impl fmt::Display for NotNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the network's logits are NaN or infinite")
    }
}

impl std::error::Error for NotNumbers {}

impl Sampling {
    /// The tokens that may come next with their probabilities, whose sum is 1: with a temperature of 0 or with `top_k` or
    /// `top_p` the most probable first, otherwise in the order of their ids. Of equally probable tokens those with lower
    /// ids come first.
    ///
    /// # Errors
    /// If a logit is NaN or infinite, or there is none. Minus infinity is the logit of a token that never comes.
    pub fn distribution(&self, logits: &[f32]) -> Result<Vec<(usize, f64)>, NotNumbers> {
        let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if !greatest.is_finite() || logits.iter().any(|logit| logit.is_nan()) {
            return Err(NotNumbers);
        }
        if self.temperature <= 0.0 {
            let best = logits.iter().position(|logit| *logit == greatest);
            return Ok(best.map(|best| (best, 1.0)).into_iter().collect());
        }
        let weight = |logit: f32| ((f64::from(logit) - f64::from(greatest)) / self.temperature).exp();
        let mut all: Vec<(usize, f64)> = logits.iter().map(|logit| weight(*logit)).enumerate().collect();
        if let Some(count) = self.top_k.filter(|count| *count < all.len()) {
            let count = count.max(1);
            all.select_nth_unstable_by(count - 1, more_probable);
            all.truncate(count);
        }
        if self.top_k.is_some() || self.top_p.is_some() {
            all.sort_unstable_by(more_probable);
        }
        normalise(&mut all);
        if let Some(mass) = self.top_p {
            let mut sum = 0.0;
            let before = all.iter().take_while(|(_, probability)| {
                let is_needed = sum < mass;
                sum += probability;
                is_needed
            });
            let count = before.count().max(1);
            all.truncate(count);
            normalise(&mut all);
        }
        Ok(all)
    }
}

fn more_probable(a: &(usize, f64), b: &(usize, f64)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

fn normalise(all: &mut [(usize, f64)]) {
    let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
    all.iter_mut().for_each(|(_, weight)| *weight /= sum);
}

/// Draws tokens, the same for the same seed.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    rng: ChaCha8Rng,
}

impl Sampler {
    /// One that draws with this seed.
    pub fn new(sampling: Sampling, seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { sampling, rng }
    }

    /// The next token.
    ///
    /// # Errors
    /// Those of [`Sampling::distribution`].
    pub fn draw(&mut self, logits: &[f32]) -> Result<usize, NotNumbers> {
        let all = self.sampling.distribution(logits)?;
        let mut rest: f64 = self.rng.r#gen();
        let drawn = all.iter().find(|(_, probability)| {
            rest -= probability;
            rest < 0.0
        });
        // Rounding may leave a rest after the last.
        let last = || all.iter().rev().find(|(_, probability)| *probability > 0.0);
        drawn.or_else(last).map(|(token, _)| *token).ok_or(NotNumbers)
    }
}

#[cfg(test)]
#[path = "sampling_tests.rs"]
mod tests;
