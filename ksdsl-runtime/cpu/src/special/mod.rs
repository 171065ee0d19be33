//! The functions that activations are made of: plain arithmetic without branches for `f32`, so that
//! loops over them become vectors of any width, and the library's functions for `f64`.
//!
//! Nothing here is contracted to fused multiply-adds: the results are the same bits whichever
//! vectors the CPU has. The greatest errors, found by comparing with `f64` over all ranges, are at
//! each function and checked by the tests below.

pub(crate) mod lanes;
mod pieces;

/// For `f32`.
pub(crate) mod single {
    /// Adding it rounds a value below 2^22 to an integer, which then is in the lowest bits.
    pub(super) const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts; products of the first with integers up to 2^15 are exact.
    pub(super) const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

    /// `exp(x + more)` for a `more` of at most 0.03: within 1.5 ulp where the result is normal.
    ///
    /// As `expf` in Moshier's Cephes: `2^n exp(r)` with a polynomial of degree 7 for `|r| <= ln(2) / 2`.
    #[inline(always)]
    fn exp_sum(x: f32, more: f32) -> f32 {
        // By comparisons, which leave a NaN as it is. Beyond the ends all is 0 or infinite.
        let x = if x < -104.0 { -104.0 } else { x };
        let x = if x > 89.0 { 89.0 } else { x };
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = (x - n * LN_2[0]) - n * LN_2[1] + more;
        let p = 1.987_569_1e-4;
        let p = p * r + 1.398_199_9e-3;
        let p = p * r + 8.333_452e-3;
        let p = p * r + 4.166_579_6e-2;
        let p = p * r + 1.666_666_6e-1;
        let p = p * r + 5e-1;
        let p = p * (r * r) + r + 1.0;
        // In two steps: 2^n alone may not be a normal number.
        let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
        let half = n >> 1;
        p * power_of_two(half) * power_of_two(n.wrapping_sub(half))
    }

    /// `2^n` for `n` from -126 to 127.
    #[inline(always)]
    fn power_of_two(n: i32) -> f32 {
        f32::from_bits((n.wrapping_add(127) << 23) as u32)
    }

    /// `exp(x)`, within 1.5 ulp where the result is normal.
    #[inline(always)]
    pub(crate) fn exp(x: f32) -> f32 {
        exp_sum(x, 0.0)
    }

    /// `1 / (1 + exp(-x))`, within 3 ulp where the result is normal.
    #[inline(always)]
    pub(crate) fn sigmoid(x: f32) -> f32 {
        1.0 / (1.0 + exp_sum(-x, 0.0))
    }

    /// Coefficients, lowest first, of `Q(t) (t + 4)` in `(t - 4) / (t + 4)`, where
    /// `Q(t) = exp(t^2 / 2) Phi(-t)`: interpolated at Chebyshev's nodes for t from 0 to 14.5 in 60
    /// digits, relative error 1.8e-8.
    pub(super) const TAIL: [f32; 10] = [
        7.552_851_4e-1,
        -6.078_966e-1,
        3.871_366_4e-1,
        -1.865_227_7e-1,
        6.040_699e-2,
        -7.528_366_5e-3,
        -3.526_252_5e-3,
        1.570_282e-3,
        1.991_937_9e-4,
        -1.208_221_2e-4,
    ];

