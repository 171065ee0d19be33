//! Large products by Strassen's algorithm in Winograd's form, one level deep: seven products of half
//! the size instead of eight, for fifteen sums of quarters of the factors and of the product.
//!
//! The four sums of the right factor are made when it is packed. With the quarters numbered as usual:
//!
//! ```text
//! S1 = A21 + A22   S2 = S1 - A11    S3 = A11 - A21   S4 = A12 - S2
//! T1 = B12 - B11   T2 = B22 - T1    T3 = B22 - B12   T4 = T2 - B21
//! U2 = A11 B11 + S2 T2   U3 = U2 + S3 T3   V = S1 T1
//! C11 = A11 B11 + A12 B21   C12 = U2 + V + S4 B22
//! C21 = U3 - A22 T4         C22 = U3 + V
//! ```

use super::super::simd::{Lanes, Operation};
use super::panels::{Aligned, Shape};
use super::tile::{Init, Product, Rows, Terms};

/// Least rows, depth and columns for which the products outweigh the sums (measured, see
/// docs/benchmarks.md).
const LEAST: [usize; 3] = [96, 256, 256];

/// A right factor in quarters, with their sums, each packed.
#[derive(Debug)]
pub(super) struct Quarters {
    /// Of one of them.
    shape: Shape,
    /// B11, B21, B22, -T4, T1, T2 and T3, one after the other.
    packed: Aligned,
}

/// The parts of [`Quarters`].
#[derive(Clone, Copy)]
enum Part {
    B11,
    B21,
    B22,
    MinusT4,
    T1,
    T2,
    T3,
}

impl Quarters {
    /// Packs a matrix of this shape whose element `(i, j)` lies at `i * row_stride + j * col_stride`,
    /// if it is large enough.
    pub(super) fn new(whole: Shape, values: &[f32], [row_stride, col_stride]: [usize; 2]) -> Option<Self> {
        let shape = Shape {
            rows: whole.rows / 2,
            cols: whole.cols / 2,
            ..whole
        };
        let fits = whole.rows.is_multiple_of(2 * 16) && whole.cols.is_multiple_of(2 * 64);
        if !fits || whole.rows < LEAST[1] || whole.cols < LEAST[2] {
            return None;
        }
        let (rows, cols) = (shape.rows, shape.cols);
        let mut dense = vec![0.0; whole.rows * whole.cols];
        for (row, to) in dense.chunks_exact_mut(whole.cols).enumerate() {
            let from = values[row * row_stride..].iter().step_by(col_stride);
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
        }
        let (upper, lower) = dense.split_at(rows * whole.cols);
        let mut packed = Aligned::scratch(7 * shape.len());
        let mut part = vec![0.0; rows * cols];
        for (which, packed) in packed.chunks_exact_mut(shape.len()).enumerate() {
            let pairs = upper.chunks_exact(whole.cols).zip(lower.chunks_exact(whole.cols));
            for (to, (upper, lower)) in part.chunks_exact_mut(cols).zip(pairs) {
                let ((b11, b12), (b21, b22)) = (upper.split_at(cols), lower.split_at(cols));
                for (j, to) in to.iter_mut().enumerate() {
                    let t1 = b12[j] - b11[j];
                    let t2 = b22[j] - t1;
                    *to = match which {
                        0 => b11[j],
                        1 => b21[j],
                        2 => b22[j],
                        3 => b21[j] - t2,
                        4 => t1,
                        5 => t2,
                        _ => b22[j] - b12[j],
                    };
                }
            }
            shape.pack(&part, [cols, 1], packed);
        }
        Some(Self { shape, packed })
    }

