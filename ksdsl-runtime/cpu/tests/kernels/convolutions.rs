//! Convolutions and linear layers.

use crate::support::{Checked, Kernels, Plain, Rng, Worst, at_every_level, buf, cpu, pixels, wide};
use ksdsl_cpu::CpuExec;
use ksdsl_engine::exec::Exec;
use ksdsl_engine::size::{ConvSize, LinearSize, MapSize, RowSize, Window};
use ksdsl_oracle::combine::{to_nchw, to_nhwc};
use ksdsl_oracle::{conv, linear, outputs_along};

/// Groups, inputs and outputs: dense, grouped, depthwise, depthwise with a multiplier.
fn channels(rng: &mut Rng) -> [usize; 3] {
    match rng.between(0, 4) {
        0 | 1 => [1, rng.between(1, 20), rng.between(1, 37)],
        2 => {
            let groups = rng.between(2, 4);
            [groups, groups * rng.between(1, 5), groups * rng.between(1, 9)]
        }
        3 => {
            let count = rng.one_of(&[1, 2, 7, 31, 32, 33, 48, 64, 70]);
            [count, count, count]
        }
        _ => {
            let groups = rng.between(1, 9);
            [groups, groups, groups * 2]
        }
    }
}

/// A random convolution; its output may be one larger than PyTorch's, as with uneven padding.
pub(crate) fn random(rng: &mut Rng) -> Option<ConvSize> {
    let [groups, inputs, output_channels] = channels(rng);
    let input = MapSize {
        channels: inputs,
        ..rng.map_size()
    };
    let kernel = [rng.between(1, 9), rng.between(1, 9)];
    let kernel = if rng.between(0, 3) == 0 { [1, 1] } else { kernel };
    let window = Window {
        kernel,
        stride: [rng.between(1, 3), rng.between(1, 3)],
        pad: [rng.between(0, kernel[0]), rng.between(0, kernel[1])],
        dilation: [rng.between(1, 2), rng.between(1, 2)],
    };
    let output = MapSize {
        batch: input.batch,
        height: outputs_along(&window, 0, input.height)? + rng.between(0, 1),
        width: outputs_along(&window, 1, input.width)? + rng.between(0, 1),
        channels: output_channels,
    };
    Some(ConvSize {
        input,
        output,
        window,
        groups,
        algorithm: Default::default(),
        unit: None,
    })
}

pub(crate) fn check_conv<E: Checked>(size: ConvSize, rng: &mut Rng, worst: &mut Worst)
where
    CpuExec: Kernels<E>,
{
    let taps = size.window.kernel[0] * size.window.kernel[1];
    let weights = size.output.channels * size.input.channels / size.groups * taps;
    let (x, dy) = (rng.values::<E>(size.input.len()), rng.values::<E>(size.output.len()));
    let (weight, before) = (rng.values::<E>(weights), rng.values::<E>(weights));
    let bias = rng.values::<E>(size.output.channels);
    let (nhwc_x, nhwc_dy) = (buf(&to_nhwc(size.input, &x)), buf(&to_nhwc(size.output, &dy)));
    let (x, dy, wide_weight) = (wide(&x), wide(&dy), wide(&weight));

    worst.part("forward");
    for bias in [None, Some(&bias)] {
        let wide_bias = bias.map(|bias| wide(bias));
        let want = conv::forward(size, &x, &wide_weight, wide_bias.as_deref());
        let bias = bias.map(|bias| buf(bias));
        let y = cpu()
            .plain_conv_forward(size, &nhwc_x, &buf(&weight), bias.as_ref())
            .unwrap();
        worst.check(&size, &to_nchw(size.output, &y), &want);
    }
    let dx = cpu().plain_conv_backward_data(size, &buf(&weight), &nhwc_dy).unwrap();
    let want = conv::backward_data(size, &wide_weight, &dy);
    worst
        .part("data gradient")
        .check(&size, &to_nchw(size.input, &dx), &want);

    let mut dweight = buf(&before);
    cpu()
        .plain_conv_backward_weight(size, &nhwc_x, &nhwc_dy, &mut dweight)
        .unwrap();
    let mut want = conv::backward_weight(size, &x, &dy);
    want.iter_mut()
        .zip(&before)
        .for_each(|(want, before)| *want += before.wide());
    worst.part("weight gradient").check(&size, &dweight, &want);

    let mut dbias = buf(&bias);
    let rows = RowSize {
        rows: size.output.rows(),
        channels: size.output.channels,
    };
    cpu().bias_backward(rows, &nhwc_dy, &mut dbias).unwrap();
    let mut want = conv::backward_bias(size, &dy);
    want.iter_mut()
        .zip(&bias)
        .for_each(|(want, before)| *want += before.wide());
    worst.part("bias gradient").check(&size, &dbias, &want);
}

