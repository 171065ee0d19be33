//! The layout of unrolled kernels.

use crate::par;
use crate::real::CpuReal;
use ksdsl_engine::size::ConvSize;

/// The layout of unrolled kernels: `[group][ky][kx][in / groups][out / groups]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct WeightLayout {
    taps: usize,
    /// Inputs and outputs of a group.
    inputs: usize,
    outputs: usize,
}

impl WeightLayout {
    pub(super) fn of(size: &ConvSize) -> Self {
        Self {
            taps: size.window.kernel[0] * size.window.kernel[1],
            inputs: size.input.channels / size.groups,
            outputs: size.output.channels / size.groups,
        }
    }

    /// Elements of a kernel of one output.
    fn depth(self) -> usize {
        self.taps * self.inputs
    }

    /// Lays out a kernel that comes as PyTorch has it.
    pub(super) fn lay_out<E: CpuReal>(self, plain: &[E], to: &mut [E]) {
        let Self {
            taps, inputs, outputs, ..
        } = self;
        par::for_rows(to, outputs, par::rows_per_task(outputs), |first, part| {
            for (row, to) in (first..).zip(part.chunks_exact_mut(outputs)) {
                let (group, place) = (row / self.depth(), row % self.depth());
                let (tap, input) = (place / inputs, place % inputs);
                let from = plain[(group * outputs * inputs + input) * taps + tap..].iter();
                let from = from.step_by(self.depth());
                to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
            }
        });
    }

    /// Adds sums in this layout to those in PyTorch's.
    pub(super) fn add_to_plain<E: CpuReal>(self, sums: &[E], plain: &mut [E]) {
        /// Rows of a task, whose sums are neighbours.
        const ROWS: usize = 16;
        let Self {
            taps, inputs, outputs, ..
        } = self;
        par::for_rows(plain, self.depth(), ROWS, |first, part| {
            let mut columns = [0; ROWS];
            for (row, column) in (first..).zip(&mut columns) {
                *column = row / outputs * self.depth() * outputs + row % outputs;
            }
            for place in 0..self.depth() {
                let at = place % inputs * taps + place / inputs;
                let rows = part.chunks_exact_mut(self.depth());
                for (row, column) in rows.zip(columns) {
                    row[at] += sums[column + place * outputs];
                }
            }
        });
    }
}
