//! Convolutions and linear layers, as `conv`, `linear`, `depthwise`, `winograd` and `chain` do them.

use super::{LEVEL, Meter, MeterBuf, MeterKernel, MeterKernelGradient};
use crate::chain::{Around, strips};
use crate::conv::{self, WeightCut};
use crate::conv_method::{ConvMethod, method};
use crate::depthwise::scratch::{self as depthwise, Scratch, WeightScratch};
use crate::fused::Columns;
use crate::gemm::{packed_room, packing_scratch, row_scratch, transposed_room, transposed_scratch};
use crate::kernel::Purpose;
use crate::linear::{GradientCut, Way};
use crate::winograd::scratch as winograd;
use crate::{im2col, implicit, linear, par};
use ksdsl_engine::exec::{ConvLink, ConvTail};
use ksdsl_engine::size::{ConvSize, LinearSize};

/// What the output's consumer allocates in each task.
#[derive(Clone, Copy)]
pub(super) enum Finish {
    Nothing,
    /// The origin of the sums of moments.
    Moments,
}

impl Meter {
    /// What `tail::finish` makes: factor and offset for each column of a wide row.
    pub(super) fn affine(&self, channels: usize, tail: &ConvTail<'_, MeterBuf>) -> Vec<MeterBuf> {
        if tail.before.is_none() && tail.affine.is_none() && tail.residual.is_none() && tail.after.is_none() {
            return Vec::new();
        }
        let _identity = tail.affine.is_none().then(|| self.identity(channels));
        self.tiles(channels, 2)
    }

    pub(super) fn identity(&self, channels: usize) -> [MeterBuf; 2] {
        [channels; 2].map(|channels| self.values(channels))
    }

    /// Values per channel, so many times, for each column of a wide row.
    pub(super) fn tiles(&self, channels: usize, count: usize) -> Vec<MeterBuf> {
        let width = Columns::new::<f32>(LEVEL, channels).width;
        (0..count).map(|_| self.values(width)).collect()
    }

    fn all(&self, lengths: impl IntoIterator<Item = usize>) -> Vec<MeterBuf> {
        lengths.into_iter().map(|len| self.values(len)).collect()
    }

    /// Sums of `len` values over parts of some rows, added when all are there.
    pub(super) fn sum_parts(&self, parts: usize, len: usize, of_part: impl IntoIterator<Item = usize>) -> MeterBuf {
        let partials = self.values(parts * len);
        self.tasks(of_part, parts);
        if parts == 1 { partials } else { self.values(len) }
    }

    /// The output of a convolution.
    pub(super) fn forward(&self, size: &ConvSize, kernel: &MeterKernel, finish: Finish) -> MeterBuf {
        let (y, tasks) = match method::<f32>(size) {
            ConvMethod::Pointwise(linear) => self.linear(&linear, kernel, false, conv::keeps_kernel(size)),
            ConvMethod::Depthwise => {
                self.depthwise_form(size, kernel, false);
                let y = self.values(size.output.len());
                let scratch = depthwise::forward(LEVEL, size, false);
                self.scratch(&scratch);
                (y, scratch.tasks)
            }
            ConvMethod::Winograd => self.winograd(size, kernel, false),
            ConvMethod::Unrolled => {
                self.unrolled_form(size, kernel, false);
                let y = self.values(size.output.len());
                let rows = conv::forward_rows(size, true);
                let tasks = (size.output.batch * size.output.height).div_ceil(rows);
                self.tasks([implicit::scratch(size, rows)], tasks);
                (y, tasks)
            }
        };
        if let Finish::Moments = finish {
            self.tasks([Columns::new::<f32>(LEVEL, size.output.channels).width], tasks);
        }
        y
    }

