//! The backward pass of a pointwise convolution and of the norm after it, fused, a block of rows at a time.
//!
//! The gradient between both, `dz`, is made in the cache, used for the gradients of bias, kernel and
//! input, and forgotten; so is the convolution's input where it is the output of another norm that
//! was not kept. Unfused, each of these would be a separate pass over memory (or two).

use super::fused::{Operand, Pieces};
use super::gemm::Mat;
use super::gemm::{Packed, Start, add_transposed, product};
use super::kernel::{CpuKernel, CpuKernelGradient};
use super::{CpuBuf, elementwise, linear, par, tail};
use crate::real::CpuReal;
use ksdsl_engine::exec::{JoinedConv, JoinedGradients, MapGradient, NormBackward};
use ksdsl_engine::size::LinearSize;

/// Rows of a piece: few enough for the L2 cache to hold their values in all maps, many enough for
/// the products.
const PIECE: usize = 128;
/// Parts whose gradients of the kernel are added.
const PARTS: usize = 8;

/// Whether there are so many rows that kernel gradients of some parts are little beside the maps.
pub(super) fn pays(size: &LinearSize) -> bool {
    size.rows >= 4 * size.inputs.max(size.outputs) && size.rows >= PARTS * PIECE
}

/// Rows of a piece, for pieces of `dz` and of `x` that are multiples of so many rows.
pub(super) fn piece([a, b]: [usize; 2]) -> usize {
    // Both are small, and nearly always powers of two.
    PIECE.next_multiple_of(if a.is_multiple_of(b) {
        a
    } else if b.is_multiple_of(a) {
        b
    } else {
        a * b
    })
}

/// Rows of a part: whole pieces.
pub(super) fn part(rows: usize, piece: usize) -> usize {
    rows.div_ceil(PARTS).max(1).next_multiple_of(piece)
}

/// The lengths of what all parts have in common.
pub(super) struct Common {
    /// The gradient with respect to the input, unless it is written over that of the output.
    pub(super) dx: usize,
    /// Sums of the bias, in `f64`.
    pub(super) bias: usize,
    /// Sums for the norm before, in `f64`.
    pub(super) sums: usize,
}

/// For these sizes; `has_sums`: those for the norm before are gathered.
pub(super) fn common(size: &LinearSize, has_sums: bool) -> Common {
    Common {
        dx: if size.inputs == size.outputs {
            0
        } else {
            size.rows * size.inputs
        },
        bias: PARTS * size.outputs,
        sums: if has_sums { PARTS * 2 * size.inputs } else { 0 },
    }
}

/// The lengths of what a part of at least `piece` rows has for itself: `dz`, `x` and, for a norm before, its input.
pub(super) fn of_part(size: &LinearSize, piece: usize, has_sums: bool) -> [usize; 3] {
    let of_norm = if has_sums { piece * size.inputs } else { 0 };
    [piece * size.outputs, piece * size.inputs, of_norm]
}

