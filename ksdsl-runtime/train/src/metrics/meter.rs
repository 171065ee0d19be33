//! Evaluations, gathered batch by batch.

use super::Evaluation;

/// How many of the largest logits [`Evaluation::top5`] looks at.
const TOP: usize = 5;

/// Gathers an [`Evaluation`] over batches. Images count one by one, in order and in double precision, so
/// the outcome is the same bits however they are batched.
///
/// Of equal logits that of the lower class counts as the larger. An image with a NaN among its logits is wrong
/// and makes the loss a NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct Meter {
    classes: usize,
    loss: f64,
    within_top: usize,
    without_numbers: usize,
    confusion: Vec<u64>,
}

impl Meter {
    /// One that has seen nothing, for `classes` classes.
    ///
    /// # Panics
    /// If there is no class.
    pub fn new(classes: usize) -> Self {
        assert!(classes > 0, "there is no class to tell");
        Self {
            classes,
            loss: 0.0,
            within_top: 0,
            without_numbers: 0,
            confusion: vec![0; classes * classes],
        }
    }

    /// Adds the images of a batch: `logits` is batch x classes, row-major, and `labels` the classes, from 0.
    ///
    /// # Panics
    /// If there are not as many rows as labels, or a label is no class.
    pub fn add<E: Copy + Into<f64>>(&mut self, logits: &[E], labels: &[usize]) {
        assert_eq!(
            logits.len(),
            labels.len() * self.classes,
            "logits for {} images of {} classes",
            labels.len(),
            self.classes
        );
        for (logits, &label) in logits.chunks_exact(self.classes).zip(labels) {
            let logits: Vec<f64> = logits.iter().map(|&logit| logit.into()).collect();
            self.add_image(&logits, label);
        }
    }

    fn add_image(&mut self, logits: &[f64], label: usize) {
        assert!(label < self.classes, "label {label} of {} classes", self.classes);
        self.loss += cross_entropy(logits, label);
        if logits.iter().any(|logit| logit.is_nan()) {
            self.without_numbers += 1;
            return;
        }
        self.within_top += usize::from(rank(logits, label) < TOP);
        self.confusion[label * self.classes + largest(logits)] += 1;
    }

    /// The images so far. Without any, the means are NaN.
    pub fn evaluation(&self) -> Evaluation {
        let images = self.confusion.iter().sum::<u64>() as usize + self.without_numbers;
        let right: u64 = self.confusion.iter().step_by(self.classes + 1).sum();
        let count = images as f64;
        Evaluation {
            images,
            loss: self.loss / count,
            top1: right as f64 / count,
            top5: self.within_top as f64 / count,
            without_numbers: self.without_numbers,
            confusion: self.confusion.clone(),
        }
    }
}

/// The negative logarithm of the label's probability. The largest logit is taken off first, so that
/// nothing overflows.
fn cross_entropy(logits: &[f64], label: usize) -> f64 {
    if logits.iter().any(|logit| logit.is_nan()) {
        return f64::NAN; // `max` below would pass over it
    }
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    sum.ln() + largest - logits[label]
}

/// The class of the largest logit.
fn largest(logits: &[f64]) -> usize {
    (1..logits.len()).fold(0, |best, class| if before(logits, class, best) { class } else { best })
}

/// How many classes have a larger logit.
fn rank(logits: &[f64], label: usize) -> usize {
    (0..logits.len()).filter(|&class| before(logits, class, label)).count()
}

/// Whether class `a` comes before class `b` when classes are ordered from the largest logit down; none is a NaN.
fn before(logits: &[f64], a: usize, b: usize) -> bool {
    logits[a] > logits[b] || logits[a] == logits[b] && a < b
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