    /// The gradient with respect to the input.
    pub(super) fn backward_data(&self, size: &ConvSize, kernel: &MeterKernel) -> MeterBuf {
        match method::<f32>(size) {
            ConvMethod::Pointwise(size) => self.linear(&size, kernel, true, false).0,
            ConvMethod::Depthwise => {
                self.depthwise_form(size, kernel, true);
                let dx = self.values(size.input.len());
                self.scratch(&depthwise::backward_data(LEVEL, size));
                dx
            }
            ConvMethod::Winograd => self.winograd(size, kernel, true).0,
            ConvMethod::Unrolled => {
                self.unrolled_form(size, kernel, true);
                let dx = self.values(size.input.len());
                self.tasks([conv::data_scratch(size)], size.input.batch);
                dx
            }
        }
    }

    /// Adds the gradient with respect to the kernel.
    pub(super) fn backward_weight(&self, size: &ConvSize, gradient: &mut MeterKernelGradient) {
        match method::<f32>(size) {
            ConvMethod::Pointwise(size) => self.linear_weight(&size, gradient),
            ConvMethod::Depthwise => {
                gradient.plain(self);
                match depthwise::backward_weight(LEVEL, size) {
                    WeightScratch::Together(scratch) => self.scratch(&scratch),
                    WeightScratch::Parts(zeros, parts, len) => {
                        let _zeros = self.values(zeros);
                        self.sum_parts(parts, len, []);
                    }
                }
            }
            ConvMethod::Winograd => {
                gradient.winograd(self, winograd::points(size));
                let (points, product, tasks) = winograd::backward_weight(LEVEL, size);
                let _points = self.all(points);
                self.tasks(product, tasks);
            }
            ConvMethod::Unrolled => {
                gradient.unrolled(self);
                self.unrolled_weight(size, gradient.len());
            }
        }
    }

    /// The output of a linear layer, or its input gradient, and the tasks that finish it.
    fn linear(&self, size: &LinearSize, kernel: &MeterKernel, backward: bool, kept: bool) -> (MeterBuf, usize) {
        let LinearSize { rows, inputs, outputs } = *size;
        let [terms, columns] = if backward { [outputs, inputs] } else { [inputs, outputs] };
        let way = linear::way::<f32>(rows, terms, columns, kept);
        if !matches!(way, Way::Direct(_)) {
            self.linear_form(size, kernel, backward);
        }
        let y = self.values(rows * columns);
        let finish = rows.div_ceil(linear::finish_rows(columns));
        let tasks = match way {
            Way::Rows(cut) => cut.tasks(),
            Way::Row => {
                let _sums = self.values(row_scratch(LEVEL, [terms, columns]));
                finish
            }
            Way::Columns(_) => finish,
            Way::Direct(step) => {
                let [left, of_task] = match backward {
                    false => transposed_room(LEVEL, [rows, terms], step),
                    true => [0, packing_scratch(LEVEL, terms, step)],
                };
                let _left = self.values(left);
                self.tasks([of_task], columns.div_ceil(step));
                finish
            }
        };
        (y, tasks)
    }

    fn linear_weight(&self, size: &LinearSize, gradient: &mut MeterKernelGradient) {
        gradient.plain(self);
        let LinearSize { rows, inputs, outputs } = *size;
        let product = |rows| transposed_scratch(LEVEL, rows, outputs, [inputs, inputs]);
        match linear::gradient_cut(size) {
            GradientCut::Parts(part) => {
                drop(self.sum_parts(par::parts(rows, part), gradient.len(), product(part.min(rows))))
            }
            GradientCut::Outputs(task) => self.tasks(product(rows), outputs.div_ceil(task)),
        }
    }

    fn unrolled_weight(&self, size: &ConvSize, len: usize) {
        let all_rows = size.output.batch * size.output.height;
        match conv::weight_cut(size, len, true) {
            (WeightCut::Columns(step), tile) => {
                let scratch = implicit::weight_scratch(LEVEL, size, tile.min(all_rows));
                self.tasks(scratch, im2col::columns(size).div_ceil(step.max(1)));
            }
            (WeightCut::Rows(part), tile) => {
                let rows = tile.min(part).min(all_rows);
                let mut scratch = implicit::weight_scratch(LEVEL, size, rows).to_vec();
                // An unrolled tile is not made, but allocated.
                scratch.push(0);
                drop(self.sum_parts(par::parts(all_rows, part), len, scratch));
            }
        }
    }

