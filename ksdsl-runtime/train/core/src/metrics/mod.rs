//! Metrics of classifiers and language models.
//!
//! ```
//! # extern crate ksdsl_train_core as ksdsl_train;
//! use ksdsl_train::metrics::Meter;
//!
//! let mut meter = Meter::new(3);
//! meter.add(&[2.0f32, 1.0, 0.0, 0.0, 1.0, 0.5], &[0, 2]);
//! let evaluation = meter.evaluation();
//! assert_eq!((evaluation.images, evaluation.top1, evaluation.top5), (2, 0.5, Some(1.0)));
//! assert_eq!(evaluation.scores()[2].recall, Some(0.0));
//! ```

mod meter;
mod scores;

pub use meter::Meter;
pub use scores::{Score, macro_mean};

/// The metrics of a model on a data set with `K` classes. A language model classifies positions of a text: its classes are
/// the tokens, its images the positions. Of puzzles the accuracy is the fraction that is solved, with every cell right.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The number of images.
    pub images: usize,
    /// The mean cross-entropy.
    pub loss: f64,
    /// Top-1 accuracy, 0 to 1.
    pub top1: f64,
    /// Top-5 accuracy, 0 to 1; none of puzzles.
    pub top5: Option<f64>,
    /// The number of images with a NaN logit. They count as misclassified and are not in the confusion matrix.
    pub nan_images: usize,
    /// The confusion matrix, `K x K`, row-major: rows are true classes, columns predicted classes. Language models have
    /// none.
    pub confusion: Vec<u64>,
    /// Of a language model, the mean number of bytes of a token of the text.
    pub bytes_per_token: Option<f64>,
    /// Of puzzles, the fraction of cells that are right.
    pub cells: Option<f64>,
}
