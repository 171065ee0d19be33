//! Convolution, for any stride, padding, dilation and groups.
//!
//! `y[n, o, oy, ox] = bias[o] + sum over i, ky, kx of
//! x[n, g * I + i, oy * stride_y + ky * dilation_y - pad_y, ...] * weight[o, i, ky, kx]`
//! with `g = o / (outputs / groups)`, `I = inputs / groups`, and `x` zero outside the map.

use ksdsl_engine::Real;
use ksdsl_engine::size::ConvSize;

/// Where `(tap, output pixel)` reads along one axis, if that is inside the map.
pub(super) fn source(out: usize, tap: usize, [stride, dilation, pad]: [usize; 3], len: usize) -> Option<usize> {
    let at = (out * stride + tap * dilation).checked_sub(pad)?;
    (at < len).then_some(at)
}

/// Calls `f(input element, weight element, output element)` for every product of the sum above;
/// maps are NCHW.
fn for_products(size: &ConvSize, mut f: impl FnMut(usize, usize, usize)) {
    let (input, output, window) = (size.input, size.output, size.window);
    let (inputs, outputs) = (input.channels / size.groups, output.channels / size.groups);
    let [kernel_y, kernel_x] = window.kernel;
    let [axis_y, axis_x] = [0, 1].map(|a| [window.stride[a], window.dilation[a], window.pad[a]]);
    for n in 0..input.batch {
        for o in 0..output.channels {
            for oy in 0..output.height {
                for ox in 0..output.width {
                    let y = ((n * output.channels + o) * output.height + oy) * output.width + ox;
                    for i in 0..inputs {
                        let channel = n * input.channels + o / outputs * inputs + i;
                        for ky in 0..kernel_y {
                            let Some(iy) = source(oy, ky, axis_y, input.height) else {
                                continue;
                            };
                            for kx in 0..kernel_x {
                                let Some(ix) = source(ox, kx, axis_x, input.width) else {
                                    continue;
                                };
                                let x = (channel * input.height + iy) * input.width + ix;
                                f(x, ((o * inputs + i) * kernel_y + ky) * kernel_x + kx, y);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The output, `[batch][output channels][height][width]`.
pub fn forward<E: Real>(size: ConvSize, x: &[E], weight: &[E], bias: Option<&[E]>) -> Vec<E> {
    let mut y = vec![E::zero(); size.output.len()];
    if let Some(bias) = bias {
        let pixels = size.output.height * size.output.width;
        for (index, y) in y.iter_mut().enumerate() {
            *y = bias[index / pixels % size.output.channels];
        }
    }
    for_products(&size, |from, tap, to| y[to] += x[from] * weight[tap]);
    y
}

/// The gradient with respect to the input.
pub fn backward_data<E: Real>(size: ConvSize, weight: &[E], dy: &[E]) -> Vec<E> {
    let mut dx = vec![E::zero(); size.input.len()];
    for_products(&size, |from, tap, to| dx[from] += dy[to] * weight[tap]);
    dx
}

/// The gradient with respect to the weight, `[outputs][inputs / groups][ky][kx]`.
pub fn backward_weight<E: Real>(size: ConvSize, x: &[E], dy: &[E]) -> Vec<E> {
    let taps = size.window.kernel[0] * size.window.kernel[1];
    let len = size.output.channels * (size.input.channels / size.groups) * taps;
    let mut dweight = vec![E::zero(); len];
    for_products(&size, |from, tap, to| dweight[tap] += x[from] * dy[to]);
    dweight
}

/// The gradient with respect to the bias: the sum of `dy` per channel.
pub fn backward_bias<E: Real>(size: ConvSize, dy: &[E]) -> Vec<E> {
    let pixels = size.output.height * size.output.width;
    let mut dbias = vec![E::zero(); size.output.channels];
    for (index, &dy) in dy.iter().enumerate() {
        dbias[index / pixels % size.output.channels] += dy;
    }
    dbias
}
