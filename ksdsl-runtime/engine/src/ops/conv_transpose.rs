//! Transposed convolutions: the data gradients of convolutions as layers.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::{ConvTail, Exec};
use crate::param::Param;
use crate::real::Real;
use crate::size::{Algorithm, ConvSize, MapSize, Window};
use crate::tape::Tape;
use std::rc::Rc;

/// The gradient with respect to the input of a convolution with the kernel `[in][out / groups][ky][kx]`, for `x` as the
/// gradient of its output, plus a bias if there is one: PyTorch's `conv_transpose2d`.
#[derive(Clone, Copy, Debug)]
pub struct ConvTranspose {
    /// Output channels.
    pub channels: usize,
    /// Height of the kernel.
    pub kernel_height: usize,
    /// Width of the kernel.
    pub kernel_width: usize,
    /// Rows of the output between those of neighbouring rows of the input.
    pub stride_height: usize,
    /// The same for columns.
    pub stride_width: usize,
    /// Rows that are cut off above, and below.
    pub pad_height: usize,
    /// Columns that are cut off on the left, and on the right.
    pub pad_width: usize,
    /// Rows more below; below the stride.
    pub output_pad_height: usize,
    /// Columns more on the right; below the stride.
    pub output_pad_width: usize,
    /// Groups; they divide both channels.
    pub groups: usize,
}

impl ConvTranspose {
    /// The convolution whose data gradient it is, for inputs of this size.
    fn convolution(&self, size: MapSize, unit: Option<usize>) -> ConvSize {
        ConvSize {
            input: self.output(&[size]),
            output: size,
            window: Window {
                kernel: [self.kernel_height, self.kernel_width],
                stride: [self.stride_height, self.stride_width],
                pad: [self.pad_height, self.pad_width],
                dilation: [1, 1],
            },
            groups: self.groups,
            algorithm: Algorithm::Auto,
            unit,
        }
    }
}

impl Operation for ConvTranspose {
    const NAMES: &'static [&'static str] = &["conv_transpose"];
    type Inputs<A> = [A; 1];
    /// The kernel, and the bias if there is one.
    type Params<A> = Vec<A>;

    fn of(call: &Call<'_>) -> Option<Self> {
        let positive = |name| call.size(name).filter(|size| *size > 0);
        Some(Self {
            channels: positive("channels")?,
            kernel_height: positive("kernel_height")?,
            kernel_width: positive("kernel_width")?,
            stride_height: positive("stride_height")?,
            stride_width: positive("stride_width")?,
            pad_height: call.size("pad_height")?,
            pad_width: call.size("pad_width")?,
            output_pad_height: call.size("output_pad_height")?,
            output_pad_width: call.size("output_pad_width")?,
            groups: positive("groups")?,
        })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        let along = |size: usize, [stride, kernel, more, pad]: [usize; 4]| {
            (size.saturating_sub(1) * stride + kernel + more).saturating_sub(2 * pad)
        };
        let rows = [
            self.stride_height,
            self.kernel_height,
            self.output_pad_height,
            self.pad_height,
        ];
        let columns = [
            self.stride_width,
            self.kernel_width,
            self.output_pad_width,
            self.pad_width,
        ];
        MapSize {
            height: along(inputs[0].height, rows),
            width: along(inputs[0].width, columns),
            channels: self.channels,
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        params: Vec<Param<E, X>>,
    ) -> Result<Act<E, X, T>, X::Err> {
        let size = self.convolution(x.size, x.context.unit);
        let rows = size.input.by_rows();
        let mut params = params.into_iter();
        let (weight, bias) = (params.next(), params.next());
        let x = x.ready()?;
        let exec = &x.context.exec;
        let mut y = match &weight {
            Some(weight) => exec.conv_backward_data(size, &weight.kernel(), &x.data, None)?,
            None => exec.zeroed(size.input.len())?,
        };
        if let Some(bias) = &bias {
            y = exec.add_to_rows(rows, y, bias.values())?;
        }
        let (input, grad) = (x.saved, x.grad);
        let backward = move |exec: &X, dy: X::Buf| {
            if let Some(bias) = &bias {
                bias.accumulate_values(exec, |sum| exec.bias_backward(rows, &dy, sum))?;
            }
            let Some(weight) = &weight else { return Ok(()) };
            weight.accumulate(exec, |sum| {
                exec.conv_backward_weight(size, &dy, &*input.get(exec)?, sum)
            })?;
            grad.add(
                exec,
                exec.conv_forward(size, &dy, &weight.kernel(), None, ConvTail::default())?,
            )
        };
        Ok(Act::output(x.context, size.input, Rc::new(y), backward))
    }
}