    /// The normal distribution function `Phi(x)`, within 5 ulp where it is normal, also far out in the
    /// lower tail, and `exp(-x^2 / 2)`, within 1.5 ulp.
    #[inline(always)]
    pub(crate) fn normal(x: f32) -> (f32, f32) {
        let t = if x < 0.0 { -x } else { x };
        let t = if t > 14.5 { 14.5 } else { t };
        // The square of the upper twelve bits is exact; the rest of the square is small.
        let upper = f32::from_bits(t.to_bits() & 0xffff_f000);
        let density = exp_sum(-0.5 * upper * upper, -0.5 * (t - upper) * (t + upper));
        let q = (t - 4.0) / (t + 4.0);
        // Written out: a loop here would keep the loop over the elements from becoming vectors.
        let sum = TAIL[9];
        let sum = sum * q + TAIL[8];
        let sum = sum * q + TAIL[7];
        let sum = sum * q + TAIL[6];
        let sum = sum * q + TAIL[5];
        let sum = sum * q + TAIL[4];
        let sum = sum * q + TAIL[3];
        let sum = sum * q + TAIL[2];
        let sum = sum * q + TAIL[1];
        let sum = sum * q + TAIL[0];
        let tail = density * (sum / (t + 4.0));
        (if x > 0.0 { 1.0 - tail } else { tail }, density)
    }
}

/// For `f64`.
pub(crate) mod double {
    use std::f64::consts::FRAC_1_SQRT_2;

    /// `exp(x)`.
    #[inline(always)]
    pub(crate) fn exp(x: f64) -> f64 {
        x.exp()
    }

