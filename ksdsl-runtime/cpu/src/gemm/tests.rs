//! Products against sums in `f64`, for every remainder of the tiles at every level; speeds on
//! request: `cargo test --release -p ksdsl-runtime --lib -- --ignored --nocapture gemm_speed`.

use super::{Mat, Packed, Rows, Start, Terms, add_transposed, gather_product, product};
use crate::simd::Level;
use crate::with_threads;
use std::num::NonZeroUsize;
use std::time::Instant;

/// Values in [-1, 1) that differ from place to place.
fn values(seed: u32, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// The greatest difference to `want`, relative to its greatest value.
fn distance(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let most = want.iter().fold(1e-30_f64, |most, value| most.max(value.abs()));
    got.iter()
        .zip(want)
        .map(|(&got, want)| (f64::from(got) - want).abs())
        .fold(0.0, f64::max)
        / most
}

/// `start + sum over k of a(i, k) b(k, j)`.
fn reference(
    [rows, depth, cols]: [usize; 3],
    start: impl Fn(usize, usize) -> f32,
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
) -> Vec<f64> {
    let sum = |i: usize, j: usize| {
        let terms = (0..depth).map(|k| f64::from(a(i, k)) * f64::from(b(k, j)));
        f64::from(start(i, j)) + terms.sum::<f64>()
    };
    (0..rows)
        .flat_map(|i| (0..cols).map(move |j| (i, j)))
        .map(|(i, j)| sum(i, j))
        .collect()
}

/// Row and column remainders of all tiles, and depths around the blocks.
fn sizes() -> Vec<[usize; 3]> {
    let mut sizes = Vec::new();
    for rows in 1..=13 {
        for cols in [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 80, 129] {
            sizes.push([rows, 1 + (rows * cols) % 19, cols]);
        }
    }
    sizes.extend([
        [50, 300, 70],
        [7, 513, 40],
        [200, 3, 130],
        [97, 256, 64],
        [300, 520, 9],
        [129, 288, 256],
    ]);
    sizes
}

/// Runs `check` for all sizes at all levels of this machine.
fn everywhere(mut check: impl FnMut([usize; 3]) -> f64) {
    for level in Level::available() {
        let worst = level.with(|| sizes().into_iter().map(&mut check).fold(0.0, f64::max));
        println!("{level:?}: greatest relative error {worst:.1e}");
        assert!(worst <= 2e-6, "{level:?}: {worst:e}");
    }
}

#[test]
fn products_match_for_all_remainders() {
    everywhere(|[rows, depth, cols]| {
        let (a_stride, c_stride) = (depth + rows % 3, cols + rows % 4);
        let a = values(1, rows * a_stride);
        let b = values(2, depth * cols);
        let (bias, before) = (values(3, cols), values(4, rows * c_stride));
        let at = |i: usize, k: usize| a[i * a_stride + k];
        let mut worst = 0.0_f64;
        for transposed in [false, true] {
            let b_at = |k: usize, j: usize| if transposed { b[j * depth + k] } else { b[k * cols + j] };
            let packed = Packed::new(if transposed {
                Mat::new(&b, cols, depth, depth).transposed()
            } else {
                Mat::new(&b, depth, cols, cols)
            });
            for start in [Start::Zero, Start::Sum, Start::Bias(&bias[..])] {
                let mut c = before.clone();
                product(&mut c, c_stride, start, Mat::new(&a, rows, depth, a_stride), &packed);
                let first = |i: usize, j: usize| match start {
                    Start::Zero => 0.0,
                    Start::Sum => before[i * c_stride + j],
                    Start::Bias(bias) => bias[j],
                };
                let want = reference([rows, depth, cols], first, at, b_at);
                let got: Vec<_> = c.chunks(c_stride).flat_map(|row| row[..cols].to_vec()).collect();
                worst = worst.max(distance(&got, &want));
                let outside = c.chunks(c_stride).zip(before.chunks(c_stride));
                outside.for_each(|(c, before)| assert_eq!(c[cols..], before[cols..], "between the rows"));
            }
        }
        worst
    });
}

#[test]
fn transposed_products_match_for_all_remainders() {
    everywhere(|[rows, depth, cols]| {
        let (a_stride, b_stride, c_stride) = (rows + 190 * (depth % 2), cols + 150 * (depth % 3), cols + 5);
        let (a, b) = (values(5, depth * a_stride), values(6, depth * b_stride));
        let before = values(7, rows * c_stride);
        let mut c = before.clone();
        add_transposed(
            &mut c,
            c_stride,
            Mat::new(&a, depth, rows, a_stride),
            Mat::new(&b, depth, cols, b_stride),
        );
        let want = reference(
            [rows, depth, cols],
            |i, j| before[i * c_stride + j],
            |i, k| a[k * a_stride + i],
            |k, j| b[k * b_stride + j],
        );
        let got: Vec<_> = c.chunks(c_stride).flat_map(|row| row[..cols].to_vec()).collect();
        distance(&got, &want)
    });
}

/// Rows and terms that lie anywhere.
#[test]
fn gathered_products_match() {
    everywhere(|[rows, depth, cols]| {
        let segments = [3, 0, 3 + 2 * depth];
        let starts: Vec<_> = (0..rows).map(|i| (rows - 1 - i) * 3).collect();
        let to: Vec<_> = (0..rows).map(|i| (i ^ 1) * cols).collect();
        let terms = Terms {
            segments: &segments,
            len: depth,
            step: 2,
        };
        let a = values(8, starts[0] + segments[2] + 2 * depth);
        let b = values(9, 3 * depth * cols);
        let packed = Packed::new(Mat::new(&b, 3 * depth, cols, cols));
        let mut c = vec![0.0; (rows + 1) * cols];
        let a_rows = (&a[..], rows, Rows::Listed(&starts), terms);
        gather_product(&mut c, Rows::Listed(&to), Start::Zero, a_rows, &packed);
        let want = reference(
            [rows, 3 * depth, cols],
            |_, _| 0.0,
            |i, k| a[starts[i] + segments[k / depth] + k % depth * 2],
            |k, j| b[k * cols + j],
        );
        let got: Vec<_> = to.iter().flat_map(|&to| c[to..to + cols].to_vec()).collect();
        distance(&got, &want)
    });
}

/// Milliseconds of this thread on the CPU (or of the clock, where it is not told), per run.
pub(crate) fn milliseconds(mut run: impl FnMut()) -> f64 {
    let clock = Instant::now();
    let now = || {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
        let told = told.and_then(|told| told.split(' ').next()?.parse::<f64>().ok());
        told.map_or(clock.elapsed().as_secs_f64() * 1e3, |nanos| nanos / 1e6)
    };
    with_threads(NonZeroUsize::MIN, || {
        run();
        let (start, mut runs) = (now(), 0.0);
        while now() - start < 100.0 {
            run();
            runs += 1.0;
        }
        (now() - start) / runs
    })
}

/// GFLOP/s of one thread.
fn speed(work: f64, mut run: impl FnMut()) -> f64 {
    let repeats = (1e7 / work).ceil();
    work * repeats / 1e6 / milliseconds(|| (0..repeats as usize).for_each(|_| run()))
}

#[test]
#[ignore = "prints speeds, checks nothing"]
fn gemm_speed() {
    for level in Level::available() {
        level.with(|| {
            for [rows, depth, cols] in [
                [48, 64, 64],
                [64, 64, 64],
                [192, 64, 64],
                [48, 128, 128],
                [96, 128, 128],
                [48, 256, 256],
                [512, 256, 256],
                [512, 64, 256],
                [512, 256, 64],
                [512, 27, 16],
                [512, 144, 64],
                [512, 1152, 128],
                [64, 256, 10],
                [1, 256, 256],
                [4, 512, 512],
                [16, 16, 16],
                [500, 16, 16],
                [500, 32, 32],
            ] {
                let (a, b) = (values(1, rows * depth), values(2, depth * cols));
                let packed = Packed::new(Mat::new(&b, depth, cols, cols));
                let mut c = vec![0.0_f32; rows * cols];
                let work = 2.0 * (rows * depth * cols) as f64;
                let ours = speed(work, || {
                    product(&mut c, cols, Start::Zero, Mat::new(&a, rows, depth, depth), &packed);
                });
                println!("{level:?} {rows}x{depth}x{cols}: {ours:.1} GFLOP/s");
            }
            for [rows, depth, cols] in [
                [256, 8192, 256],
                [256, 1024, 256],
                [64, 4096, 64],
                [64, 1024, 64],
                [128, 1024, 128],
                [128, 256, 128],
                [256, 400, 256],
                [16, 1024, 16],
                [16, 4096, 64],
                [64, 4096, 16],
                [27, 4096, 16],
                [576, 512, 128],
            ] {
                let (a, b) = (values(1, rows * depth), values(2, depth * cols));
                let mut c = vec![0.0_f32; rows * cols];
                let work = 2.0 * (rows * depth * cols) as f64;
                let ours = speed(work, || {
                    add_transposed(
                        &mut c,
                        cols,
                        Mat::new(&a, depth, rows, rows),
                        Mat::new(&b, depth, cols, cols),
                    );
                });
                println!("{level:?} transposed {rows}x{depth}x{cols}: {ours:.1} GFLOP/s");
            }
        });
    }
}

/// Convolutions that Winograd's algorithm does not take: strided, or with few channels.
#[test]
#[ignore = "prints speeds, checks nothing"]
fn conv_speed() {
    use crate::{CpuBuf, CpuKernel, CpuKernelGradient, conv};
    use ksdsl_engine::size::{ConvSize, MapSize, Window};
    for (side, inputs, outputs, kernel, stride) in [
        (32, 64, 128, 3, 2),
        (16, 128, 256, 3, 2),
        (32, 64, 128, 1, 2),
        (32, 3, 16, 3, 1),
        (32, 3, 64, 3, 1),
        (8, 16, 64, 3, 2),
        (32, 3, 256, 2, 2),
        (32, 256, 256, 1, 1),
    ] {
        let map = |side, channels| MapSize {
            batch: 8,
            height: side,
            width: side,
            channels,
        };
        let size = ConvSize {
            input: map(side, inputs),
            output: map(side / stride, outputs),
            window: Window {
                kernel: [kernel; 2],
                stride: [stride; 2],
                pad: [(kernel - 1) / 2; 2],
                dilation: [1; 2],
            },
            groups: 1,
            algorithm: Default::default(),
            unit: None,
        };
        let len = inputs * outputs * kernel * kernel;
        let x = CpuBuf::from_vec(values(1, size.input.len()));
        let dy = CpuBuf::from_vec(values(2, size.output.len()));
        let weight = CpuKernel::new(CpuBuf::from_vec(values(3, len)));
        let mut gradient = CpuKernelGradient::new(len);
        let work = 2.0 * (size.output.rows() * len) as f64;
        let speeds = [
            speed(work, || drop(conv::forward(size, &x, &weight, None, None))),
            speed(work, || drop(conv::backward_data(size, &weight, &dy, None))),
            speed(work, || conv::backward_weight(size, &x, &dy, &mut gradient)),
        ];
        println!("{inputs} to {outputs}, {side}x{side}, kernel {kernel}, stride {stride}: GFLOP/s {speeds:.1?}");
    }
}
