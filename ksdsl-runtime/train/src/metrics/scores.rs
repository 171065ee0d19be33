//! What a confusion matrix says of each class.

use super::Evaluation;

/// How well one class is told from the others. A share of nothing is `None`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Images of the class.
    pub images: u64,
    /// Of the images taken for the class, the share that are of it.
    pub precision: Option<f64>,
    /// Of the images of the class, the share taken for it; often called the accuracy of the class.
    pub recall: Option<f64>,
    /// The harmonic mean of the two.
    pub f1: Option<f64>,
    /// The share of all images that are rightly taken, or not taken, for the class.
    pub accuracy: Option<f64>,
}

impl Evaluation {
    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.confusion.len().isqrt()
    }

    /// How often an image of class `class` was taken for class `taken_for`.
    ///
    /// # Panics
    /// If one of them is no class.
    pub fn confused(&self, class: usize, taken_for: usize) -> u64 {
        let classes = self.classes();
        assert!(taken_for < classes, "class {taken_for} of {classes}");
        self.confusion[class * classes + taken_for]
    }

    /// The scores of all classes.
    pub fn scores(&self) -> Vec<Score> {
        let classes = self.classes();
        let all: u64 = self.confusion.iter().sum();
        (0..classes)
            .map(|class| {
                let right = self.confused(class, class);
                let images = (0..classes).map(|other| self.confused(class, other)).sum();
                let taken: u64 = (0..classes).map(|other| self.confused(other, class)).sum();
                Score {
                    images,
                    precision: share(right, taken),
                    recall: share(right, images),
                    f1: share(2 * right, taken + images),
                    accuracy: share(all + 2 * right - taken - images, all),
                }
            })
            .collect()
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The mean of one of the scores over the classes that have it; that of the recalls is known as balanced
/// accuracy.
pub fn macro_mean(scores: &[Score], value: impl Fn(&Score) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = scores.iter().filter_map(value).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
