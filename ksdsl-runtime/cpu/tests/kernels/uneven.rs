//! A value that is not finite, or far greater than all others, by the algorithms that mix pixels: outputs
//! whose windows do not hold it must not notice, in either direction and in the kernel's gradient.
//!
//! The oracle in `f64` says what is right. How far off a value may be follows from the sum of the magnitudes
//! of its products, which the oracle computes from magnitudes; values outside the window do not see the
//! great one there either.

use crate::support::{Kernels, Plain, Rng, at_every_level, buf, cpu_of, wide};
use crate::winograd::conv3;
use ksdsl_cpu::CpuExec;
use ksdsl_cpu::CpuReal;
use ksdsl_cpu::{CpuBuf, WinogradChoice, with_threads, with_winograd};
use ksdsl_engine::exec::Exec;
use ksdsl_engine::size::{Algorithm, ConvSize, MapSize, Window};
use ksdsl_oracle::combine::{to_nchw, to_nhwc};
use ksdsl_oracle::{conv, outputs_along};
use std::num::NonZeroUsize;

const SPOILT: [f64; 8] = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e3, 1e5, 1e8, -1e30, 3e38];

fn map(batch: usize, height: usize, width: usize, channels: usize) -> MapSize {
    MapSize {
        batch,
        height,
        width,
        channels,
    }
}

/// Convolutions by Winograd's algorithm: whole and cut tiles, few tiles of many channels, no padding and much.
fn dense() -> Vec<ConvSize> {
    let winograd = |size| ConvSize {
        algorithm: Algorithm::Winograd,
        ..size
    };
    let sizes = [
        conv3(map(2, 13, 14, 5), 18, [1, 1], [0, 0]),
        conv3(map(2, 9, 8, 17), 4, [2, 0], [0, 1]),
        conv3(map(1, 8, 9, 96), 96, [1, 1], [0, 0]),
    ];
    sizes.map(winograd).to_vec()
}

/// Depthwise convolutions by Toom-Cook's.
fn depthwise() -> Vec<ConvSize> {
    vec![toom(2, 26, 5, 9, 4), toom(1, 21, 17, 3, 1), toom(1, 13, 2, 10, 0)]
}

fn toom(batch: usize, width: usize, channels: usize, kernel: usize, pad: usize) -> ConvSize {
    let window = Window {
        kernel: [7, kernel],
        stride: [1; 2],
        pad: [3, pad],
        dilation: [1; 2],
    };
    let input = map(batch, 11, width, channels);
    ConvSize {
        input,
        output: MapSize {
            width: outputs_along(&window, 1, width).unwrap(),
            ..input
        },
        window,
        groups: channels,
        algorithm: Algorithm::ToomCook,
        unit: None,
    }
}

/// Maps of a few pixels, where some taps multiply few outputs, or none, with pixels inside the map.
fn thin() -> Vec<ConvSize> {
    let winograd = |size| ConvSize {
        algorithm: Algorithm::Winograd,
        ..size
    };
    let sizes = [
        conv3(map(3, 1, 6, 4), 5, [1, 1], [0, 0]),
        conv3(map(3, 5, 2, 4), 5, [0, 1], [0, 0]),
        conv3(map(2, 1, 3, 4), 5, [2, 2], [0, 0]),
        conv3(map(2, 3, 3, 4), 5, [2, 0], [0, 2]),
    ];
    [
        sizes.map(winograd).to_vec(),
        vec![toom(1, 5, 3, 9, 4), toom(2, 1, 3, 5, 2), toom(2, 3, 4, 6, 5)],
    ]
    .concat()
}

/// A map with one value of another kind in a place that follows from `which`: two corners, an edge at the side and one
/// at the bottom, in between.
fn spoil<E: CpuReal>(size: MapSize, values: &[E], which: usize, value: f64) -> Vec<E> {
    let mut values = values.to_vec();
    let [bottom, right] = [size.height - 1, size.width - 1];
    let places = [
        [0, 0],
        [bottom, right],
        [bottom / 2, 0],
        [bottom, 10 % right],
        [bottom / 2, 5],
    ];
    let ([y, x], channel) = (places[which], which % size.channels);
    values[(channel * size.height + y) * size.width + x] = E::of(value);
    values
}

fn magnitudes(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.abs()).collect()
}

