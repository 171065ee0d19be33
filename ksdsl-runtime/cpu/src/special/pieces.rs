//! GELU by pieces: sixteen polynomials, of which the argument chooses one.
//!
//! With AVX-512 a table of sixteen values is a register, and one instruction takes each lane's value out
//! of it, so that polynomials of a low degree do; the slope needs neither exponentials nor a division.
//!
//! `x Phi(x) = max(x, 0) - g(|x|)` with `g(t) = t Phi(-t)`, whose derivative is
//! `w(t) = Phi(-t) - t phi(t)`; the derivative of GELU is `w(|x|)` where `x <= 0` and `1 - w(|x|)`
//! elsewhere. Piece `n` is for `t` around `n WIDTH`; the last is zero. The coefficients, lowest degree
//! first, are those of Chebyshev's interpolation in 50 digits: of `g` (of `g(t) / t` in piece 0, so
//! that small values are exact relative to themselves), and of `w`, integrated.

use super::single::ROUND;
use crate::simd::Lanes;

/// Width of a piece: few bits, so that its multiples are exact.
const WIDTH: f32 = 0.406_25;
/// `g`, within 1.9e-8 before rounding; 1.1e-8 is truncated at the end.
#[rustfmt::skip]
const VALUE: [[f32; 16]; 6] = [
    [0.0, 1.3905102e-01, 1.6920508e-01, 1.3585353e-01, 8.4632084e-02, 4.2889476e-02, 1.802435e-02, 6.3395714e-03, 1.8753308e-03, 4.6787556e-04, 9.861738e-05, 1.7579765e-05, 2.6522534e-06, 3.3881818e-07, 3.666172e-08, 0.0],
    [5e-01, 1.930462e-01, -2.4761768e-02, -1.1988855e-01, -1.2104341e-01, -8.185952e-02, -4.2458784e-02, -1.7665993e-02, -6.0173804e-03, -1.6962909e-03, -3.9832143e-04, -7.823838e-05, -1.2891199e-05, -1.7853881e-06, -2.0815447e-07, 0.0],
    [-3.9894065e-01, -3.3702555e-01, -1.9212805e-01, -4.8854895e-02, 3.412221e-02, 5.388889e-02, 4.030804e-02, 2.1293622e-02, 8.687098e-03, 2.8359015e-03, 7.5424253e-04, 1.6515199e-04, 2.9971774e-05, 4.528688e-06, 5.715753e-07, 0.0],
    [-6.410656e-05, 9.53811e-02, 1.297028e-01, 9.6964285e-02, 3.9225154e-02, -2.1610782e-03, -1.6130978e-02, -1.3552102e-02, -7.212859e-03, -2.8483672e-03, -8.8066194e-04, -2.1869005e-04, -4.4250002e-05, -7.3620063e-06, -1.0132997e-06, 0.0],
    [6.737643e-02, 4.3643296e-02, -1.9946164e-03, -3.273335e-02, -3.312896e-02, -1.6640041e-02, -2.0736249e-03, 3.6542981e-03, 3.504265e-03, 1.8611415e-03, 7.0575665e-04, 2.0560021e-04, 4.754411e-05, 8.885342e-06, 1.3570287e-06, 0.0],
    [-5.0105792e-03, -1.9975945e-02, -2.1545503e-02, -7.4716816e-03, 5.7746083e-03, 8.828482e-03, 5.010266e-03, 9.457403e-04, -7.205306e-04, -7.520687e-04, -3.8472193e-04, -1.3636108e-04, -3.6579455e-05, -7.714244e-06, -1.3054992e-06, 0.0],
];
/// `g` from the interpolation of its derivative, which is within 8.5e-9 before rounding (6.7e-8 are truncated at
/// the end); `g` within 5.9e-9.
#[rustfmt::skip]
const INTEGRAL: [[f32; 16]; 8] = [
    [0.0, 1.3905104e-01, 1.6920507e-01, 1.3585351e-01, 8.463208e-02, 4.288948e-02, 1.8024355e-02, 6.339574e-03, 1.8753314e-03, 4.6787527e-04, 9.861708e-05, 1.757962e-05, 2.652206e-06, 3.388066e-07, 3.6659504e-08, 0.0],
    [5e-01, 1.9304618e-01, -2.4761774e-02, -1.1988855e-01, -1.2104341e-01, -8.185952e-02, -4.2458784e-02, -1.7665995e-02, -6.0173813e-03, -1.696291e-03, -3.9832137e-04, -7.8238336e-05, -1.2891178e-05, -1.7853819e-06, -2.0815311e-07, 0.0],
    [-3.989423e-01, -3.370304e-01, -1.9212468e-01, -4.884847e-02, 3.4125537e-02, 5.3888265e-02, 4.0306155e-02, 2.1292476e-02, 8.68686e-03, 2.8360265e-03, 7.543749e-04, 1.6521552e-04, 2.9992503e-05, 4.5337565e-06, 5.7254323e-07, 0.0],
    [2.0204965e-07, 9.538396e-02, 1.2970515e-01, 9.696405e-02, 3.9223567e-02, -2.1620581e-03, -1.613095e-02, -1.3551729e-02, -7.212632e-03, -2.8483227e-03, -8.8068406e-04, -2.1871134e-04, -4.4259268e-05, -7.364733e-06, -1.0138982e-06, 0.0],
    [6.64859e-02, 4.395689e-02, -2.2120464e-03, -3.3148687e-02, -3.334395e-02, -1.6599787e-02, -1.9518294e-03, 3.7282896e-03, 3.519671e-03, 1.8530791e-03, 6.9720164e-04, 2.0149382e-04, 4.6203866e-05, 8.557528e-06, 1.2944136e-06, 0.0],
    [5.061442e-05, -2.0160262e-02, -2.1697138e-02, -7.456651e-03, 5.8770315e-03, 8.89181e-03, 5.008442e-03, 9.215827e-04, -7.352161e-04, -7.5493945e-04, -3.8329608e-04, -1.3498534e-04, -3.5980494e-05, -7.5378803e-06, -1.2667641e-06, 0.0],
    [-1.0279637e-02, -5.066276e-03, 3.5120186e-03, 6.709615e-03, 3.4736448e-03, -6.498199e-04, -1.9675442e-03, -1.1955325e-03, -2.4904843e-04, 1.302018e-04, 1.382182e-04, 6.6356835e-05, 2.1660764e-05, 5.298818e-06, 1.0122685e-06, 0.0],
    [9.4760646e-04, 2.9770944e-03, 2.449461e-03, -2.4244766e-04, -1.6543389e-03, -1.0231447e-03, 2.925421e-05, 3.901957e-04, 2.3728481e-04, 4.642142e-05, -2.3021139e-05, -2.222694e-05, -9.679682e-06, -2.8508398e-06, -6.262738e-07, 0.0],
];

