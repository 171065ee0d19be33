//! Scores per class.

use super::Evaluation;
use std::f64::consts::LN_2;

/// The scores of one class. A ratio whose denominator is 0 is `None`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The number of images of the class.
    pub images: u64,
    /// Precision: TP / (TP + FP).
    pub precision: Option<f64>,
    /// Recall: TP / (TP + FN), also known as per-class accuracy.
    pub recall: Option<f64>,
    /// F1: the harmonic mean of precision and recall.
    pub f1: Option<f64>,
    /// Accuracy of the class against all others: (TP + TN) / all images.
    pub accuracy: Option<f64>,
}

impl Evaluation {
    /// Whether it is that of a language model.
    pub fn is_of_text(&self) -> bool {
        self.bytes_per_token.is_some()
    }

    /// e to the loss.
    pub fn perplexity(&self) -> f64 {
        self.loss.exp()
    }

    /// Of a language model, the loss in bits per byte of text, which compares models with different tokens.
    pub fn bits_per_byte(&self) -> Option<f64> {
        Some(self.loss / LN_2 / self.bytes_per_token?)
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.confusion.len().isqrt()
    }

    /// The number of images of class `class` that were predicted as class `predicted`.
    ///
    /// # Panics
    /// If a class is out of range.
    pub fn confused(&self, class: usize, predicted: usize) -> u64 {
        let classes = self.classes();
        assert!(predicted < classes, "class {predicted} of {classes}");
        self.confusion[class * classes + predicted]
    }

    /// The scores of all classes.
    pub fn scores(&self) -> Vec<Score> {
        let classes = self.classes();
        let all: u64 = self.confusion.iter().sum();
        (0..classes)
            .map(|class| {
                let correct = self.confused(class, class);
                let images = (0..classes).map(|other| self.confused(class, other)).sum();
                let predicted: u64 = (0..classes).map(|other| self.confused(other, class)).sum();
                Score {
                    images,
                    precision: ratio(correct, predicted),
                    recall: ratio(correct, images),
                    f1: ratio(2 * correct, predicted + images),
                    accuracy: ratio(all + 2 * correct - predicted - images, all),
                }
            })
            .collect()
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The macro average of a score, over the classes that have it. The macro average of recall is the balanced accuracy.
pub fn macro_mean(scores: &[Score], value: impl Fn(&Score) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = scores.iter().filter_map(value).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