    /// `c = a b`, and `bias` if there is one, for at least as many rows as pay; returns how many
    /// rows that were: an even number.
    ///
    /// # Safety
    /// `a` and `c` must be good for `rows` rows of the whole depth and of all columns, so far apart,
    /// and `bias` for a value per column.
    pub(super) unsafe fn product(
        &self,
        rows: usize,
        [a, bias]: [*const f32; 2],
        a_stride: usize,
        c: *mut f32,
        c_stride: usize,
    ) -> usize {
        if rows < LEAST[0] {
            return 0;
        }
        let half = rows / 2;
        let (depth, cols, level) = (self.shape.rows, self.shape.cols, self.shape.level);
        let mut sums = Aligned::scratch(half * (4 * depth + 2 * cols));
        let start = sums.as_mut_ptr();
        let s = [0, 1, 2, 3].map(|index| start.wrapping_add(index * half * depth));
        let u = start.wrapping_add(4 * half * depth);
        let v = u.wrapping_add(half * cols);
        let (a12, a21) = (a.wrapping_add(depth), a.wrapping_add(half * a_stride));
        let a22 = a21.wrapping_add(depth);
        let (c12, c21) = (c.wrapping_add(cols), c.wrapping_add(half * c_stride));
        let c22 = c21.wrapping_add(cols);
        let right = bias.wrapping_add(if bias.is_null() { 0 } else { cols });
        let sum = if bias.is_null() {
            Init::Sum
        } else {
            Init::SumAndBias(bias)
        };
        level.run(LeftSums {
            a: [a, a12, a21, a22],
            stride: a_stride,
            rows: half,
            depth,
            s,
        });
        let multiply = |a: *const f32, a_stride: usize, part: Part, c: *mut f32, c_stride: usize, init: Init| {
            level.run(Product {
                rows: half,
                a,
                a_rows: Rows::Strided(a_stride),
                terms: Terms::contiguous(depth),
                b: self
                    .shape
                    .columns(self.packed[part as usize * self.shape.len()..].as_ptr()),
                c,
                c_rows: Rows::Strided(c_stride),
                init,
            });
        };
        multiply(a, a_stride, Part::B11, c, c_stride, Init::Zero);
        multiply(s[1], depth, Part::T2, u, cols, Init::Other(c, c_stride));
        multiply(a12, a_stride, Part::B21, c, c_stride, sum);
        multiply(s[2], depth, Part::T3, c21, c_stride, Init::Other(u, cols));
        multiply(s[0], depth, Part::T1, v, cols, Init::Zero);
        level.run(RightSums {
            u3: c21,
            stride: c_stride,
            rows: half,
            cols,
            u,
            v,
            bias: right,
            c: [c12, c22],
        });
        multiply(s[3], depth, Part::B22, c12, c_stride, Init::Sum);
        multiply(a22, a_stride, Part::MinusT4, c21, c_stride, sum);
        drop(sums);
        2 * half
    }
}

/// Makes the sums of quarters of the left factor.
struct LeftSums {
    a: [*const f32; 4],
    stride: usize,
    rows: usize,
    /// A multiple of the lanes.
    depth: usize,
    s: [*mut f32; 4],
}

impl Operation for LeftSums {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        for row in 0..self.rows {
            for at in (0..self.depth).step_by(V::LANES) {
                let a = self.a.map(|a| a.wrapping_add(row * self.stride + at));
                let s = self.s.map(|s| s.wrapping_add(row * self.depth + at));
                // SAFETY: below `Level::run`; inside the quarters and the scratch for the sums.
                unsafe {
                    let a11 = V::load(a[0]);
                    let a21 = V::load(a[2]);
                    let s1 = a21.add(V::load(a[3]));
                    let s2 = s1.sub(a11);
                    s1.store(s[0]);
                    s2.store(s[1]);
                    a11.sub(a21).store(s[2]);
                    V::load(a[1]).sub(s2).store(s[3]);
                }
            }
        }
    }
}

/// Makes C22, and C12 without its last term.
struct RightSums {
    u3: *const f32,
    /// Of `u3` and of `c`.
    stride: usize,
    rows: usize,
    /// A multiple of the lanes.
    cols: usize,
    u: *const f32,
    v: *const f32,
    /// Null if there is none.
    bias: *const f32,
    c: [*mut f32; 2],
}

impl Operation for RightSums {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        for row in 0..self.rows {
            for at in (0..self.cols).step_by(V::LANES) {
                let [there, here] = [self.stride, self.cols].map(|stride| row * stride + at);
                // SAFETY: below `Level::run`; inside the quarters, the scratch and the bias.
                unsafe {
                    let mut v = V::load(self.v.wrapping_add(here));
                    if !self.bias.is_null() {
                        v = v.add(V::load(self.bias.wrapping_add(at)));
                    }
                    let u = V::load(self.u.wrapping_add(here));
                    let u3 = V::load(self.u3.wrapping_add(there));
                    u.add(v).store(self.c[0].wrapping_add(there));
                    u3.add(v).store(self.c[1].wrapping_add(there));
                }
            }
        }
    }
}
