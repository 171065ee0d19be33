//! The backward pass of a pointwise convolution and of the norm behind it, a piece of rows at a time.
//!
//! The gradient between both, `dz`, is made in the cache, used for the gradients of bias, kernel and
//! input, and forgotten; so is the convolution's input where it is the output of another norm that
//! was not kept. One by one, each of these would be a pass over memory (or two) of its own.

use super::fused::{Again, Backward, Pieces};
use super::gemm::{Packed, Start, add_transposed, product};
use super::kernel::{CpuKernel, CpuKernelGradient};
use super::matmul::Mat;
use super::{CpuBuf, elementwise, linear, par};
use crate::backend::{JoinedConv, JoinedGradients, NormBackward};
use crate::geometry::LinearSize;
use crate::scalar::Scalar;

/// Rows of a piece: few enough for the L2 cache to hold their values in all maps, many enough for
/// the products.
const PIECE: usize = 128;
/// Parts whose gradients of the kernel are added.
const PARTS: usize = 8;

/// Whether there are so many rows that kernel gradients of some parts are little beside the maps.
pub(super) fn pays(size: &LinearSize) -> bool {
    size.rows >= 4 * size.inputs.max(size.outputs) && size.rows >= PARTS * PIECE
}

/// The gradient with respect to the input; adds those of all parameters.
pub(super) fn backward<E: Scalar>(
    size: LinearSize,
    norm: NormBackward<'_, CpuBuf<E>>,
    conv: JoinedConv<'_, CpuBuf<E>, CpuKernel<E>>,
    mut dy: CpuBuf<E>,
    gradients: JoinedGradients<'_, CpuBuf<E>, CpuKernelGradient<E>>,
) -> CpuBuf<E> {
    let backward = Backward {
        size: norm.size,
        tail: norm.tail,
        z: norm.input,
        mean: norm.mean,
        factor: norm.factor,
        offset: norm.offset,
        residual: None,
        y: norm.output.map(|y| &y[..]),
    };
    let sums = backward.reduce(&dy);
    let (average, slope) =
        sums.into_coefficients(norm.size.rows, norm.variance, norm.eps, gradients.scale, gradients.shift);
    let same = size.inputs == size.outputs;
    let mut dx = CpuBuf::scratch(if same { 0 } else { size.rows * size.inputs });
    let pieces = Pieces::new(backward, &average, &slope);
    let mut bias = CpuBuf::zeros(PARTS * size.outputs);
    let joined = Joined {
        size,
        pieces,
        x: Again::new(&conv.x),
        kernel: &linear::backward_form(size, conv.kernel)[0],
        dy: par::Start(dy.as_mut_ptr()),
        dx: par::Start(if same { dy.as_mut_ptr() } else { dx.as_mut_ptr() }),
        bias: par::Start(bias.as_mut_ptr()),
    };
    let part = joined.part();
    let weight = par::sum_parts(size.rows, part, size.inputs * size.outputs, |rows, sums: &mut [E]| {
        joined.part_rows(rows.start / part, rows, sums);
    });
    elementwise::add_assign(gradients.weight.plain(), &weight);
    if let Some(dbias) = gradients.bias {
        for sums in bias.chunks_exact(size.outputs) {
            dbias.iter_mut().zip(sums).for_each(|(sum, &more)| *sum += E::of(more));
        }
    }
    let mut dx = if same { dy } else { dx };
    if let Some(others) = &conv.others {
        elementwise::add_assign(&mut dx, others);
    }
    dx
}

/// What the parts have in common.
struct Joined<'a, E: Scalar> {
    size: LinearSize,
    pieces: Pieces<'a, E>,
    x: Again<'a, E>,
    kernel: &'a Packed<E>,
    dy: par::Start<E>,
    /// May be `dy`: its rows are read before they are written.
    dx: par::Start<E>,
    /// Of each part.
    bias: par::Start<f64>,
}

impl<E: Scalar> Joined<'_, E> {
    fn piece(&self) -> usize {
        PIECE.next_multiple_of(self.pieces.multiple())
    }

    /// Rows of a part: whole pieces.
    fn part(&self) -> usize {
        self.size.rows.div_ceil(PARTS).next_multiple_of(self.piece())
    }

    /// The rows of part `index`, whose gradient of the kernel is added to `weight`.
    fn part_rows(&self, index: usize, rows: std::ops::Range<usize>, weight: &mut [E]) {
        let LinearSize { inputs, outputs, .. } = self.size;
        let piece = self.piece().min(rows.len());
        let mut dz = CpuBuf::scratch(piece * outputs);
        let mut x = CpuBuf::scratch(piece * inputs);
        let mut wide = CpuBuf::zeros(self.pieces.width());
        for first in rows.clone().step_by(piece) {
            let count = piece.min(rows.end - first);
            let (dz, x) = (&mut dz[..count * outputs], &mut x[..count * inputs]);
            // SAFETY: rows of this part, which no other task has, inside the map. Not used any more
            // when `dx`, which may be the same, is.
            let dy = unsafe { std::slice::from_raw_parts_mut(self.dy.at(first * outputs), count * outputs) };
            self.pieces.rows(first, dy, dz, &mut wide);
            let dz = Mat::new(dz, count, outputs, outputs);
            let x = Mat::new(self.x.piece(first * inputs, x), count, inputs, inputs);
            add_transposed(weight, inputs, dz, x);
            // SAFETY: as above.
            let dx = unsafe { std::slice::from_raw_parts_mut(self.dx.at(first * inputs), count * inputs) };
            product(dx, inputs, Start::Zero, dz, self.kernel);
        }
        // SAFETY: each part has sums of its own.
        let bias = unsafe { std::slice::from_raw_parts_mut(self.bias.at(index * outputs), outputs) };
        self.pieces.fold(&wide, bias);
    }
}
