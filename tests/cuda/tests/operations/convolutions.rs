//! Convolutions at sizes that are risky for the kernels' tiles, in every precision.

use crate::support::{Rng, down, gpu, up};
use ksdsl_cpu::CpuExec;
use ksdsl_engine::Real;
use ksdsl_engine::exec::{ConvTail, Exec};
use ksdsl_engine::size::{Activation, Algorithm, ConvSize, MapSize, Window};
use ksdsl_oracle::outputs_along;
use ksdsl_runtime::cuda::{self, Precision};

/// `[batch, height, width]`, `[inputs, outputs, groups]`, `[kernel, stride, pad, dilation]`.
type Case = ([usize; 3], [usize; 3], [usize; 4]);

/// Tiles are 128 positions by 64 or 128 channels, slices 16 values (8 of `f64`), copies 4 (2): remainders of
/// each; large tiles are used for tensor cores only where there are 132 of them.
const CASES: [Case; 20] = [
    ([1, 1, 1], [4, 4, 1], [3, 1, 1, 1]),
    ([1, 5, 7], [1, 1, 1], [3, 1, 1, 1]),
    ([2, 9, 9], [1, 16, 1], [5, 1, 2, 1]),
    ([3, 8, 16], [3, 16, 1], [3, 1, 1, 1]),
    ([2, 8, 8], [16, 64, 1], [3, 1, 1, 1]),
    ([2, 11, 12], [20, 36, 1], [3, 2, 1, 1]),
    ([3, 9, 5], [36, 20, 1], [3, 3, 0, 1]),
    ([2, 16, 8], [64, 65, 1], [3, 1, 1, 1]),
    ([1, 13, 10], [65, 64, 1], [3, 1, 1, 1]),
    ([1, 9, 15], [12, 132, 1], [3, 1, 1, 1]),
    ([1, 9, 15], [132, 12, 1], [2, 2, 1, 1]),
    ([2, 10, 10], [8, 12, 1], [5, 2, 2, 1]),
    ([1, 12, 12], [8, 4, 1], [7, 1, 3, 1]),
    ([2, 14, 9], [8, 8, 1], [3, 1, 2, 2]),
    ([2, 17, 15], [8, 8, 1], [3, 2, 2, 3]),
    ([2, 9, 9], [24, 40, 2], [3, 2, 1, 2]),
    ([2, 7, 7], [15, 6, 3], [3, 1, 1, 1]),
    ([2, 9, 8], [32, 64, 1], [1, 2, 0, 1]),
    ([2, 9, 8], [32, 64, 1], [1, 3, 1, 1]),
    // The weight gradient has many parts.
    ([4, 33, 31], [8, 12, 1], [3, 1, 1, 1]),
];

fn size(([batch, height, width], [inputs, outputs, groups], [kernel, stride, pad, dilation]): Case) -> ConvSize {
    let window = Window {
        kernel: [kernel; 2],
        stride: [stride; 2],
        pad: [pad; 2],
        dilation: [dilation; 2],
    };
    ConvSize {
        input: MapSize {
            batch,
            height,
            width,
            channels: inputs,
        },
        output: MapSize {
            batch,
            height: outputs_along(&window, 0, height).unwrap(),
            width: outputs_along(&window, 1, width).unwrap(),
            channels: outputs,
        },
        window,
        groups,
        algorithm: Algorithm::Auto,
        unit: None,
    }
}

/// The map, the kernel and the output's gradient.
type Inputs = [Vec<f64>; 3];

fn inputs(size: &ConvSize, seed: u64) -> Inputs {
    let weights = size.output.channels * size.input.channels / size.groups;
    let taps = size.window.kernel[0] * size.window.kernel[1];
    let mut rng = Rng(seed);
    [size.input.len(), weights * taps, size.output.len()].map(|len| rng.values(len))
}

/// The output and the gradients of the input and the kernel.
fn passes<E: Real, X: Exec<E>>(exec: &X, size: ConvSize, [x, weights, dy]: &Inputs) -> [Vec<f64>; 3] {
    let [map, kernel, above] = [x, weights, dy].map(|values| up::<E, _>(exec, values));
    let kernel = exec.kernel(kernel);
    let y = exec
        .conv_forward(size, &map, &kernel, None, ConvTail::default())
        .unwrap();
    let dx = exec.conv_backward_data(size, &kernel, &above, None).unwrap();
    let mut gradient = exec.gradient(weights.len()).unwrap();
    exec.conv_backward_weight(size, &map, &above, &mut gradient).unwrap();
    let gradient = exec.gradient_values(gradient).unwrap();
    [
        down::<E, _>(exec, y, dy.len()),
        down::<E, _>(exec, dx, x.len()),
        down::<E, _>(exec, gradient, weights.len()),
    ]
}

/// How many terms each result of a pass adds at most.
fn terms(size: &ConvSize) -> [usize; 3] {
    let taps = size.window.kernel[0] * size.window.kernel[1];
    let channels = [size.input.channels, size.output.channels].map(|channels| channels / size.groups * taps);
    [channels[0], channels[1], size.output.rows()]
}

/// Greatest error of a factor, relative to it: half of the last of 8 bits; two thirds of the last of 11 (see
/// tensor.cu), half of it if cuBLAS rounds.
fn factor_error(precision: Precision) -> f64 {
    match precision {
        Precision::Full => 0.0,
        Precision::Tf32 => 2.0 / 3.0 * 2f64.powi(-10),
        Precision::Bf16 => 0.5 * 2f64.powi(-7),
    }
}

