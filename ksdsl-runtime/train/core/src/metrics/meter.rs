//! Accumulates an evaluation over batches.

use super::Evaluation;

/// The k of [`Evaluation::top5`].
const TOP: usize = 5;

/// Accumulates an [`Evaluation`] over batches. Images are added one by one, in order and in double precision, so the
/// result is bit-identical for any batch size.
///
/// Ties between logits go to the lower class. An image with a NaN logit counts as misclassified and makes the loss NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct Meter {
    classes: usize,
    images: usize,
    loss: f64,
    correct: usize,
    within_top: usize,
    nan_images: usize,
    /// Empty for language models.
    confusion: Vec<u64>,
    bytes_per_token: Option<f64>,
}

impl Meter {
    /// An empty meter for `classes` classes.
    ///
    /// # Panics
    /// If `classes` is 0.
    pub fn new(classes: usize) -> Self {
        Self {
            confusion: vec![0; classes * classes],
            ..Self::without_confusion(classes)
        }
    }

    /// An empty meter for the positions of a text of `vocabulary` tokens, which have so many bytes on average.
    ///
    /// # Panics
    /// If `vocabulary` is 0.
    pub fn of_text(vocabulary: usize, bytes_per_token: f64) -> Self {
        Self {
            bytes_per_token: Some(bytes_per_token),
            ..Self::without_confusion(vocabulary)
        }
    }

    /// An empty meter that does not say which classes are confused.
    ///
    /// # Panics
    /// If `classes` is 0.
    pub(crate) fn without_confusion(classes: usize) -> Self {
        assert!(classes > 0, "the number of classes must be positive");
        Self {
            classes,
            images: 0,
            loss: 0.0,
            correct: 0,
            within_top: 0,
            nan_images: 0,
            confusion: Vec::new(),
            bytes_per_token: None,
        }
    }

    /// Adds a batch: `logits` is batch x classes, row-major; `labels` are class indices from 0.
    ///
    /// # Panics
    /// If the numbers of rows and labels differ, or a label is out of range.
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
        self.images += 1;
        self.loss += cross_entropy(logits, label);
        if logits.iter().any(|logit| logit.is_nan()) {
            self.nan_images += 1;
            return;
        }
        self.within_top += usize::from(rank(logits, label) < TOP);
        let predicted = largest(logits);
        self.correct += usize::from(predicted == label);
        if let Some(count) = self.confusion.get_mut(label * self.classes + predicted) {
            *count += 1;
        }
    }

    /// The evaluation of all images so far. Without any, means are NaN.
    pub fn evaluation(&self) -> Evaluation {
        let count = self.images as f64;
        Evaluation {
            images: self.images,
            loss: self.loss / count,
            top1: self.correct as f64 / count,
            top5: Some(self.within_top as f64 / count),
            nan_images: self.nan_images,
            confusion: self.confusion.clone(),
            bytes_per_token: self.bytes_per_token,
            cells: None,
        }
    }
}

/// The negative logarithm of the label's probability. The largest logit is subtracted first to avoid overflow.
fn cross_entropy(logits: &[f64], label: usize) -> f64 {
    if logits.iter().any(|logit| logit.is_nan()) {
        return f64::NAN; // `max` below ignores NaN
    }
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    sum.ln() + largest - logits[label]
}

/// The class of the largest logit.
fn largest(logits: &[f64]) -> usize {
    (1..logits.len()).fold(0, |best, class| if before(logits, class, best) { class } else { best })
}

/// The number of classes with a larger logit.
fn rank(logits: &[f64], label: usize) -> usize {
    (0..logits.len()).filter(|&class| before(logits, class, label)).count()
}

/// Whether class `a` precedes class `b` in descending order of logits; no logit is NaN.
fn before(logits: &[f64], a: usize, b: usize) -> bool {
    logits[a] > logits[b] || logits[a] == logits[b] && a < b
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
