//! The five linear maps of F(4x4, 3x3), on 16 channels at a time.
//!
//! With the points 0, ±a, ±b, ∞, where `a = 1/√2` and `b = √2` (so `ab = 1`, `a² = 1/2`, `b² = 2`),
//! the matrices of Lavin & Gray 2016 (section 4.3, there for 0, ±1, ±2, ∞) become
//!
//! ```text
//!       [ 1    0  -5/2   0   1  0 ]          [   1     0     0  ]         [ 1  1    1    1   1   0 ]
//!       [ 0  -2a   -2    a   1  0 ]          [ -2/3  -2a/3 -1/3 ]         [ 0  a   -a    b  -b   0 ]
//! B^T = [ 0   2a   -2   -a   1  0 ]      G = [ -2/3   2a/3 -1/3 ]   A^T = [ 0 1/2  1/2   2   2   0 ]
//!       [ 0 -b/2  -1/2   b   1  0 ]          [  1/6   b/6   1/3 ]         [ 0 a/2 -a/2  2b -2b   1 ]
//!       [ 0  b/2  -1/2  -b   1  0 ]          [  1/6  -b/6   1/3 ]
//!       [ 0    1    0  -5/2  0  1 ]          [   0     0     1  ]
//! ```
//!
//! Rows are points: row `p` of `B^T` holds the coefficients of the product of `x - q` over the
//! other points `q`, row `p` of `G` the powers of `p` over the value of that product at `p`, column
//! `p` of `A^T` the powers of `p`. These are the maps of `f64` and of the kernels; those of maps
//! in `f32` are in `vectors`.

use crate::real::CpuReal;
use std::array::from_fn;
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

/// Channels that go through a map together: one AVX-512 vector of `f32`.
pub(super) const LANES: usize = 16;

/// One value per channel.
pub(super) type Lanes<E> = [E; LANES];

/// A square of `N x N` pixels or points.
pub(super) type Square<E, const N: usize> = [[Lanes<E>; N]; N];

/// A square of zeros.
#[inline(always)]
pub(super) fn zeros<E: CpuReal, const N: usize>() -> Square<E, N> {
    [[[E::zero(); LANES]; N]; N]
}

/// `to = T from T^T`, where `map` multiplies a vector by `T`: first the columns, then the rows.
#[inline(always)]
fn both_ways<E: CpuReal, const M: usize, const N: usize>(
    from: &Square<E, M>,
    to: &mut Square<E, N>,
    map: impl Fn([E; M]) -> [E; N],
) {
    let mut half = [[[E::zero(); LANES]; M]; N];
    for column in 0..M {
        for lane in 0..LANES {
            let mapped = map(from_fn(|row| from[row][column][lane]));
            for row in 0..N {
                half[row][column][lane] = mapped[row];
            }
        }
    }
    for (half, to) in half.iter().zip(to) {
        for lane in 0..LANES {
            let mapped = map(from_fn(|column| half[column][lane]));
            for column in 0..N {
                to[column][lane] = mapped[column];
            }
        }
    }
}

/// `B^T d B`: an input tile of 6 x 6 pixels to the 36 points. 16 additions and 8 multiplications
/// (of each lane) for each of the 12 vectors.
#[inline(always)]
pub(super) fn input<E: CpuReal>(tile: &Square<E, 6>, points: &mut Square<E, 6>) {
    let (a, b) = (E::of(FRAC_1_SQRT_2), E::of(SQRT_2));
    let (half, two, more) = (E::of(0.5), E::of(2.0), E::of(2.5));
    both_ways(
        tile,
        points,
        #[inline(always)]
        |d| {
            let (even_a, odd_a) = (d[4] - two * d[2], a * (d[3] - two * d[1]));
            let (even_b, odd_b) = (d[4] - half * d[2], b * (d[3] - half * d[1]));
            [
                d[0] - more * d[2] + d[4],
                even_a + odd_a,
                even_a - odd_a,
                even_b + odd_b,
                even_b - odd_b,
                d[1] - more * d[3] + d[5],
            ]
        },
    );
}

