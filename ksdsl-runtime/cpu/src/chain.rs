//! A depthwise convolution fused with the pointwise convolution after it, in inference, a band of rows at a time.
//!
//! The map between both is made in the cache, used there and forgotten: one by one, it would be written
//! to and read from memory (or the caches that the cores share).

use super::conv_method::{ConvMethod, method};
use super::finish::Finish;
use super::fused::Affine;
use super::par::Start;
use super::{CpuBuf, CpuKernel, depthwise, linear, tail};
use crate::real::CpuReal;
use ksdsl_engine::exec::ConvLink;
use ksdsl_engine::size::{ConvSize, LinearSize};
use std::any::TypeId;

/// Least bands of a batch, so that many threads have something to do; of a unit of a slice, which has as
/// many of them as there are threads; and pixels of each band, for the products.
const LEAST_OF_BATCH: usize = 4;
const LEAST_OF_UNIT: usize = 2;
const LEAST_PIXELS: usize = 128;

/// The second as a linear layer, if both can be fused.
pub(super) fn links<E: CpuReal>(first: &ConvSize, second: &ConvSize) -> Option<LinearSize> {
    match (method::<E>(first), method::<E>(second)) {
        (ConvMethod::Depthwise, ConvMethod::Pointwise(linear)) if TypeId::of::<E>() == TypeId::of::<f32>() => {
            Some(linear)
        }
        _ => None,
    }
}

/// Whether fusing is faster than running one convolution after the other.
pub(super) fn pays<E: CpuReal>(first: &ConvSize, second: &ConvSize) -> bool {
    let least = if first.unit.is_some() {
        LEAST_OF_UNIT
    } else {
        LEAST_OF_BATCH
    };
    let [tasks, pixels] = depthwise::tasks(&first.for_rules());
    links::<E>(first, second).is_some() && tasks >= least && pixels >= LEAST_PIXELS
}

/// The output of `second`, which is this linear layer over the pixels: both are [`links`].
pub(super) fn forward<E: CpuReal>(
    linear: LinearSize,
    x: &CpuBuf<E>,
    first: ConvLink<'_, CpuBuf<E>, CpuKernel<E>>,
    second: ConvLink<'_, CpuBuf<E>, CpuKernel<E>>,
) -> CpuBuf<E> {
    let product = linear::Forward::new(linear, second.kernel, second.bias);
    let mut y = CpuBuf::scratch(second.size.output.len());
    let link = Link {
        before: tail::finish(first.size.output.channels, first.tail),
        after: tail::finish(linear.outputs, second.tail),
        product,
        y: Start(y.as_mut_ptr()),
        rows: linear.rows,
    };
    depthwise::forward_through(&first.size, x, first.kernel, first.bias, &link);
    y
}

/// What becomes of the pieces of the first convolution's output.
struct Link<'a, E: CpuReal> {
    before: Option<Affine<'a, E>>,
    product: linear::Forward<'a, E>,
    after: Option<Affine<'a, E>>,
    /// Of `rows` rows.
    y: Start<E>,
    rows: usize,
}

impl<E: CpuReal> Finish<E> for Link<'_, E> {
    fn finish(&self, first: usize, pixels: &mut [E]) {
        if let Some(before) = &self.before {
            before.finish(first, pixels);
        }
        let LinearSize { inputs, outputs, .. } = self.product.size();
        let rows = pixels.len() / inputs;
        assert!(first + rows <= self.rows, "pixels beyond the map");
        // SAFETY: inside the output, and of these pixels, which no other task has.
        let y = unsafe { std::slice::from_raw_parts_mut(self.y.at(first * outputs), rows * outputs) };
        let piece = linear::MOST_ROWS;
        for (index, (x, y)) in pixels
            .chunks(piece * inputs)
            .zip(y.chunks_mut(piece * outputs))
            .enumerate()
        {
            let after = self.after.as_ref().map(|after| after as &dyn Finish<E>);
            self.product.rows(first + index * piece, x, y, after);
        }
    }
}
