//! Shares of the time, printed on request:
//! `cargo test --release -p ksdsl-runtime --lib -- --ignored --nocapture winograd_shares`.

use super::*;
use crate::gemm::tests::milliseconds;
use ksdsl_engine::size::{MapSize, Window};

#[test]
#[ignore = "prints speeds, checks nothing"]
fn winograd_shares() {
    for (batch, side, channels) in [
        (8, 32, 64),
        (16, 16, 128),
        (32, 8, 256),
        (1, 32, 64),
        (1, 16, 128),
        (1, 8, 256),
    ] {
        let map = MapSize {
            batch,
            height: side,
            width: side,
            channels,
        };
        let window = Window {
            kernel: [3; 2],
            stride: [1; 2],
            pad: [1; 2],
            dilation: [1; 2],
        };
        let size = ConvSize {
            input: map,
            output: map,
            window,
            groups: 1,
            algorithm: Default::default(),
            unit: None,
        };
        let x: Vec<f32> = (0..map.len()).map(|i| (i % 17) as f32 - 8.0).collect();
        let kernel = CpuKernel::new(CpuBuf::zeros(channels * channels * 9));
        let tiling = Tiling::forward(&size);
        let all = milliseconds(|| drop(forward(&size, &x, &kernel, None, None)));
        let mut y = CpuBuf::<f32>::scratch(map.len());
        let step = bands_per_task(&tiling);
        let tiles = step * tiling.across;
        let (mut from, mut to) = (scratch::<f32>(tiles * channels), scratch::<f32>(tiles * channels));
        let input = milliseconds(|| {
            for first in (0..tiling.bands()).step_by(step) {
                let bands = first..tiling.bands().min(first + step);
                for points in &mut pieces(&mut from, tiles * channels, tiles * channels) {
                    tiling.transform_input(bands.clone(), &x, points);
                }
            }
        });
        let output = milliseconds(|| {
            for first in (0..tiling.bands()).step_by(step) {
                let bands = first..tiling.bands().min(first + step);
                let part = tiling.offset(bands.start)..tiling.offset(bands.end);
                tiling.transform_output(bands, (&to, stride(tiles * channels)), None, &mut y[part]);
            }
        });
        let mut gradient = CpuKernelGradient::new(channels * channels * 9);
        let weight = milliseconds(|| backward_weight(&size, &x, &x, &mut gradient));
        let gradient = milliseconds(|| {
            for first in (0..tiling.bands()).step_by(step) {
                let bands = first..tiling.bands().min(first + step);
                for points in &mut pieces(&mut to, tiles * channels, tiles * channels) {
                    tiling.transform_gradient(bands.clone(), &x, points);
                }
            }
        });
        let work = 2.0 * (map.rows() * channels * channels * 9) as f64 / 1e6;
        println!(
            "{batch} x {side}x{side}, {channels}: forward {all:.2} ms ({:.0} GFLOP/s), in {input:.2}, out {output:.2}; \
             weight {weight:.2} ms ({:.0} GFLOP/s), out' {gradient:.2}; {tiles} tiles",
            work / all,
            work / weight
        );
    }
}
