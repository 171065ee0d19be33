//! Activations and slopes at infinities, NaNs, zeros, denormal and the greatest numbers, at every level, in
//! `f64` and in the oracle.
//!
//! Expected are PyTorch's values (2.15, float64):
//! `k = torch.tensor([-math.inf, -M, -1e4, -100., -20., -0., 0., 1e-40, 20., 100., M, math.inf, math.nan],
//! dtype=torch.float64, requires_grad=True)` with `M = torch.finfo(torch.float32).max`, then for `f` in
//! `F.relu, F.gelu, F.gelu(approximate="tanh"), F.silu, torch.sigmoid, F.hardswish,
//! F.relu6`:
//! `y = f(k); torch.autograd.grad(y.sum(), k)`. Where that gives NaN for an infinity, being an infinity times
//! zero, it is the limit: values of the activations but sigmoid at the first, slopes at both of the three in
//! the middle.

use super::function;
use crate::real::CpuReal;
use crate::simd::Level;
use ksdsl_engine::size::Activation;
use ksdsl_oracle::activation;

const M: f64 = f32::MAX as f64;
const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;
const X: [f64; 13] = [
    -INF, -M, -1e4, -100.0, -20.0, -0.0, 0.0, 1e-40, 20.0, 100.0, M, INF, NAN,
];

#[rustfmt::skip]
const WANT: [(Activation, [f64; 13], [f64; 13]); 7] = [
    (Activation::Relu,
     [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1e-40, 20.0, 100.0, M, INF, NAN],
     [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    (Activation::Gelu,
     [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 5e-41, 20.0, 100.0, M, INF, NAN],
     [0.0, 0.0, 0.0, 0.0, -1.1041896724319527e-86, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0, NAN]),
    (Activation::GeluTanh,
     [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 5e-41, 20.0, 100.0, M, INF, NAN],
     [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0, NAN]),
    (Activation::Silu,
     [0.0, 0.0, 0.0, -3.720075976020836e-42, -4.122307236380407e-08, 0.0, 0.0, 5e-41,
      19.999999958776925, 100.0, M, INF, NAN],
     [0.0, 0.0, 0.0, -3.682875216260627e-42, -3.9161918660646786e-08, 0.5, 0.5, 0.5,
      1.0000000391619202, 1.0, 1.0, 1.0, NAN]),
    (Activation::Sigmoid,
     [0.0, 0.0, 0.0, 3.7200759760208356e-44, 2.0611536181902037e-09, 0.5, 0.5, 0.5,
      0.9999999979388463, 1.0, 1.0, 1.0, NAN],
     [0.0, 0.0, 0.0, 3.7200759760208356e-44, 2.0611536139418496e-09, 0.25, 0.25, 0.25,
      2.0611536879193953e-09, 0.0, 0.0, 0.0, NAN]),
    (Activation::HardSwish,
     [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 5e-41, 20.0, 100.0, M, INF, NAN],
     [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
    (Activation::Relu6,
     [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1e-40, 6.0, 6.0, 6.0, 6.0, NAN],
     [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]),
];

/// Far out exactly, otherwise within some units of the last place of 1 and of the value; denormal numbers
/// may be zero.
fn check(what: &str, x: f64, got: f64, want: f64, epsilon: f64) {
    let right = if want.is_nan() {
        got.is_nan()
    } else if x.abs() >= 1e4 {
        got == want
    } else {
        (got - want).abs() <= 4.0 * epsilon * want.abs().max(1.0)
    };
    assert!(right, "{what} at {x:e}: {got:e} for {want:e}");
}

/// `X` over and over, so that whole vectors and their rest see each of them.
fn many<E: CpuReal>() -> Vec<E> {
    X.iter().cycle().take(13 * 13).map(|&x| E::of(x)).collect()
}

fn check_all<E: CpuReal>(level: Level) {
    let (x, epsilon) = (many::<E>(), E::epsilon().wide());
    for (kind, values, slopes) in WANT {
        let (mut alone, mut both, mut slope, mut product) = (x.clone(), x.clone(), x.clone(), x.clone());
        product.fill(E::of(2.0));
        let len = x.len();
        // SAFETY: all of them are as long.
        unsafe {
            let ahead = x.as_ptr();
            function::values(level, kind, x.as_ptr(), alone.as_mut_ptr(), len, ahead);
            let (both, slope) = (both.as_mut_ptr(), slope.as_mut_ptr());
            function::values_and_slopes(level, kind, x.as_ptr(), both, slope, len, ahead);
            function::multiply_by_slopes(level, kind, x.as_ptr(), product.as_mut_ptr(), len);
        }
        for at in 0..len {
            let [x, value, slope_want] = [X, values, slopes].map(|of| of[at % 13]);
            let what = |name| format!("{name} of {kind:?} at {level:?}");
            check(&what("value"), x, alone[at].wide(), value, epsilon);
            check(&what("value beside a slope"), x, both[at].wide(), value, epsilon);
            check(&what("slope"), x, slope[at].wide(), slope_want, epsilon);
            check(&what("product"), x, product[at].wide() / 2.0, slope_want, epsilon);
        }
    }
}

/// Elsewhere: <https://github.com/pytorch/pytorch/pull/195197>,
/// <https://github.com/pytorch/pytorch/issues/187293>
#[test]
fn activations_have_their_limits() {
    for level in Level::available() {
        level.with(|| check_all::<f32>(level));
        level.with(|| check_all::<f64>(level));
    }
}

#[test]
fn the_oracle_has_the_same_limits() {
    for (kind, values, slopes) in WANT {
        for (at, x) in X.into_iter().enumerate() {
            check(
                "the oracle's value",
                x,
                activation::value(kind, x),
                values[at],
                f64::EPSILON,
            );
            check(
                "the oracle's slope",
                x,
                activation::derivative(kind, x),
                slopes[at],
                f64::EPSILON,
            );
            let single = activation::value(kind, x as f32);
            check(
                "the oracle's f32",
                x,
                f64::from(single),
                values[at],
                f64::from(f32::EPSILON),
            );
        }
    }
}
