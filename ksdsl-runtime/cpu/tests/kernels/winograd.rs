//! Winograd's algorithm, forced on every size it takes, against the oracle.

use crate::convolutions::check_conv;
use crate::support::{Checked, Kernels, Plain, Rng, Worst, at_every_level, buf, cpu_of};
use ksdsl_cpu::CpuExec;
use ksdsl_cpu::{CpuBuf, WinogradChoice, with_threads, with_winograd};
use ksdsl_engine::size::{ConvSize, MapSize, Window};
use std::num::NonZeroUsize;

/// A dense 3x3 convolution with stride 1; `more` rows and columns beyond PyTorch's.
pub(crate) fn conv3(input: MapSize, outputs: usize, pad: [usize; 2], more: [usize; 2]) -> ConvSize {
    let output = MapSize {
        batch: input.batch,
        height: input.height + 2 * pad[0] + more[0] - 2,
        width: input.width + 2 * pad[1] + more[1] - 2,
        channels: outputs,
    };
    let window = Window {
        kernel: [3; 2],
        stride: [1; 2],
        pad,
        dilation: [1; 2],
    };
    ConvSize {
        input,
        output,
        window,
        groups: 1,
        algorithm: Default::default(),
        unit: None,
    }
}

fn check<E: Checked>(size: ConvSize, rng: &mut Rng, worst: &mut Worst)
where
    CpuExec: Kernels<E>,
{
    with_winograd(WinogradChoice::Always, || check_conv::<E>(size, rng, worst));
}

/// Every remainder of the 4 x 4 tiles, all paddings, channels around the vector width.
fn small<E: Checked>(name: &'static str)
where
    CpuExec: Kernels<E>,
{
    let (mut rng, mut worst) = (Rng(60), Worst::of(name));
    // One input channel and one output is depthwise to the chooser.
    let channels = [1, 2, 3, 7, 15, 16, 17, 31, 32, 33];
    for height in 1..=9 {
        for width in 1..=9 {
            let pad = [rng.between(0, 2), rng.between(0, 2)];
            let pad = [
                if height < 3 { pad[0].max(1) } else { pad[0] },
                if width < 3 { pad[1].max(1) } else { pad[1] },
            ];
            let input = MapSize {
                batch: rng.between(1, 3),
                height,
                width,
                channels: rng.one_of(&channels),
            };
            let more = [rng.between(0, 1), rng.between(0, 1)];
            check::<E>(conv3(input, rng.one_of(&channels), pad, more), &mut rng, &mut worst);
        }
    }
}

#[test]
pub(crate) fn winograd_matches_the_oracle_in_f32_at_every_level() {
    at_every_level(|| small::<f32>("Winograd"));
}

#[test]
fn winograd_matches_the_oracle_in_f64() {
    small::<f64>("winograd, f64");
}

/// Batches that are cut into several tasks, images into several tasks, channels beyond 64.
#[test]
pub(crate) fn large_winograd_matches_the_oracle() {
    at_every_level(large);
}

fn large() {
    let (mut rng, mut worst) = (Rng(61), Worst::of("large Winograd"));
    for (batch, height, width, inputs, outputs) in [
        (1, 61, 34, 5, 24),
        (17, 7, 6, 48, 40),
        (2, 16, 16, 128, 72),
        (3, 8, 8, 65, 130),
        (40, 16, 16, 1, 20),
    ] {
        let input = MapSize {
            batch,
            height,
            width,
            channels: inputs,
        };
        check::<f32>(conv3(input, outputs, [1, 1], [0, 0]), &mut rng, &mut worst);
    }
}

/// The layers of the networks that the rule sends here, with as many terms per sum.
#[test]
pub(crate) fn the_rule_keeps_the_error_small() {
    at_every_level(layers_of_networks);
}

fn layers_of_networks() {
    let (mut rng, mut worst) = (Rng(62), Worst::of("Winograd in networks"));
    for (batch, side, channels) in [(8, 16, 64), (4, 8, 128), (4, 8, 256)] {
        let input = MapSize {
            batch,
            height: side,
            width: side,
            channels,
        };
        check_conv::<f32>(conv3(input, channels, [1, 1], [0, 0]), &mut rng, &mut worst);
    }
}

#[test]
fn the_choice_holds_inside_only() {
    let input = MapSize {
        batch: 1,
        height: 8,
        width: 8,
        channels: 4,
    };
    let size = conv3(input, 4, [1, 1], [0, 0]);
    let mut rng = Rng(63);
    let (x, weight) = (buf(&rng.values::<f32>(size.input.len())), buf(&rng.values(144)));
    let run = || cpu_of::<f32>().plain_conv_forward(size, &x, &weight, None).unwrap();
    let outside = run();
    let forced = with_winograd(WinogradChoice::Always, run);
    assert_ne!(outside[..], forced[..], "the two algorithms round differently");
    assert_eq!(outside[..], run()[..]);
}

/// The same bits for any number of threads.
#[test]
fn winograd_does_not_depend_on_threads() {
    let map = |batch, side, channels| MapSize {
        batch,
        height: side,
        width: side - 2,
        channels,
    };
    // Many tiles, and few tiles of many channels, which are cut otherwise.
    for input in [map(6, 33, 24), map(1, 9, 130)] {
        same_bits(conv3(input, 40, [1, 1], [0, 0]));
    }
}

fn same_bits(size: ConvSize) {
    let run = || {
        let mut rng = Rng(64);
        let (x, dy) = (
            buf(&rng.values::<f32>(size.input.len())),
            buf(&rng.values(size.output.len())),
        );
        let weight = buf(&rng.values(size.input.channels * 40 * 9));
        let mut dweight = weight.clone();
        cpu_of::<f32>()
            .plain_conv_backward_weight(size, &x, &dy, &mut dweight)
            .unwrap();
        let y = cpu_of::<f32>().plain_conv_forward(size, &x, &weight, None).unwrap();
        let dx = cpu_of::<f32>().plain_conv_backward_data(size, &weight, &dy).unwrap();
        let bits = |values: &CpuBuf<f32>| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        [bits(&y), bits(&dx), bits(&dweight)]
    };
    let with = |threads| {
        let threads = NonZeroUsize::new(threads).unwrap();
        with_threads(threads, || with_winograd(WinogradChoice::Always, run))
    };
    let one = with(1);
    for threads in [1, 2, 3, 8] {
        assert!(one == with(threads), "other bits with {threads} threads for {size:?}");
    }
}
