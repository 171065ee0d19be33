//! The passes between convolutions: activation, batch normalisation, residual and activation as
//! one operation that keeps only the convolution's output `z`.
//!
//! With `g = before(z)`, and `factor` and `offset` per channel from the statistics of `g`:
//! `y = after(factor * g + offset + residual)`. Each pass reads and writes every map once, in
//! vectors of any level; activations are computed for some kilobytes at a time, which stay in the
//! L1 cache until they are used.

mod affine;
mod columns;
#[cfg(test)]
mod extremes;
mod formulas;
pub(super) mod function;
mod gate;
mod gradient;
mod moments;
mod recompute;
#[cfg(test)]
mod tests;
mod vector;

pub(super) use affine::{Affine, apply, apply_in_place, factor_and_offset, recall};
pub(super) use columns::Columns;
pub(super) use gate::{column_sums, gate, gate_gradient, gates_len, image_sums, sums_scratch};
pub(super) use gradient::{Backward, Pieces, Sums, gradient_tasks, reduce_part};
pub(super) use moments::{Moments, statistics};
pub(super) use recompute::Operand;
