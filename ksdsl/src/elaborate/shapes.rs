//! Shapes in messages, and how large they may be.

use crate::ir::Shape;
use crate::limits;

/// A shape as messages name it.
pub(super) fn in_words(shape: Shape) -> String {
    match shape {
        Shape::Map { .. } => shape.to_string(),
        Shape::Flat(features) => format!("a vector of {features}"),
    }
}

/// The number of elements of a tensor, if it can be compiled.
pub(super) fn product(sizes: &[u64]) -> Option<u64> {
    let product = sizes
        .iter()
        .try_fold(1u64, |product, size| product.checked_mul(*size))?;
    (product <= limits::ELEMENTS).then_some(product)
}
