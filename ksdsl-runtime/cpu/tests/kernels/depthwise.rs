//! Depthwise convolutions: at every dispatch level, and with any number of threads.

use crate::convolutions::check_conv;
use crate::support::{Plain, Rng, Worst, at_every_level, buf, cpu_of};
use ksdsl_cpu::with_threads;
use ksdsl_engine::size::{ConvSize, MapSize, Window};
use ksdsl_oracle::outputs_along;
use std::num::NonZeroUsize;

fn sized(input: MapSize, kernel: usize, stride: usize) -> ConvSize {
    let window = Window {
        kernel: [kernel; 2],
        stride: [stride; 2],
        pad: [kernel / 2; 2],
        dilation: [1; 2],
    };
    let output = MapSize {
        height: outputs_along(&window, 0, input.height).unwrap(),
        width: outputs_along(&window, 1, input.width).unwrap(),
        ..input
    };
    ConvSize {
        input,
        output,
        window,
        groups: input.channels,
        algorithm: Default::default(),
        unit: None,
    }
}

/// Widths on both sides of where the algorithms change, kernels of both, strides.
#[test]
pub(crate) fn every_level_matches_the_oracle() {
    at_every_level(|| {
        let mut rng = Rng(40);
        for (kernel, stride) in [(1, 1), (3, 1), (9, 1), (10, 1), (11, 1), (1, 2), (3, 2), (9, 2), (5, 3)] {
            let mut worst = Worst::of(match (kernel, stride) {
                (1 | 3, 1) => "small depthwise",
                (_, 1) => "wide depthwise",
                _ => "strided depthwise",
            });
            for (width, channels) in [(11, 33), (12, 16), (23, 7), (24, 17), (26, 40)] {
                let input = MapSize {
                    batch: 2,
                    height: 19,
                    width,
                    channels,
                };
                check_conv::<f32>(sized(input, kernel, stride), &mut rng, &mut worst);
            }
        }
    });
}

#[test]
fn results_do_not_depend_on_threads() {
    for (kernel, stride, batch) in [(9, 1, 3), (9, 1, 1), (3, 1, 3), (3, 2, 3)] {
        let input = MapSize {
            batch,
            height: 33,
            width: 26,
            channels: 40,
        };
        let size = sized(input, kernel, stride);
        let mut rng = Rng(41);
        let (x, dy) = (
            buf(&rng.values::<f32>(size.input.len())),
            buf(&rng.values::<f32>(size.output.len())),
        );
        let weight = buf(&rng.values::<f32>(40 * kernel * kernel));
        let bits = |threads| {
            with_threads(NonZeroUsize::new(threads).unwrap(), || {
                let y = cpu_of::<f32>().plain_conv_forward(size, &x, &weight, None).unwrap();
                let dx = cpu_of::<f32>().plain_conv_backward_data(size, &weight, &dy).unwrap();
                let mut dw = weight.clone();
                cpu_of::<f32>()
                    .plain_conv_backward_weight(size, &x, &dy, &mut dw)
                    .unwrap();
                let all = [y, dx, dw].into_iter().flat_map(|values| values.to_vec());
                all.map(f32::to_bits).collect::<Vec<_>>()
            })
        };
        let one = bits(1);
        for threads in [2, 3, 5] {
            assert!(one == bits(threads), "{size:?} with {threads} threads");
        }
    }
}