    /// `1 / (1 + exp(-x))`.
    #[inline(always)]
    pub(crate) fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// The normal distribution function and `exp(-x^2 / 2)`.
    #[inline(always)]
    pub(crate) fn normal(x: f64) -> (f64, f64) {
        (0.5 * libm::erfc(-x * FRAC_1_SQRT_2), (-0.5 * x * x).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::{double, lanes, pieces, single};
    use crate::simd::{Lanes, Level, Operation};

    /// Every 499th `f32` between -130 and 130, and the special values.
    fn all(mut f: impl FnMut(f32)) {
        for bits in (0..130.0_f32.to_bits()).step_by(499) {
            f(f32::from_bits(bits));
            f(-f32::from_bits(bits));
        }
    }

    /// The error in units of the last place of `want`; denormal results count as the least normal.
    fn ulps(got: f32, want: f64) -> f64 {
        let size = want.abs().max(f64::from(f32::MIN_POSITIVE));
        let unit = f64::from(f32::EPSILON) * size.log2().floor().exp2();
        (f64::from(got) - want).abs() / unit
    }

    #[test]
    fn errors_are_as_documented() {
        let mut worst = [0.0_f64; 3];
        all(|x| {
            let wide = f64::from(x);
            let (phi, density) = single::normal(x);
            let (wide_phi, wide_density) = double::normal(wide);
            // Below, exp(-x) overflows before the sigmoid is denormal.
            let sigmoid = if x < -87.0 {
                0.0
            } else {
                ulps(single::sigmoid(x), double::sigmoid(wide))
            };
            let errors = [sigmoid, ulps(phi, wide_phi), ulps(density, wide_density)];
            worst = std::array::from_fn(|index| worst[index].max(errors[index]));
        });
        println!("greatest errors in ulp: sigmoid, Phi, density: {worst:.2?}");
        assert!(worst[0] <= 3.0 && worst[1] <= 5.0 && worst[2] <= 1.5, "{worst:?}");
    }

    #[test]
    fn special_values() {
        assert!(single::sigmoid(f32::NAN).is_nan() && single::normal(f32::NAN).0.is_nan());
        assert_eq!(
            [single::sigmoid(f32::INFINITY), single::sigmoid(f32::NEG_INFINITY)],
            [1.0, 0.0]
        );
        assert_eq!(single::normal(f32::INFINITY), (1.0, 0.0));
        assert_eq!(single::normal(f32::NEG_INFINITY), (0.0, 0.0));
        assert_eq!([single::sigmoid(0.0), single::normal(0.0).0], [0.5, 0.5]);
    }

    /// A function of vectors, for each element of a slice whose length is a multiple of 16.
    struct Each<'a>(usize, &'a [f32], &'a mut [f32]);

    impl Operation for Each<'_> {
        #[inline(always)]
        fn run<V: Lanes>(self) {
            let parts = self.1.chunks_exact(V::LANES).zip(self.2.chunks_exact_mut(V::LANES));
            for (x, y) in parts {
                // SAFETY: below `Level::run`; the slices are as long as a vector.
                unsafe {
                    let x = V::load(x.as_ptr());
                    let value = match self.0 {
                        0 => lanes::sigmoid(x),
                        1 => lanes::gelu([x])[0],
                        2 => lanes::gelu_and_slope([x]).0[0],
                        3 => lanes::gelu_and_slope([x]).1[0],
                        4 => pieces::gelu([x])[0],
                        5 => pieces::gelu_and_slope([x]).0[0],
                        _ => pieces::gelu_and_slope([x]).1[0],
                    };
                    value.store(y.as_mut_ptr());
                }
            }
        }
    }

    fn each(level: Level, function: usize, x: &[f32]) -> Vec<f32> {
        let mut padded = x.to_vec();
        padded.resize(x.len().next_multiple_of(16), 0.0);
        let mut y = vec![f32::NAN; padded.len()];
        level.run(Each(function, &padded, &mut y));
        y.truncate(x.len());
        y
    }

    /// The functions of vectors: absolute errors relative to `max(1, |x|)`, relative ones where they
    /// are small.
    #[test]
    fn vectors_err_as_documented() {
        let mut x = Vec::new();
        all(|value| x.push(value));
        let density = |x: f64| (-0.5 * x * x).exp() * lanes::DENSITY;
        let gelu = |x: f64| x * double::normal(x).0;
        let slope = |x: f64| double::normal(x).0 + x * density(x);
        let exact: [&dyn Fn(f64) -> f64; 7] = [&double::sigmoid, &gelu, &gelu, &slope, &gelu, &gelu, &slope];
        for level in Level::available() {
            for (function, exact) in exact.iter().enumerate() {
                let (mut worst, mut relative) = (0.0_f64, 0.0_f64);
                for (&x, y) in x.iter().zip(each(level, function, &x)) {
                    let (x, y) = (f64::from(x), f64::from(y));
                    let error = (y - exact(x)).abs();
                    assert!(y.is_finite(), "{y} at {x}");
                    worst = worst.max(error / x.abs().max(1.0));
                    // What is made of polynomials alone is not exact in its tail.
                    let exact_from = if function == 0 { -5.0 } else { -1.0 };
                    if ![3, 6].contains(&function) && x > exact_from && x != 0.0 {
                        relative = relative.max(error / exact(x).abs().max(f64::from(f32::MIN_POSITIVE)));
                    }
                }
                println!("{level:?}, function {function}: {worst:.2e} absolute, {relative:.2e} relative");
                let most = [2e-7, 2e-7, 2e-7, 3e-7, 1.2e-7, 1.2e-7, 3e-7][function];
                assert!(worst <= most && relative <= 1.5e-6, "{worst:e} {relative:e}");
            }
        }
    }

    #[test]
    fn special_values_of_vectors() {
        let x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e30, -1e30];
        for level in Level::available() {
            let values: Vec<Vec<f32>> = (0..7).map(|function| each(level, function, &x)).collect();
            assert!(values.iter().all(|values| values[0].is_nan()), "{level:?}: {values:?}");
            let values = |function: usize| &values[function][1..];
            let sigmoid = values(0);
            assert!(sigmoid[0] == 1.0 && sigmoid[1] == 0.0 && sigmoid[2..4] == [0.5; 2]);
            for gelu in [1, 2, 4, 5].map(values) {
                assert!(gelu[0] == f32::INFINITY && gelu[2..4] == [0.0; 2] && gelu[4] == 1e30);
                assert!(gelu[1] == 0.0 && gelu[5] == 0.0, "{gelu:?}");
            }
            for slope in [3, 6].map(values) {
                assert!(slope[0] == 1.0 && slope[1] == 0.0, "{slope:?}");
                assert!(slope[2..4].iter().all(|half| (half - 0.5).abs() < 1e-7), "{slope:?}");
            }
        }
    }
}
