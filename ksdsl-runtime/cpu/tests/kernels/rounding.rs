//! How far the output of a training pass is off: as little as PyTorch's.

use crate::support::{Rng, at_every_level, buf, cpu_of, wide};
use ksdsl_engine::exec::Exec;
use ksdsl_engine::size::{Algorithm, ConvSize, MapSize, Window};
use ksdsl_oracle::combine::{to_nchw, to_nhwc};
use ksdsl_oracle::{conv, outputs_along};

fn size(batch: usize, side: usize, channels: [usize; 2], kernel: usize) -> ConvSize {
    let window = Window {
        kernel: [kernel; 2],
        stride: [1; 2],
        pad: [kernel / 2; 2],
        dilation: [1; 2],
    };
    let side_out = outputs_along(&window, 0, side).unwrap();
    let map = |channels, side| MapSize {
        batch,
        height: side,
        width: side,
        channels,
    };
    ConvSize {
        input: map(channels[0], side),
        output: map(channels[1], side_out),
        window,
        groups: 1,
        algorithm: Algorithm::Training,
        unit: None,
    }
}

/// The root mean square of the error, as a part of that of the output.
fn error(size: ConvSize) -> f64 {
    let mut rng = Rng(80);
    let weights = size.output.channels * size.input.channels * size.window.kernel.iter().product::<usize>();
    let (x, weight) = (rng.values::<f32>(size.input.len()), rng.values::<f32>(weights));
    // As behind a ReLU.
    let x: Vec<f32> = x.iter().map(|x| x.max(0.0)).collect();
    let device = cpu_of::<f32>();
    let kernel = device.kernel(buf(&weight));
    let y = device
        .conv_moments(size, &buf(&to_nhwc(size.input, &x)), &kernel, None, None)
        .unwrap();
    let want = conv::forward(size, &wide(&x), &wide(&weight), None);
    let got = to_nchw(size.output, &y.output);
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let off = squares(&mut got.iter().zip(&want).map(|(&got, want)| f64::from(got) - want));
    (off / squares(&mut want.iter().copied())).sqrt()
}

/// PyTorch's error, of which no layer here may have twice as much, is 1.5e-7 to 1.8e-7:
///
/// ```python
/// for batch, side, (inputs, outputs), kernel in cases:
///     x = (2 * torch.rand(batch, inputs, side, side) - 1).relu()
///     w = 2 * torch.rand(outputs, inputs, kernel, kernel) - 1
///     y, want = (F.conv2d(x.to(t), w.to(t), padding=kernel // 2).double() for t in (torch.float, torch.double))
///     print((y - want).square().mean().sqrt() / want.square().mean().sqrt())
/// ```
#[test]
fn the_output_of_a_training_pass_is_as_exact_as_that_of_pytorch() {
    let cases = [
        (4, 4, [192, 192], 3),
        (4, 8, [96, 96], 3),
        (4, 16, [48, 24], 3),
        (1, 4, [512, 64], 3),
        (4, 32, [32, 64], 3),
        (4, 4, [1024, 64], 1),
    ];
    at_every_level(|| {
        for (batch, side, channels, kernel) in cases {
            let size = size(batch, side, channels, kernel);
            let error = error(size);
            println!("{error:.1e} for {size:?}");
            assert!(error <= 3e-7, "{error:e} for {size:?}");
        }
    });
}
