//! How well a model tells classes apart.
//!
//! ```
//! use ksdsl_train::metrics::Meter;
//!
//! let mut meter = Meter::new(3);
//! meter.add(&[2.0f32, 1.0, 0.0, 0.0, 1.0, 0.5], &[0, 2]);
//! let evaluation = meter.evaluation();
//! assert_eq!((evaluation.images, evaluation.top1, evaluation.top5), (2, 0.5, 1.0));
//! assert_eq!(evaluation.scores()[2].recall, Some(0.0));
//! ```

mod meter;
mod scores;

pub use meter::Meter;
pub use scores::{Score, macro_mean};

/// The outcome of a model on a set of images of `K` classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// How many images.
    pub images: usize,
    /// Their mean cross-entropy.
    pub loss: f64,
    /// The share of the images whose class gets the largest logit.
    pub top1: f64,
    /// The share of the images whose class is among the five largest logits (all, of fewer classes).
    pub top5: f64,
    /// Images with a NaN among their logits: the model predicts nothing. They are wrong, and in no cell of the
    /// confusion matrix.
    pub without_numbers: usize,
    /// How often an image of class `row` was taken for class `column`: row-major, `K x K`.
    pub confusion: Vec<u64>,
}
