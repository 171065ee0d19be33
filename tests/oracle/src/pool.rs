//! Pooling over windows and over whole maps.
//!
//! Maximum: over the taps inside the map; a window that lies in the padding altogether gives
//! negative infinity and passes no gradient. Average: the sum over the window, zero outside the
//! map, divided by the full window size.

use super::conv::source;
use ksdsl_engine::Real;
use ksdsl_engine::size::{MapSize, PoolKind, PoolSize, Window};

/// The input elements, NCHW, that the window of output `(plane, oy, ox)` covers, in row-major
/// order; a plane is one channel of one image.
fn covered(size: &PoolSize, plane: usize, oy: usize, ox: usize) -> Vec<usize> {
    let (input, window) = (size.input, size.window);
    let [axis_y, axis_x] = [0, 1].map(|a| [window.stride[a], window.dilation[a], window.pad[a]]);
    let mut elements = Vec::new();
    for ky in 0..window.kernel[0] {
        for kx in 0..window.kernel[1] {
            let iy = source(oy, ky, axis_y, input.height);
            let ix = source(ox, kx, axis_x, input.width);
            if let (Some(iy), Some(ix)) = (iy, ix) {
                elements.push((plane * input.height + iy) * input.width + ix);
            }
        }
    }
    elements
}

/// The first element with the greatest value, or the last NaN, as PyTorch has it.
fn first_max<E: Real>(x: &[E], elements: &[usize]) -> Option<usize> {
    elements
        .iter()
        .copied()
        .reduce(|best, at| if x[at] > x[best] || x[at].is_nan() { at } else { best })
}

/// Calls `f(output element, covered input elements)` for every window.
fn for_windows(size: &PoolSize, mut f: impl FnMut(usize, &[usize])) {
    let output = size.output;
    for plane in 0..output.batch * output.channels {
        for oy in 0..output.height {
            for ox in 0..output.width {
                let to = (plane * output.height + oy) * output.width + ox;
                f(to, &covered(size, plane, oy, ox));
            }
        }
    }
}

/// The pooled map.
pub fn forward<E: Real>(kind: PoolKind, size: PoolSize, x: &[E]) -> Vec<E> {
    let taps = E::of((size.window.kernel[0] * size.window.kernel[1]) as f64);
    let mut y = vec![E::zero(); size.output.len()];
    for_windows(&size, |to, elements| {
        y[to] = match kind {
            PoolKind::Max => first_max(x, elements).map_or(E::neg_infinity(), |at| x[at]),
            PoolKind::Average => elements.iter().map(|&at| x[at]).sum::<E>() / taps,
        };
    });
    y
}

/// The gradient with respect to the input.
pub fn backward<E: Real>(kind: PoolKind, size: PoolSize, x: &[E], dy: &[E]) -> Vec<E> {
    let taps = E::of((size.window.kernel[0] * size.window.kernel[1]) as f64);
    let mut dx = vec![E::zero(); size.input.len()];
    for_windows(&size, |from, elements| match kind {
        PoolKind::Max => {
            if let Some(at) = first_max(x, elements) {
                dx[at] += dy[from];
            }
        }
        PoolKind::Average => elements.iter().for_each(|&at| dx[at] += dy[from] / taps),
    });
    dx
}

/// Global pooling as pooling with one window over the map.
fn whole(size: MapSize) -> PoolSize {
    PoolSize {
        input: size,
        output: MapSize {
            height: 1,
            width: 1,
            ..size
        },
        window: Window {
            kernel: [size.height, size.width],
            stride: [1, 1],
            pad: [0, 0],
            dilation: [1, 1],
        },
    }
}

/// Pools whole maps: `[batch][channels]`.
pub fn global_forward<E: Real>(kind: PoolKind, size: MapSize, x: &[E]) -> Vec<E> {
    forward(kind, whole(size), x)
}

/// The gradient with respect to the input.
pub fn global_backward<E: Real>(kind: PoolKind, size: MapSize, x: &[E], dy: &[E]) -> Vec<E> {
    backward(kind, whole(size), x, dy)
}
