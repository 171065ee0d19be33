//! Rough speeds, printed on request: `cargo test --release -p ksdsl-runtime --test kernels -- --ignored --nocapture speed`.

use crate::support::{Plain, Rng, buf, cpu_of};
use ksdsl_engine::exec::Exec;
use ksdsl_engine::size::{Activation, ConvSize, MapSize, RowSize, Window};
use std::time::Instant;

/// The median of eleven runs, in seconds.
fn seconds(mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..11)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[5]
}

fn conv_speed(channels: usize, side: usize, batch: usize, groups: usize, kernel: usize) {
    let mut rng = Rng(40);
    let map = MapSize {
        batch,
        height: side,
        width: side,
        channels,
    };
    let window = Window {
        kernel: [kernel; 2],
        stride: [1; 2],
        pad: [kernel / 2; 2],
        dilation: [1; 2],
    };
    let size = ConvSize {
        input: map,
        output: map,
        window,
        groups,
        algorithm: Default::default(),
        unit: None,
    };
    let (x, dy) = (buf(&rng.values::<f32>(map.len())), buf(&rng.values(map.len())));
    let weight = buf(&rng.values(channels * channels / groups * kernel * kernel));
    let mut dweight = weight.clone();
    let work = 2.0 * (map.rows() * channels * channels / groups * kernel * kernel) as f64;
    let speeds = [
        seconds(|| drop(cpu_of::<f32>().plain_conv_forward(size, &x, &weight, None).unwrap())),
        seconds(|| drop(cpu_of::<f32>().plain_conv_backward_data(size, &weight, &dy).unwrap())),
        seconds(|| {
            cpu_of::<f32>()
                .plain_conv_backward_weight(size, &x, &dy, &mut dweight)
                .unwrap()
        }),
    ]
    .map(|seconds| work / seconds / 1e9);
    println!(
        "{channels} channels, {side}x{side}, batch {batch}, groups {groups}, kernel {kernel}: \
         GFLOP/s forward {:.1}, data {:.1}, weight {:.1}",
        speeds[0], speeds[1], speeds[2]
    );
}

#[test]
#[ignore = "prints speeds, checks nothing"]
fn speed() {
    for (channels, side) in [(16, 8), (32, 8), (64, 8), (64, 32), (128, 16), (256, 8)] {
        conv_speed(channels, side, 64, 1, 3);
    }
    conv_speed(256, 32, 8, 1, 1);
    conv_speed(256, 32, 8, 256, 9);
    let mut rng = Rng(41);
    let map = MapSize {
        batch: 64,
        height: 32,
        width: 32,
        channels: 64,
    };
    let rows = RowSize {
        rows: map.rows(),
        channels: 64,
    };
    let x = buf(&rng.values::<f32>(map.len()));
    let (scale, shift) = (buf(&rng.values(64)), buf(&rng.values(64)));
    let mega = map.len() as f64 / 1e6;
    let train = seconds(|| {
        drop(
            cpu_of::<f32>()
                .plain_batch_norm_train(rows, &x, &scale, &shift, 1e-5)
                .unwrap(),
        )
    });
    println!("batch norm forward: {:.0} Melements/s", mega / train);
    for kind in [Activation::Relu, Activation::Gelu, Activation::Silu] {
        let time = seconds(|| drop(cpu_of::<f32>().activation_forward(kind, x.clone()).unwrap()));
        println!("{kind:?}: {:.0} Melements/s", mega / time);
    }
}
