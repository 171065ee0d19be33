//! Inference in slices of the batch.
//!
//! If the activations of a batch exceed the caches, every layer is bound by memory. So a batch runs through
//! the whole network in slices that about fit into the L2 caches, a part for each thread.
//!
//! Slice size varies with the number of threads but results must not, so slices are built from fixed-size
//! micro-batches (units): all choices within a unit depend on its size alone (see
//! [`ConvSize::unit`](ksdsl_engine::size::ConvSize::unit)).

use super::{scoped, threads};
use ksdsl_engine::size::Slices;
use std::cell::Cell;

/// Bytes of the largest activation of a unit: twice the L2 cache of a core (measured, see
/// docs/benchmarks.md).
const UNIT: usize = 2 << 20;

thread_local! {
    static BYTES: Cell<usize> = const { Cell::new(UNIT) };
}

/// Runs `f` with another micro-batch size: inference on this thread splits batches into units of images whose
/// largest activation has about this many bytes, and processes as many units at a time as there are threads.
/// The default, 2 MB, suits cores with 1 MB of L2 cache; `usize::MAX` disables slicing.
pub fn with_unit_bytes<R>(bytes: usize, f: impl FnOnce() -> R) -> R {
    scoped::with_value(&BYTES, bytes, f)
}

/// The slices of a batch, if it is larger than a unit; `largest` is in bytes and of one image.
pub(super) fn slices(images: usize, largest: usize) -> Option<Slices> {
    on_threads(threads::threads(), images, largest)
}

/// The same on so many threads.
pub(super) fn on_threads(threads: usize, images: usize, largest: usize) -> Option<Slices> {
    let unit = (BYTES.get() / largest.max(1)).max(1);
    if images <= unit {
        return None;
    }
    // Slices of one length, but for the last.
    let units = images.div_ceil(unit);
    let of_slice = units.div_ceil(units.div_ceil(threads));
    Some(Slices {
        unit,
        images: of_slice * unit,
    })
}

#[cfg(test)]
mod tests {
    use super::{UNIT, slices, with_unit_bytes};
    use crate::with_threads;
    use ksdsl_engine::size::Slices;
    use std::num::NonZeroUsize;

    fn on(threads: usize, images: usize, largest: usize) -> Option<(usize, usize)> {
        let threads = NonZeroUsize::new(threads).expect("not zero");
        let slices = with_threads(threads, || slices(images, largest));
        slices.map(|Slices { unit, images }| (unit, images))
    }

    #[test]
    fn units_follow_from_sizes_alone_and_slices_from_threads() {
        let image = UNIT / 4;
        assert_eq!(on(1, 4, image), None);
        assert_eq!(on(1, 5, image), Some((4, 4)));
        assert_eq!(on(2, 16, image), Some((4, 8)));
        assert_eq!(on(3, 16, image), Some((4, 8)));
        assert_eq!(on(3, 17, image), Some((4, 12)));
        assert_eq!(on(64, 17, image), Some((4, 20)));
        assert_eq!(on(1, 3, 5 * UNIT), Some((1, 1)));
        assert_eq!(on(1, 1, 5 * UNIT), None);
        assert_eq!(on(1, 0, image), None);
        assert_eq!(on(1, 1 << 20, 0), None);
        with_unit_bytes(image, || assert_eq!(on(1, 3, image), Some((1, 1))));
        with_unit_bytes(usize::MAX, || assert_eq!(on(1, 1 << 20, image), None));
    }
}
