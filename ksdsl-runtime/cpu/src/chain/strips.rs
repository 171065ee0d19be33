//! A depthwise convolution of what a pointwise one makes: strips of rows, of which each row is made once in a task.

use super::{Linear, Link};
use crate::depthwise::{self, Rows};
use crate::par;
use crate::real::CpuReal;
use crate::simd::Level;
use crate::{CpuBuf, CpuKernel};
use ksdsl_engine::exec::ConvLink;
use ksdsl_engine::size::ConvSize;
use std::ops::Range;

/// Values of the rows in use: a quarter of an L2 cache of 1 MB, in which the output and the kernels want room too.
const WINDOW: usize = 1 << 17;
/// Values of a map that the L2 caches do not hold.
const LARGE: usize = 1 << 18;

/// Whether the depthwise convolution can be computed so at a level.
pub(super) fn takes(level: Level, size: &ConvSize) -> bool {
    let window = &size.window;
    depthwise::takes_rows(level, &size.for_rules()) && window.pad[0] < window.kernel[0]
}

/// Whether the map between both is worth it.
pub(super) fn pays(size: &ConvSize) -> bool {
    size.input.len() / size.input.batch.max(1) * size.unit.unwrap_or(size.input.batch) >= LARGE
}

/// Rows of the output of a strip, and those of the input that it reads at most.
pub(crate) fn rows(size: &ConvSize) -> [usize; 2] {
    let (kernel, stride) = (size.window.kernel[0], size.window.stride[0]);
    let fit = WINDOW / (size.input.width * size.input.channels).max(1);
    let outputs = match fit.saturating_sub(kernel) / stride + 1 {
        many @ 4.. => many / 4 * 4,
        few => few,
    };
    [outputs, (outputs - 1) * stride + kernel]
}

/// Values of the scratch of a task: rows of the input and, if they are not written to the output, rows of the output.
pub(crate) fn scratch(size: &ConvSize, is_through: bool) -> [usize; 2] {
    let [outputs, inputs] = rows(size);
    let out = if is_through {
        outputs * size.output.width * size.output.channels
    } else {
        0
    };
    [inputs * size.input.width * size.input.channels, out]
}

/// The rows of the input that these rows of the output read.
fn read(size: &ConvSize, outputs: Range<usize>) -> Range<usize> {
    let (window, height) = (&size.window, size.input.height);
    let [kernel, stride, pad] = [window.kernel[0], window.stride[0], window.pad[0]];
    let start = (outputs.start * stride).saturating_sub(pad).min(height);
    let end = ((outputs.end - 1) * stride + kernel).saturating_sub(pad);
    start..end.clamp(start, height)
}

/// Runs `expand` and the depthwise convolution of its output, whose output `link` gets.
pub(super) fn forward<E: CpuReal>(
    expand: &Linear<'_, E>,
    x: &[E],
    depthwise: &ConvLink<'_, CpuBuf<E>, CpuKernel<E>>,
    link: &Link<'_, E>,
) {
    let size = &depthwise.size;
    let Some(convolution) = Rows::new(size, depthwise.kernel, depthwise.bias) else {
        unreachable!("only `f32` is fused");
    };
    let (input, output) = (&size.input, &size.output);
    let [most, _] = rows(size);
    let row_len = input.width * input.channels;
    let inputs = expand.product.size().inputs;
    par::for_ranges(depthwise::cut(size), |rows| {
        let [mut window, mut scratch] = scratch(size, link.is_through()).map(CpuBuf::<E>::scratch);
        let mut row = rows.start;
        let mut there = 0..0;
        while row < rows.end {
            let (image, first) = (row / output.height, row % output.height);
            if row == rows.start || first == 0 {
                there = 0..0;
            }
            let count = most.min(output.height - first).min(rows.end - row);
            let wanted = read(size, first..first + count);
            let kept = wanted.start.clamp(there.start, there.end)..there.end;
            window.copy_within(
                (kept.start - there.start) * row_len..(kept.end - there.start) * row_len,
                0,
            );
            let new = if kept.is_empty() {
                wanted.clone()
            } else {
                kept.end..wanted.end
            };
            let pixel = (image * input.height + new.start) * input.width;
            let made = &mut window[(new.start - wanted.start) * row_len..][..new.len() * row_len];
            expand.run(pixel, &x[pixel * inputs..][..new.len() * input.width * inputs], made);
            let source = &window[..wanted.len() * row_len];
            let pixels = (row * output.width, count * output.width, output.channels);
            // SAFETY: of rows of this task, which no other task has.
            unsafe {
                link.pixels(pixels, &mut scratch, |y| {
                    convolution.run((source, wanted.start), first, y)
                });
            }
            there = wanted;
            row += count;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::{read, rows};
    use ksdsl_engine::size::{ConvSize, MapSize, Window};

    /// Each row of the output reads what the definition says, and a strip has room for it.
    #[test]
    fn strips_read_their_rows() {
        for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
            let map = |side| MapSize {
                batch: 1,
                height: side,
                width: side,
                channels: 300,
            };
            let size = ConvSize {
                input: map(21),
                output: map((21 + 2 * (kernel / 2) - kernel) / stride + 1),
                window: Window {
                    kernel: [kernel; 2],
                    stride: [stride; 2],
                    pad: [kernel / 2; 2],
                    dilation: [1; 2],
                },
                groups: 300,
                algorithm: Default::default(),
                unit: None,
            };
            let [most, room] = rows(&size);
            for first in 0..size.output.height {
                for count in 1..=most.min(size.output.height - first) {
                    let taps = (first..first + count).flat_map(|row| (0..kernel).map(move |tap| row * stride + tap));
                    let inside = taps.filter_map(|at| at.checked_sub(kernel / 2)).filter(|&at| at < 21);
                    let (least, last) = (inside.clone().min().unwrap(), inside.max().unwrap());
                    let range = read(&size, first..first + count);
                    assert_eq!(range, least..last + 1);
                    assert!(range.len() <= room);
                }
            }
        }
    }
}