/// The same where that is not a number; otherwise near, as a part of `scale`, the sum of the products' magnitudes.
///
/// Depthwise, what multiplies the value by something small has the rounding of what multiplies it by more: the rows
/// that are compared are about as long as the kernel's.
fn check<E: CpuReal>(what: &str, size: &ConvSize, got: &[E], want: &[f64], scale: &[f64]) {
    let tolerance = if size.groups > 1 { 16.0 * 2e-6 } else { 2e-6 };
    for (at, ((got, &want), &scale)) in got.iter().zip(want).zip(scale).enumerate() {
        let got = got.wide();
        let right = match want.is_finite() {
            true => got == want || (got - want).abs() <= tolerance * scale,
            false => got == want || got.is_nan() && want.is_nan(),
        };
        assert!(right, "{what}: {got:e} for {want:e} at {at} of {size:?}");
    }
}

/// The gradient of a kernel from maps of which one has such a value in a place that follows from `which`.
fn weight_gradient<E: CpuReal>(
    what: &str,
    device: &impl Exec<E, Buf = CpuBuf<E>>,
    size: ConvSize,
    [x, dy]: [&[E]; 2],
    value: f64,
    which: usize,
) {
    let taps = size.window.kernel[0] * size.window.kernel[1];
    let mut dweight = CpuBuf::zeros(size.output.channels * size.input.channels / size.groups * taps);
    let (from, to) = (buf(&to_nhwc(size.input, x)), buf(&to_nhwc(size.output, dy)));
    device
        .plain_conv_backward_weight(size, &from, &to, &mut dweight)
        .unwrap();
    let (wide_x, wide_dy) = (wide(x), wide(dy));
    let mut want = conv::backward_weight(size, &wide_x, &wide_dy);
    let of_output = what.ends_with("of the output");
    if (size.groups > 1 || of_output) && !value.is_finite() {
        // The channel has no gradient to speak of: some of its taps are not finite, and others multiply
        // the value with the zeros around the map.
        let (channel, len) = (which % size.output.channels, want.len() / size.output.channels);
        let channel = channel * len..(channel + 1) * len;
        for (got, want) in dweight[channel.clone()].iter_mut().zip(&mut want[channel]) {
            (*got, *want) = (E::zero(), 0.0);
        }
    }
    let scale = conv::backward_weight(size, &magnitudes(&wide_x), &magnitudes(&wide_dy));
    check(what, &size, &dweight, &want, &scale);
}

fn spoilt_values<E: CpuReal>(sizes: &[ConvSize], which: std::ops::Range<usize>)
where
    CpuExec: Kernels<E>,
{
    let mut rng = Rng(70);
    for &size in sizes {
        let taps = size.window.kernel[0] * size.window.kernel[1];
        let weight = rng.values::<E>(size.output.channels * size.input.channels / size.groups * taps);
        let (x, dy) = (rng.values::<E>(size.input.len()), rng.values::<E>(size.output.len()));
        let (device, wide_weight, kernel) = (cpu_of::<E>(), wide(&weight), buf(&weight));
        for (which, value) in which.clone().flat_map(|which| SPOILT.map(|value| (which, value))) {
            let what = |part: &str| format!("{part}, {value:e} in place {which}");
            let spoilt = spoil(size.input, &x, which, value);
            let (from, wide_x) = (buf(&to_nhwc(size.input, &spoilt)), wide(&spoilt));
            let y = device.plain_conv_forward(size, &from, &kernel, None).unwrap();
            check(
                &what("forward"),
                &size,
                &to_nchw(size.output, &y),
                &conv::forward(size, &wide_x, &wide_weight, None),
                &conv::forward(size, &magnitudes(&wide_x), &magnitudes(&wide_weight), None),
            );
            weight_gradient(&what("weight gradient"), &device, size, [&spoilt, &dy], value, which);
            let spoilt = spoil(size.output, &dy, which, value);
            let what_of_dy = format!("{} of the output", what("weight gradient"));
            weight_gradient(&what_of_dy, &device, size, [&x, &spoilt], value, which);
            let wide_dy = wide(&spoilt);
            let dx = device
                .plain_conv_backward_data(size, &kernel, &buf(&to_nhwc(size.output, &spoilt)))
                .unwrap();
            check(
                &what("data gradient"),
                &size,
                &to_nchw(size.input, &dx),
                &conv::backward_data(size, &wide_weight, &wide_dy),
                &conv::backward_data(size, &magnitudes(&wide_weight), &magnitudes(&wide_dy)),
            );
        }
    }
}

#[test]
fn outputs_outside_the_window_of_a_spoilt_value_do_not_notice() {
    at_every_level(|| {
        spoilt_values::<f32>(&dense(), 0..5);
        spoilt_values::<f32>(&depthwise(), 0..5);
    });
    spoilt_values::<f64>(&dense(), 1..3);
}

