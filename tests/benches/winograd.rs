//! 3x3 convolutions by Winograd's algorithm against matrix products, on which the heuristic of
//! `ksdsl-runtime/cpu/src/conv_method.rs` rests: `cargo bench -p ksdsl-tests --bench winograd`.

use ksdsl_runtime::cpu::{WinogradChoice, with_winograd};
use ksdsl_runtime::generated::{Act, Const, Dilation, Map, NoBias, Pad, Rank4, Stride, op};
use ksdsl_runtime::prelude::*;
use std::time::Instant;

type Images<const N: usize, const C: usize, const S: usize> =
    Tensor<(Const<N>, Const<C>, Const<S>, Const<S>), f32, Cpu>;
type Conv3x3 = op::Conv<Stride<1, 1>, Pad<1, 1, 1, 1>, Dilation<1, 1>, 1>;

/// The median over 15 pairs of runs of the time by matrix products over that by Winograd, and the median of the
/// latter in seconds.
fn ratio(mut run: impl FnMut()) -> (f64, f64) {
    let mut timed = |choice| {
        let start = Instant::now();
        with_winograd(choice, &mut run);
        start.elapsed().as_secs_f64()
    };
    let (mut ratios, mut times) = (Vec::new(), Vec::new());
    for _ in 0..15 {
        let products = timed(WinogradChoice::Never);
        let winograd = timed(WinogradChoice::Always);
        ratios.push(products / winograd);
        times.push(winograd);
    }
    ratios.sort_by(f64::total_cmp);
    times.sort_by(f64::total_cmp);
    (ratios[7], times[7])
}

fn compare<const N: usize, const C: usize, const S: usize>() {
    let device = Cpu::seed_from_u64(0);
    let x: Images<N, C, S> = device.sample_normal();
    let weight: Tensor<Rank4<C, C, 3, 3>, f32, Cpu> = device.sample_normal();
    let (ratio, seconds) = ratio(|| {
        let x = Act::read(x.clone()).expect("a batch");
        let y: Map<Const<N>, C, S, S, f32, Cpu, NoneTape> = Conv3x3::apply(x, &weight, NoBias).expect("a convolution");
        drop(op::global_avg_pool(y).expect("a pooling"));
    });
    let work = 2.0 * (N * S * S * C * C * 9) as f64;
    println!(
        "{C} channels, {S}x{S}, batch {N}: {ratio:.2} ({:.0} GFLOP/s)",
        work / seconds / 1e9
    );
}

fn main() {
    compare::<64, 16, 8>();
    compare::<64, 32, 8>();
    compare::<64, 64, 32>();
    compare::<64, 128, 16>();
    compare::<64, 256, 8>();
    compare::<1, 64, 8>();
    compare::<1, 64, 32>();
    compare::<64, 64, 4>();
    compare::<64, 64, 7>();
}