    /// Convolutions around a depthwise one, see `chain`.
    pub(super) fn chain(
        &self,
        around: Around,
        x: &MeterBuf,
        links: &[ConvLink<'_, MeterBuf, MeterKernel>],
    ) -> MeterBuf {
        let (Some(last), Some(depthwise)) = (links.last(), links.get(usize::from(around.expand.is_some()))) else {
            return x.clone();
        };
        let linear = |size: LinearSize, link: &ConvLink<'_, MeterBuf, MeterKernel>| {
            self.linear_form(&size, link.kernel, false);
            self.affine(size.outputs, &link.tail)
        };
        let _after = around.project.map(|size| linear(size, last));
        let y = self.values(last.size.output.len());
        let size = &depthwise.size;
        let _before = self.affine(size.output.channels, &depthwise.tail);
        let Some(expand) = around.expand else {
            self.depthwise_form(size, depthwise.kernel, false);
            self.scratch(&depthwise::forward(LEVEL, size, true));
            return y;
        };
        let _expand = linear(expand, &links[0]);
        self.depthwise_form(size, depthwise.kernel, false);
        self.scratch(&depthwise::by_rows(
            LEVEL,
            size,
            strips::scratch(size, around.project.is_some()),
        ));
        y
    }

    fn scratch(&self, scratch: &Scratch) {
        let _whole = self.all(scratch.whole.iter().copied());
        self.tasks(scratch.of_task.iter().copied(), scratch.tasks);
    }

    fn winograd(&self, size: &ConvSize, kernel: &MeterKernel, backward: bool) -> (MeterBuf, usize) {
        let purpose = if backward {
            Purpose::WinogradBackward
        } else {
            Purpose::Winograd
        };
        kernel.form(purpose, || {
            let _points = self.values(winograd::points(size));
            self.all(winograd::form(LEVEL, size, backward))
        });
        let to = if backward { size.input } else { size.output };
        match winograd::convolve(size, backward) {
            winograd::Scratch::Whole(points) => {
                let _points = self.all(points);
                (self.values(to.len()), to.rows())
            }
            winograd::Scratch::OfTasks(points, tasks) => {
                let y = self.values(to.len());
                self.tasks(points, tasks);
                (y, tasks)
            }
        }
    }

    /// The kernel of a linear layer, packed.
    pub(super) fn linear_form(&self, size: &LinearSize, kernel: &MeterKernel, backward: bool) {
        let (purpose, sizes) = match backward {
            false => (Purpose::Linear, [size.inputs, size.outputs]),
            true => (Purpose::LinearBackward, [size.outputs, size.inputs]),
        };
        kernel.form(purpose, || self.all([packed_room(LEVEL, sizes)]));
    }

    fn unrolled_form(&self, size: &ConvSize, kernel: &MeterKernel, backward: bool) {
        let purpose = if backward {
            Purpose::UnrolledBackward
        } else {
            Purpose::Unrolled
        };
        kernel.form(purpose, || {
            let _laid_out = self.values(kernel.values().len());
            let matrix = packed_room(LEVEL, conv::matrices(size, backward));
            self.all(vec![matrix; size.groups])
        });
    }

    fn depthwise_form(&self, size: &ConvSize, kernel: &MeterKernel, backward: bool) {
        let (purpose, size) = match backward {
            false => (Purpose::Depthwise(size.for_rules()), size.for_rules()),
            true => (Purpose::DepthwiseBackward(*size), *size),
        };
        kernel.form(purpose, || self.all(depthwise::form(LEVEL, &size, backward)));
    }
}