fn many_convs<E: Checked>(name: &'static str)
where
    CpuExec: Kernels<E>,
{
    let (mut rng, mut worst) = (Rng(1), Worst::of(name));
    let mut left = 160;
    while left > 0 {
        if let Some(size) = random(&mut rng) {
            check_conv::<E>(size, &mut rng, &mut worst);
            left -= 1;
        }
    }
}

#[test]
pub(crate) fn convolutions_match_the_oracle_in_f32_at_every_level() {
    at_every_level(|| many_convs::<f32>("random convolution"));
}

#[test]
fn convolutions_match_the_oracle_in_f64() {
    many_convs::<f64>("convolution, f64");
}

/// Maps large enough to be cut into several tiles, parts and tasks.
#[test]
pub(crate) fn large_convolutions_match_the_oracle() {
    at_every_level(large_convolutions);
}

fn large_convolutions() {
    let (mut rng, mut worst) = (Rng(2), Worst::of("large convolution"));
    for (groups, kernel, stride) in [(1, 3, 1), (1, 3, 2), (2, 3, 1), (24, 5, 1), (1, 1, 1)] {
        let input = MapSize {
            batch: 5,
            height: 30,
            width: 27,
            channels: 24,
        };
        let window = Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            pad: [kernel / 2; 2],
            dilation: [1; 2],
        };
        let output = MapSize {
            height: outputs_along(&window, 0, 30).unwrap(),
            width: outputs_along(&window, 1, 27).unwrap(),
            ..input
        };
        let size = ConvSize {
            input,
            output,
            window,
            groups,
            algorithm: Default::default(),
            unit: None,
        };
        check_conv::<f32>(size, &mut rng, &mut worst);
    }
}

fn many_linears<E: Checked>(name: &'static str)
where
    CpuExec: Kernels<E>,
{
    let (mut rng, mut worst) = (Rng(3), Worst::of(name));
    for case in 0..60 {
        let rows = if case % 10 == 0 { 1500 } else { rng.between(1, 70) };
        // Kernels beside which the rows are few.
        let most = if case % 10 == 5 { 700 } else { 70 };
        let size = LinearSize {
            rows,
            inputs: rng.between(most - 69, most),
            outputs: rng.between(most - 69, most),
        };
        let (x, dy) = (
            rng.values::<E>(rows * size.inputs),
            rng.values::<E>(rows * size.outputs),
        );
        let weight = rng.values::<E>(size.inputs * size.outputs);
        let bias = (case % 2 == 0).then(|| rng.values::<E>(size.outputs));
        let before = rng.values::<E>(weight.len());

        let wide_bias = bias.as_deref().map(wide);
        let want = linear::forward(size, &wide(&x), &wide(&weight), wide_bias.as_deref());
        let bias = bias.as_deref().map(buf);
        let y = cpu()
            .plain_conv_forward(pixels(size), &buf(&x), &buf(&weight), bias.as_ref())
            .unwrap();
        worst.part("forward").check(&size, &y, &want);

        let dx = cpu()
            .plain_conv_backward_data(pixels(size), &buf(&weight), &buf(&dy))
            .unwrap();
        let want = linear::backward_data(size, &wide(&weight), &wide(&dy));
        worst.part("data gradient").check(&size, &dx, &want);

        let mut dweight = buf(&before);
        cpu()
            .plain_conv_backward_weight(pixels(size), &buf(&x), &buf(&dy), &mut dweight)
            .unwrap();
        let mut want = linear::backward_weight(size, &wide(&x), &wide(&dy));
        want.iter_mut()
            .zip(&before)
            .for_each(|(want, before)| *want += before.wide());
        worst.part("weight gradient").check(&size, &dweight, &want);
    }
}

#[test]
pub(crate) fn linear_layers_match_the_oracle() {
    at_every_level(|| many_linears::<f32>("linear"));
    many_linears::<f64>("linear, f64");
}
