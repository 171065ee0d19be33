//! Storage of the 36 points: one matrix per point.

use super::super::CpuBuf;
use crate::real::CpuReal;

/// Points of a tile: the 6 points of one axis times those of the other.
pub(super) const POINTS: usize = 36;

/// Elements between the matrices of two points, each of `len` elements: one cache line more than
/// needed, since distances that are multiples of 4 KB would map all 36 to the same cache sets.
pub(super) fn stride(len: usize) -> usize {
    len + 16
}

/// Elements of 36 matrices of `len` elements.
pub(super) fn room(len: usize) -> usize {
    POINTS * stride(len)
}

/// 36 matrices of `len` elements with unspecified values.
pub(super) fn scratch<E: CpuReal>(len: usize) -> CpuBuf<E> {
    CpuBuf::scratch(room(len))
}

/// Cuts each matrix into pieces of `piece` elements: `result[i][p]` is piece `i` of point `p`.
/// Tasks that write some rows of every matrix get one entry each.
pub(super) fn pieces<E>(points: &mut [E], len: usize, piece: usize) -> Vec<Vec<&mut [E]>> {
    let mut pieces: Vec<_> = (0..len.div_ceil(piece)).map(|_| Vec::with_capacity(POINTS)).collect();
    for point in points.chunks_exact_mut(stride(len)) {
        let cut = point[..len].chunks_mut(piece);
        for (pieces, cut) in pieces.iter_mut().zip(cut) {
            pieces.push(cut);
        }
    }
    pieces
}