/// Output gradients of which a row or a column at the edge, or some in between, are far greater than all others,
/// for dense convolutions behind a ReLU, which leaves zeros in the inputs: the taps that multiply them with padding or
/// with zeros alone do not notice.
#[test]
fn taps_that_multiply_great_gradients_with_zeros_do_not_notice() {
    let great = |size: MapSize, which: usize, at: usize| {
        let (y, x) = (at / size.width % size.height, at % size.width);
        match which {
            0 => y == 0,
            1 => y + 1 == size.height,
            2 => x == 0,
            3 => x + 1 == size.width,
            _ => (at % (size.height * size.width)).is_multiple_of(67),
        }
    };
    at_every_level(|| {
        let mut rng = Rng(73);
        for size in [dense(), depthwise(), thin()].concat() {
            let x: Vec<f32> = rng.values(size.input.len());
            let x: Vec<f32> = x
                .iter()
                .map(|x| if size.groups > 1 { *x } else { x.max(0.0) })
                .collect();
            let dy: Vec<f32> = rng.values(size.output.len());
            for (value, which) in [1e3, 1e5, 1e8]
                .into_iter()
                .flat_map(|value| (0..5).map(move |which| (value, which)))
            {
                let places = (0..dy.len()).map(|at| great(size.output, which, at));
                let spoilt: Vec<f32> = dy
                    .iter()
                    .zip(places)
                    .map(|(dy, great)| if great { value * dy } else { *dy })
                    .collect();
                let what = format!("weight gradient, times {value:e} in places {which}");
                weight_gradient(&what, &cpu_of::<f32>(), size, [&x, &spoilt], 0.0, 0);
            }
        }
    });
}

/// A map of nothing but NaNs, or of infinities of both signs, and a half of a map that is far greater.
#[test]
fn whole_maps_of_spoilt_values_match_the_oracle() {
    let size = dense()[0];
    let mut rng = Rng(71);
    let weight = rng.values::<f32>(size.output.channels * size.input.channels * 9);
    let x = rng.values::<f32>(size.input.len());
    let left = |at: usize| at % size.input.width < 6;
    let maps = [
        vec![f32::NAN; x.len()],
        x.iter().map(|x| x.signum() * f32::INFINITY).collect(),
        x.iter()
            .enumerate()
            .map(|(at, x)| if left(at) { 1e6 * x } else { *x })
            .collect(),
    ];
    at_every_level(|| {
        for x in &maps {
            let y = cpu_of::<f32>()
                .plain_conv_forward(size, &buf(&to_nhwc(size.input, x)), &buf(&weight), None)
                .unwrap();
            let (x, weight) = (wide(x), wide(&weight));
            check(
                "a whole map",
                &size,
                &to_nchw(size.output, &y),
                &conv::forward(size, &x, &weight, None),
                &conv::forward(size, &magnitudes(&x), &magnitudes(&weight), None),
            );
        }
    });
}

/// An image has the same bits whatever is in the image beside it, and with any number of threads.
#[test]
fn an_image_does_not_depend_on_spoilt_neighbours() {
    for size in [dense()[0], depthwise()[0]] {
        let mut rng = Rng(72);
        let taps = size.window.kernel[0] * size.window.kernel[1];
        let weight = buf(&rng.values::<f32>(size.output.channels * size.input.channels / size.groups * taps));
        let x = rng.values::<f32>(size.input.len());
        let run = |x: &[f32], threads: usize| -> Vec<u32> {
            let run = || {
                cpu_of::<f32>()
                    .plain_conv_forward(size, &buf(x), &weight, None)
                    .unwrap()
            };
            let threads = NonZeroUsize::new(threads).unwrap();
            let y = with_threads(threads, || with_winograd(WinogradChoice::WhereItPays, run));
            y.iter().map(|value| value.to_bits()).collect()
        };
        let half = size.output.len() / 2;
        let clean = run(&x, 1);
        for (value, threads) in SPOILT
            .into_iter()
            .flat_map(|value| [1, 2, 5].map(|threads| (value, threads)))
        {
            let mut spoilt = x.clone();
            spoilt[..x.len() / 2]
                .iter_mut()
                .step_by(97)
                .for_each(|x| *x = value as f32);
            let y = run(&spoilt, threads);
            assert!(y[half..] == clean[half..], "{value:e} beside it changes an image");
            assert!(y == run(&spoilt, 3), "{value:e}: other bits with other threads");
        }
    }
}
