//! How well a model tells classes apart.

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
    /// How often an image of class `row` was taken for class `column`: row-major, `K x K`.
    pub confusion: Vec<u64>,
}
