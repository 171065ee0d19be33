//! What convolutions, linear layers and pools have in common: padding, what windows leave of a map, kernels, projections.

use super::conv::Conv;
use super::prelude::*;
use crate::steps::{BufferId, ConstantId, ConvSize, Kind};

/// What must be equal for convolutions, or for transposed ones, to use one kernel.
pub(super) fn of_kernel(kernel: [u64; 2], [inputs, outputs]: [u64; 2], groups: u64) -> Vec<(&'static str, Vec<u64>)> {
    vec![
        ("kernel size", kernel.to_vec()),
        ("number of input channels", vec![inputs]),
        ("number of output channels", vec![outputs]),
        ("number of groups", vec![groups]),
    ]
}

/// Padding above, below, left and right. `same` makes the output `ceil(input / stride)`; where the
/// total is odd, the extra zeros go below and to the right, as in TensorFlow and PyTorch (which refuses `same` with
/// strides).
pub(super) fn padding(
    padding: Padding,
    size: [u64; 2],
    kernel: [u64; 2],
    stride: [u64; 2],
    dilation: [u64; 2],
) -> [u64; 4] {
    let sides = |axis: usize| match padding {
        Padding::Zeros(pad) => [pad[axis], pad[axis]],
        Padding::Same => {
            let outputs = size[axis].div_ceil(stride[axis]);
            let needed = (outputs.max(1) - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1;
            let total = needed.saturating_sub(size[axis]);
            [total / 2, total - total / 2]
        }
        Padding::Causal => [dilation[axis] * (kernel[axis] - 1), 0],
    };
    let ([top, bottom], [left, right]) = (sides(0), sides(1));
    [top, bottom, left, right]
}

/// The problem that a window does not fit into a map.
pub(super) fn reaches_zero(axis: usize, size: u64, pads: u64, window: u64) -> Problem {
    let axis = ["height", "width"][axis];
    let padded = match pads {
        0 => String::new(),
        _ => format!(" (with {pads} of padding)"),
    };
    Problem::new(
        Code::SizeReachesZero,
        format!("the {axis} reaches zero: a window of {window} does not fit into {size}{padded}"),
    )
    .help("use a smaller kernel, more padding, or fewer strides before this layer")
}

/// The 1x1 convolution that takes a residual's input to the shape of its main way, if there is
/// one: its stride is what takes one spatial size to the other.
pub(crate) fn projection(input: Shape, output: Shape) -> Option<Conv> {
    let (
        Shape::Map {
            channels: inputs,
            height,
            width,
        },
        Shape::Map {
            channels: outputs,
            height: out_height,
            width: out_width,
        },
    ) = (input.as_map(), output.as_map())
    else {
        return None;
    };
    // The smallest stride s with ceil(size / s) == out; none for an output larger than the input.
    let stride = |size: u64, out: u64| {
        let stride = size.div_ceil(out);
        (size.div_ceil(stride) == out).then_some(stride)
    };
    Some(Conv {
        inputs,
        outputs,
        kernel: [1, 1],
        stride: [stride(height, out_height)?, stride(width, out_width)?],
        pad: [0; 4],
        dilation: [1, 1],
        groups: 1,
        bias: false,
        standardize: None,
        init: Init::of_kernel_and_bias(&Args::default(), inputs as f64, outputs as f64),
    })
}

/// A kernel `[output][input][row][column]` as steps have it.
pub(super) fn taps_first(kernel: &[f32], size: &ConvSize) -> Vec<f32> {
    let taps = size.kernel[0] * size.kernel[1];
    let inputs = size.input[2] / size.groups.max(1);
    let value = |at: usize| match size.is_depthwise() {
        true => kernel[at % size.output[2] * taps + at / size.output[2]],
        false => {
            let (row, rest) = (at / (taps * inputs), at % (taps * inputs));
            kernel[(row * inputs + rest % inputs) * taps + rest / inputs]
        }
    };
    (0..kernel.len()).map(value).collect()
}

/// The step of a convolution, or of a linear layer as one of maps of one pixel, with this kernel.
pub(super) fn conv_step(to: &mut Lower<'_, '_>, size: ConvSize, weight: ConstantId) -> BufferId {
    let (scale, shift) = (to.scale(), to.tensor("bias"));
    let x = to.x();
    let kind = Kind::Conv {
        size,
        weight,
        scale,
        shift,
    };
    to.step(kind, &[x])
}