/// The gradient with respect to the input, with the sums that the norm whose output the input is, if
/// it is one, needs of it; adds the gradients of all parameters.
pub(super) fn backward<E: CpuReal>(
    size: LinearSize,
    norm: NormBackward<'_, CpuBuf<E>>,
    conv: JoinedConv<'_, CpuBuf<E>, CpuKernel<E>>,
    mut dy: CpuBuf<E>,
    gradients: JoinedGradients<'_, CpuBuf<E>, CpuKernelGradient<E>>,
) -> MapGradient<CpuBuf<E>> {
    let (backward, [average, slope]) = tail::coefficients(&norm, &dy, gradients.scale, gradients.shift);
    let same = size.inputs == size.outputs;
    let pieces = Pieces::new(backward, &average, &slope);
    let x = Operand::new(&conv.x);
    // Sums of the gradient are of all of it, or of no use.
    let has_sums = x.norm().is_some() && conv.others.is_none();
    let common = common(&size, has_sums);
    let mut dx = CpuBuf::scratch(common.dx);
    let mut bias = CpuBuf::zeros(common.bias);
    let mut sums = CpuBuf::zeros(common.sums);
    let joined = Joined {
        size,
        pieces,
        x,
        sums: has_sums.then(|| par::Start(sums.as_mut_ptr())),
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
    let mut values = if same { dy } else { dx };
    if let Some(others) = &conv.others {
        elementwise::add_assign(&mut values, others);
    }
    let sums = has_sums.then(|| {
        [0, 1].map(|which| {
            let mut total = CpuBuf::zeros(size.inputs);
            for part in sums.chunks_exact(2 * size.inputs) {
                let part = &part[which * size.inputs..][..size.inputs];
                total.iter_mut().zip(part).for_each(|(sum, &more)| *sum += more);
            }
            narrow(&total)
        })
    });
    MapGradient { values, sums }
}

fn narrow<E: CpuReal>(wide: &[f64]) -> CpuBuf<E> {
    let mut values = CpuBuf::scratch(wide.len());
    values
        .iter_mut()
        .zip(wide)
        .for_each(|(value, &wide)| *value = E::of(wide));
    values
}

/// What the parts have in common.
struct Joined<'a, E: CpuReal> {
    size: LinearSize,
    pieces: Pieces<'a, E>,
    x: Operand<'a, E>,
    kernel: &'a Packed<E>,
    dy: par::Start<E>,
    /// May be `dy`: its rows are read before they are written.
    dx: par::Start<E>,
    /// Of each part.
    bias: par::Start<f64>,
    /// Of each part, for the norm whose output the input is.
    sums: Option<par::Start<f64>>,
}

impl<E: CpuReal> Joined<'_, E> {
    fn piece(&self) -> usize {
        piece([self.pieces.multiple(), self.x.multiple()])
    }

    /// Rows of a part: whole pieces.
    fn part(&self) -> usize {
        part(self.size.rows, self.piece())
    }

    /// The rows of part `index`, whose gradient of the kernel is added to `weight`.
    fn part_rows(&self, index: usize, rows: std::ops::Range<usize>, weight: &mut [E]) {
        let LinearSize { inputs, outputs, .. } = self.size;
        let piece = self.piece().min(rows.len());
        let norm = self.x.norm().filter(|_| self.sums.is_some());
        let [mut dz, mut x, mut g] = of_part(&self.size, piece, norm.is_some()).map(CpuBuf::scratch);
        let mut wide = CpuBuf::zeros(self.pieces.width());
        let mut sums = CpuBuf::zeros(norm.map_or(0, |norm| 2 * norm.width()));
        for first in rows.clone().step_by(piece.max(1)) {
            let count = piece.min(rows.end - first);
            let (dz, x) = (&mut dz[..count * outputs], &mut x[..count * inputs]);
            // SAFETY: rows of this part, which no other task has, inside the map. Not used any more
            // when `dx`, which may be the same, is.
            let dy = unsafe { std::slice::from_raw_parts_mut(self.dy.at(first * outputs), count * outputs) };
            self.pieces.rows(first, dy, dz, &mut wide);
            let dz = Mat::new(dz, count, outputs, outputs);
            let x = match norm {
                Some(norm) => {
                    norm.write(first * inputs, x, &mut g[..count * inputs]);
                    x
                }
                None => self.x.piece(first * inputs, x),
            };
            let x = Mat::new(x, count, inputs, inputs);
            add_transposed(weight, inputs, dz, x);
            // SAFETY: as above.
            let dx = unsafe { std::slice::from_raw_parts_mut(self.dx.at(first * inputs), count * inputs) };
            product(dx, inputs, Start::Zero, dz, self.kernel);
            if let Some(norm) = norm {
                norm.add_sums(dx, &g[..count * inputs], &mut sums);
            }
        }
        // SAFETY: each part has sums of its own.
        let bias = unsafe { std::slice::from_raw_parts_mut(self.bias.at(index * outputs), outputs) };
        self.pieces.fold(&wide, bias);
        if let (Some(norm), Some(start)) = (norm, &self.sums) {
            // SAFETY: as above.
            let part = unsafe { std::slice::from_raw_parts_mut(start.at(index * 2 * inputs), 2 * inputs) };
            let (dy, product) = part.split_at_mut(inputs);
            norm.fold(&sums[..norm.width()], dy);
            norm.fold(&sums[norm.width()..], product);
        }
    }
}
