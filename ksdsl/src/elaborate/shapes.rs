//! How large shapes may be.

use crate::limits;

/// The number of elements of a tensor, if it can be compiled.
pub(super) fn product(sizes: &[u64]) -> Option<u64> {
    let product = sizes
        .iter()
        .try_fold(1u64, |product, size| product.checked_mul(*size))?;
    (product <= limits::ELEMENTS).then_some(product)
}
