//! What explicit vectors, and sums in several lanes, gain in passes over memory; printed on request:
//! `KSDSL_THREADS=1 taskset -c 1 cargo test --release -p ksdsl-runtime --lib -- --ignored --nocapture passes_speed`

use super::depthwise::tests::cpu_seconds;
use super::fused::function;
use super::simd::{Lanes, Level, Operation};
use super::{CpuBuf, activation, elementwise, norm, pool};
use ksdsl_engine::size::{Activation, MapSize, PoolKind, RowSize};

/// The median over pairs of runs of `old`'s time over `new`'s, and the quartiles.
fn paired(mut old: impl FnMut(), mut new: impl FnMut()) -> String {
    let time = |run: &mut dyn FnMut()| {
        let start = cpu_seconds();
        run();
        cpu_seconds() - start
    };
    let mut ratios: Vec<f64> = (0..201).map(|_| time(&mut old) / time(&mut new)).collect();
    ratios.sort_by(f64::total_cmp);
    format!("{:.2} ({:.2} to {:.2})", ratios[100], ratios[50], ratios[150])
}

fn values(seed: usize, len: usize) -> CpuBuf<f32> {
    CpuBuf::from_vec((0..len).map(|i| ((i * 7 + seed) as f32 * 0.37).sin()).collect())
}

/// `a += b` or `a *= b` in explicit vectors.
struct Combine<'a, const ADD: bool>(&'a mut [f32], &'a [f32]);

impl<const ADD: bool> Operation for Combine<'_, ADD> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let pairs = self.0.chunks_exact_mut(V::LANES).zip(self.1.chunks_exact(V::LANES));
        for (a, b) in pairs {
            // SAFETY: below `Level::run`; both chunks have `LANES` values.
            unsafe {
                let (x, y) = (V::load(a.as_ptr()), V::load(b.as_ptr()));
                let sum = if ADD { x.add(y) } else { x.mul(y) };
                sum.store(a.as_mut_ptr());
            }
        }
    }
}

/// Sums, products and ReLU: as the compiler makes vectors of them, against explicit ones.
#[test]
#[ignore = "prints speeds, checks nothing"]
fn passes_speed() {
    // In the L2 cache, in the L3 cache, in memory.
    for len in [1 << 15, 1 << 19, 1 << 24] {
        let (b, level) = (values(1, len), Level::current());
        // SAFETY: in place, one slice.
        let explicit = |x: &mut [f32]| unsafe {
            function::values(level, Activation::Relu, x.as_ptr(), x.as_mut_ptr(), x.len(), x.as_ptr());
        };
        let mut kept = [Some(values(2, len)), Some(values(2, len))];
        let [mut one, mut two] = [values(3, len), values(3, len)];
        let relu = paired(
            || {
                kept[0] = kept[0]
                    .take()
                    .map(|x| activation::activation_forward(Activation::Relu, x))
            },
            || explicit(&mut one),
        );
        let add = paired(
            || elementwise::add_assign(&mut one, &b),
            || level.run(Combine::<true>(&mut two, &b)),
        );
        let multiply = paired(
            || kept[1] = kept[1].take().map(|x| elementwise::multiply(x, &b)),
            || level.run(Combine::<false>(&mut two, &b)),
        );
        println!(
            "{len} values, the compiler's time over explicit vectors': relu {relu}, add {add}, multiply {multiply}"
        );
    }
    layer_norms();
    global_max();
}

/// Layer norm's statistics with one sum for each row, as they were.
fn one_sum(size: RowSize, x: &[f32], pairs: &mut [f32]) {
    let rows = x.chunks_exact(size.channels);
    for (pair, x) in pairs.chunks_exact_mut(2).zip(rows) {
        let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / size.channels as f64;
        let squares = x.iter().map(|&x| (f64::from(x) - mean) * (f64::from(x) - mean));
        let variance = squares.sum::<f64>() / size.channels as f64;
        pair.copy_from_slice(&[mean as f32, (1.0 / (variance + 1e-5).sqrt()) as f32]);
    }
}

fn layer_norms() {
    for channels in [64, 256, 768] {
        let size = RowSize { rows: 4096, channels };
        let x = values(4, size.rows * channels);
        let (scale, shift) = (values(5, channels), values(6, channels));
        let mut pairs = vec![0.0; 2 * size.rows];
        // The old statistics alone against the whole new forward pass.
        let ratio = paired(
            || one_sum(size, &x, &mut pairs),
            || drop(norm::layer_norm_forward(size, &x, &scale, &shift, 1e-5)),
        );
        println!("layer norm of {channels} channels: one sum per row, statistics alone, over all of the pass: {ratio}");
    }
}

/// The gradient of a global maximum, channel by channel, as it was.
fn by_channels(pixels: usize, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let channels = dy.len();
    dx.fill(0.0);
    for (channel, &dy) in dy.iter().enumerate() {
        let mut best = channel;
        for pixel in 0..pixels {
            let element = pixel * channels + channel;
            if x[element] > x[best] || (x[element].is_nan() && !x[best].is_nan()) {
                best = element;
            }
        }
        dx[best] = dy;
    }
}

fn global_max() {
    for (side, channels) in [(8, 256), (16, 64), (32, 64)] {
        let size = MapSize {
            batch: 1,
            height: side,
            width: side,
            channels,
        };
        let (x, dy) = (values(7, size.len()), values(8, channels));
        let mut dx = vec![0.0; size.len()];
        let ratio = paired(
            || by_channels(side * side, &x, &dy, &mut dx),
            || drop(pool::global_pool_backward(PoolKind::Max, size, Some(&x), &dy)),
        );
        println!("global maximum of {side}x{side}x{channels}, gradient: by channels over by pixels {ratio}");
    }
}
