//! Winograd's algorithm against unrolling, printed on request:
//! `cargo test --release -p ksdsl-runtime --test kernels -- --ignored --nocapture winograd_pays`.

use crate::support::{Plain, Rng, buf, cpu_of};
use crate::winograd::conv3;
use ksdsl_cpu::{WinogradChoice, with_winograd};
use ksdsl_engine::size::MapSize;
use std::time::Instant;

/// The median over interleaved runs of time unrolled / time by Winograd, and the median of the
/// latter in seconds.
fn ratio(mut run: impl FnMut()) -> (f64, f64) {
    let mut timed = |choice| {
        let start = Instant::now();
        with_winograd(choice, &mut run);
        start.elapsed().as_secs_f64()
    };
    let (mut ratios, mut times) = (Vec::new(), Vec::new());
    for _ in 0..15 {
        let unrolled = timed(WinogradChoice::Never);
        let winograd = timed(WinogradChoice::Always);
        ratios.push(unrolled / winograd);
        times.push(winograd);
    }
    ratios.sort_by(f64::total_cmp);
    times.sort_by(f64::total_cmp);
    (ratios[7], times[7])
}

fn compare(batch: usize, side: usize, inputs: usize, outputs: usize) {
    let mut rng = Rng(70);
    let input = MapSize {
        batch,
        height: side,
        width: side,
        channels: inputs,
    };
    let size = conv3(input, outputs, [1, 1], [0, 0]);
    let (x, dy) = (
        buf(&rng.values::<f32>(size.input.len())),
        buf(&rng.values(size.output.len())),
    );
    let weight = buf(&rng.values(inputs * outputs * 9));
    let mut dweight = weight.clone();
    let work = 2.0 * (size.output.rows() * inputs * outputs * 9) as f64;
    let measured = [
        ratio(|| drop(cpu_of::<f32>().plain_conv_forward(size, &x, &weight, None).unwrap())),
        ratio(|| drop(cpu_of::<f32>().plain_conv_backward_data(size, &weight, &dy).unwrap())),
        ratio(|| {
            cpu_of::<f32>()
                .plain_conv_backward_weight(size, &x, &dy, &mut dweight)
                .unwrap()
        }),
    ];
    print!("{inputs} to {outputs} channels, {side}x{side}, batch {batch}:");
    for (name, (ratio, time)) in ["forward", "data", "weight"].iter().zip(measured) {
        print!(" {name} {ratio:.2} ({:.0} GFLOP/s)", work / time / 1e9);
    }
    println!();
}

#[test]
#[ignore = "prints speeds, checks nothing"]
fn winograd_pays() {
    for (side, channels) in [(32, 64), (16, 128), (8, 256), (8, 16), (8, 32)] {
        compare(64, side, channels, channels);
    }
}

#[test]
#[ignore = "prints speeds, checks nothing"]
fn where_winograd_pays() {
    for (inputs, outputs) in [(3, 16), (3, 64), (16, 64), (64, 16), (64, 128), (128, 32)] {
        compare(64, 16, inputs, outputs);
    }
    for channels in [8, 16, 24, 32, 48, 64, 128, 256] {
        for (batch, side) in [(64, 4), (64, 7), (64, 16), (1, 8), (1, 32)] {
            compare(batch, side, channels, channels);
        }
    }
}