/// `A^T m A`: the 36 points to an output tile of 4 x 4 pixels.
#[inline(always)]
pub(super) fn output<E: CpuReal>(points: &Square<E, 6>, tile: &mut Square<E, 4>) {
    let (a, b) = (E::of(FRAC_1_SQRT_2), E::of(SQRT_2));
    let (half, two) = (E::of(0.5), E::of(2.0));
    both_ways(
        points,
        tile,
        #[inline(always)]
        |m| {
            let (even_a, odd_a) = (m[1] + m[2], a * (m[1] - m[2]));
            let (even_b, odd_b) = (m[3] + m[4], b * (m[3] - m[4]));
            [
                m[0] + even_a + even_b,
                odd_a + odd_b,
                half * even_a + two * even_b,
                half * odd_a + two * odd_b + m[5],
            ]
        },
    );
}

/// `A d A^T`: a tile of 4 x 4 output gradients to the 36 points, the transpose of [`output`].
#[inline(always)]
pub(super) fn output_gradient<E: CpuReal>(tile: &Square<E, 4>, points: &mut Square<E, 6>) {
    let (a, b) = (E::of(FRAC_1_SQRT_2), E::of(SQRT_2));
    let (half, two) = (E::of(0.5), E::of(2.0));
    both_ways(
        tile,
        points,
        #[inline(always)]
        |d| {
            let (even_a, odd_a) = (d[0] + half * d[2], a * (d[1] + half * d[3]));
            let (even_b, odd_b) = (d[0] + two * d[2], b * (d[1] + two * d[3]));
            [
                d[0],
                even_a + odd_a,
                even_a - odd_a,
                even_b + odd_b,
                even_b - odd_b,
                d[3],
            ]
        },
    );
}

/// `G g G^T`: a kernel of 3 x 3 taps to the 36 points.
#[inline(always)]
pub(super) fn kernel<E: CpuReal>(taps: &Square<E, 3>, points: &mut Square<E, 6>) {
    let (a, b) = (E::of(FRAC_1_SQRT_2), E::of(SQRT_2));
    let (by_a, by_b) = (E::of(-2.0 / 3.0), E::of(1.0 / 6.0));
    let (half, two) = (E::of(0.5), E::of(2.0));
    both_ways(
        taps,
        points,
        #[inline(always)]
        |g| {
            let (even_a, odd_a) = (g[0] + half * g[2], a * g[1]);
            let (even_b, odd_b) = (g[0] + two * g[2], b * g[1]);
            [
                g[0],
                by_a * (even_a + odd_a),
                by_a * (even_a - odd_a),
                by_b * (even_b + odd_b),
                by_b * (even_b - odd_b),
                g[2],
            ]
        },
    );
}

/// `G^T m G`: gradients of the 36 points to those of the 3 x 3 taps, the transpose of [`kernel`].
#[inline(always)]
pub(super) fn kernel_gradient<E: CpuReal>(points: &Square<E, 6>, taps: &mut Square<E, 3>) {
    let (a, b) = (E::of(FRAC_1_SQRT_2), E::of(SQRT_2));
    let (by_a, by_b) = (E::of(-2.0 / 3.0), E::of(1.0 / 6.0));
    let (half, two) = (E::of(0.5), E::of(2.0));
    both_ways(
        points,
        taps,
        #[inline(always)]
        |m| {
            let (even_a, odd_a) = (by_a * (m[1] + m[2]), by_a * (m[1] - m[2]));
            let (even_b, odd_b) = (by_b * (m[3] + m[4]), by_b * (m[3] - m[4]));
            [
                m[0] + even_a + even_b,
                a * odd_a + b * odd_b,
                half * even_a + two * even_b + m[5],
            ]
        },
    );
}