/// The piece of each `|x|`, in its lowest bits, and the distance from the middle of the piece.
#[inline(always)]
unsafe fn place<V: Lanes, const N: usize>(x: [V; N]) -> ([V; N], [V; N]) {
    // SAFETY: the caller vouches for the features, here and below.
    unsafe {
        let (mut piece, mut rest) = (x, x);
        for (piece, rest) in piece.iter_mut().zip(&mut rest) {
            // In this order a NaN stays one.
            let t = V::splat(15.0 * WIDTH).min(rest.abs());
            *piece = t.mul_add(V::splat(1.0 / WIDTH), V::splat(ROUND));
            *rest = piece.sub(V::splat(ROUND)).mul_add(V::splat(-WIDTH), t);
        }
        (piece, rest)
    }
}

/// `x Phi(x)` within 1e-7 of the greater of 1 and `|x|`; zero below -5.9.
#[inline(always)]
pub(super) unsafe fn gelu<V: Lanes, const N: usize>(x: [V; N]) -> [V; N] {
    // SAFETY: as above.
    unsafe {
        let (piece, rest) = place(x);
        let mut sums = piece;
        for (sum, piece) in sums.iter_mut().zip(&piece) {
            *sum = piece.entries(&VALUE[5]);
        }
        for degree in (0..5).rev() {
            for ((sum, piece), &rest) in sums.iter_mut().zip(&piece).zip(&rest) {
                *sum = sum.mul_add(rest, piece.entries(&VALUE[degree]));
            }
        }
        for (sum, &x) in sums.iter_mut().zip(&x) {
            *sum = V::zero().max(x).sub(*sum);
        }
        sums
    }
}

/// As [`gelu`], and the derivative, within 2e-7.
#[inline(always)]
pub(super) unsafe fn gelu_and_slope<V: Lanes, const N: usize>(x: [V; N]) -> ([V; N], [V; N]) {
    // SAFETY: as above.
    unsafe {
        let (piece, rest) = place(x);
        let (mut sums, mut slopes) = (piece, piece);
        for ((sum, slope), (piece, &rest)) in sums.iter_mut().zip(&mut slopes).zip(piece.iter().zip(&rest)) {
            *slope = piece.entries(&INTEGRAL[7]);
            *sum = slope.mul_add(rest, piece.entries(&INTEGRAL[6]));
        }
        // Horner's rule for the polynomial and its derivative.
        for degree in (0..6).rev() {
            for ((sum, slope), (piece, &rest)) in sums.iter_mut().zip(&mut slopes).zip(piece.iter().zip(&rest)) {
                *slope = slope.mul_add(rest, *sum);
                *sum = sum.mul_add(rest, piece.entries(&INTEGRAL[degree]));
            }
        }
        for ((sum, slope), &x) in sums.iter_mut().zip(&mut slopes).zip(&x) {
            let upper = slope.mul_add(V::splat(-2.0), V::splat(1.0));
            *sum = V::zero().max(x).sub(*sum);
            *slope = slope.add(x.where_positive(upper));
        }
        (sums, slopes)
    }
}