/// Every result is within what rounding its factors and its sums can make, value by value: a product of factors
/// with errors u is off by at most 2 u + u^2 of its amount, and each of n sums by half of the last bit.
#[test]
fn errors_are_those_of_the_precision() {
    let gpu = gpu(0);
    for (number, case) in CASES.into_iter().enumerate() {
        let size = size(case);
        let values = inputs(&size, number as u64);
        let want = passes::<f64, _>(&CpuExec, size, &values);
        let amounts = values.clone().map(|values| values.into_iter().map(f64::abs).collect());
        let amounts = passes::<f64, _>(&CpuExec, size, &amounts);
        let check = |got: [Vec<f64>; 3], what: &str, u: f64, bit: f64| {
            for pass in 0..3 {
                let bound = 2.0 * u + u * u + (terms(&size)[pass] + 2) as f64 * bit;
                for ((got, want), amount) in got[pass].iter().zip(&want[pass]).zip(&amounts[pass]) {
                    let apart = (got - want).abs();
                    let near = apart <= bound * amount;
                    assert!(near, "{case:?}, pass {pass}, {what}: {apart:e} off of {want:e}");
                }
            }
        };
        check(passes::<f64, _>(&gpu.exec, size, &values), "f64", 0.0, 2f64.powi(-53));
        for precision in [Precision::Full, Precision::Tf32, Precision::Bf16] {
            cuda::set_precision(&gpu.device, precision).unwrap();
            let got = passes::<f32, _>(&gpu.exec, size, &values);
            cuda::set_precision(&gpu.device, Precision::Full).unwrap();
            check(got, &format!("{precision:?}"), factor_error(precision), 2f64.powi(-24));
        }
    }
}

/// An image gives the same bits alone and among others.
#[test]
fn images_do_not_depend_on_each_other() {
    let gpu = gpu(0);
    for (number, case) in CASES.into_iter().enumerate() {
        let all = size(case);
        let values = inputs(&all, number as u64);
        for precision in [Precision::Full, Precision::Tf32, Precision::Bf16] {
            cuda::set_precision(&gpu.device, precision).unwrap();
            let together = passes::<f32, _>(&gpu.exec, all, &values);
            for image in 0..all.input.batch {
                let one = size(([1, case.0[1], case.0[2]], case.1, case.2));
                let part = |values: &[f64], len: usize| values[image * len..][..len].to_vec();
                let [inputs, outputs] = [one.input.len(), one.output.len()];
                let own = [part(&values[0], inputs), values[1].clone(), part(&values[2], outputs)];
                let alone = passes::<f32, _>(&gpu.exec, one, &own);
                let same = alone[0] == part(&together[0], outputs) && alone[1] == part(&together[1], inputs);
                assert!(same, "{case:?}, {precision:?}, image {image}");
            }
            cuda::set_precision(&gpu.device, Precision::Full).unwrap();
        }
    }
}

/// An infinity or a NaN is not lost where factors are rounded.
#[test]
fn infinities_and_nans_stay() {
    let gpu = gpu(0);
    let size = size(([1, 3, 3], [4, 4, 1], [3, 1, 1, 1]));
    for (bad, good) in [
        (f64::INFINITY, f64::is_infinite as fn(f64) -> bool),
        (f64::NAN, f64::is_nan),
    ] {
        let mut values = [
            vec![1.0; size.input.len()],
            vec![1.0; 144],
            vec![1.0; size.output.len()],
        ];
        values[0][16] = bad;
        values[2][16] = bad;
        for precision in [Precision::Full, Precision::Tf32, Precision::Bf16] {
            cuda::set_precision(&gpu.device, precision).unwrap();
            let [y, dx, dw] = passes::<f32, _>(&gpu.exec, size, &values);
            cuda::set_precision(&gpu.device, Precision::Full).unwrap();
            // The pixel in the middle is in every window.
            assert!(y.into_iter().all(good), "{precision:?}");
            assert!(dx.into_iter().all(good), "{precision:?}");
            assert!(dw.into_iter().any(good), "{precision:?}");
        }
    }
}

/// A tail is the same in the product's kernel, where it is a ReLU, and behind it.
#[test]
fn tails_agree() {
    let gpu = gpu(0);
    for case in [CASES[3], CASES[5], CASES[9]] {
        let size = size(case);
        let values = inputs(&size, 1);
        fn run<E: Real, X: Exec<E>>(exec: &X, size: ConvSize, values: &Inputs, before: Activation) -> Vec<f64> {
            let [x, weights, residual] = values.each_ref().map(|values| up::<E, _>(exec, values));
            let kernel = exec.kernel(weights);
            let channels = |seed| up::<E, _>(exec, &Rng(seed).values(size.output.channels));
            let [bias, factor, offset] = [channels(5), channels(6), channels(7)];
            let tail = ConvTail {
                before: Some(before),
                affine: Some((&factor, &offset)),
                residual: Some(&residual),
                after: Some(Activation::Relu),
            };
            let y = exec.conv_forward(size, &x, &kernel, Some(&bias), tail).unwrap();
            down::<E, _>(exec, y, size.output.len())
        }
        for before in [Activation::Relu, Activation::Silu] {
            let want = run::<f64, _>(&CpuExec, size, &values, before);
            let got = run::<f32, _>(&gpu.exec, size, &values, before);
            let apart = crate::support::distance(&got, &want, 1e-30);
            assert!(apart <= 1e-5, "{case:?}: {apart:e}");
        }
    }
}
