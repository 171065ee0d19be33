//! Linear layers, and convolutions that are linear layers of pixels.

use super::CpuBuf;
use super::finish::Finish;
use super::gemm::Mat;
use super::gemm::{
    Narrow, Packed, ROWS, Start, add_transposed, narrow_row_product, product, product_by_columns,
    product_of_transposed, product_packing, product_transposed, row_product,
};
use super::kernel::{CpuKernel, CpuKernelGradient, Purpose};
use super::par::{self, Cut};
use crate::real::CpuReal;
use ksdsl_engine::size::LinearSize;
use std::sync::Arc;

/// Most rows of a task of a product, which stay in the L2 cache for what follows them.
pub(super) const MOST_ROWS: usize = 128;

/// How the output or the input gradient of a linear layer is computed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    /// In tasks of these rows, from the packed kernel.
    Rows(Cut),
    /// One row, in tasks that read as much of the packed kernel.
    Row,
    /// In so many tasks of about as many columns, from the packed kernel.
    Columns(usize),
    /// In tasks of so many columns, from the kernel where it lies.
    Direct(usize),
}

/// Tasks of a product, if it is large enough.
const TASKS: usize = 8;
/// Least multiply-adds of a task: a few microseconds.
const LEAST_PRODUCTS: usize = 1 << 15;
/// Least rows of a task where there are few.
const LEAST_ROWS: usize = 2 * ROWS;
/// Least rows, and most, of a product from the kernel where it lies: with fewer, lanes would be empty, and with more
/// it is little beside them to pack the kernel.
const DIRECT_ROWS: std::ops::RangeInclusive<usize> = 32..=96;
/// Columns of a task, at most, which are packed together or computed transposed.
const MOST_COLUMNS: usize = 256;

/// The way for a product of `rows` with a kernel of `columns` that sum `terms`: the sum of what the tasks read is to be
/// small, and there should be eight of them, if they are not too small. Is the kernel `kept` for other passes, it is
/// packed, as it need be only once.
pub(super) fn way<E: CpuReal>(rows: usize, terms: usize, columns: usize, kept: bool) -> Way {
    let tasks = (rows * terms * columns / LEAST_PRODUCTS).clamp(1, TASKS);
    // How often the kernel comes from a cache that is not the task's own.
    let readings = rows.div_ceil(rows.div_ceil(TASKS).clamp(MOST_ROWS / 2, MOST_ROWS));
    if E::f32s(&[]).is_none() || tasks == 1 || readings * columns <= tasks * rows {
        return Way::Rows(rows_cut(rows, tasks));
    }
    if rows == 1 {
        return Way::Row;
    }
    if DIRECT_ROWS.contains(&rows) && !kept {
        // Of a cache line at least.
        let step = columns.div_ceil(tasks).next_multiple_of(16);
        Way::Direct(step.min(MOST_COLUMNS))
    } else {
        Way::Columns(tasks)
    }
}

/// Tasks of at most [`MOST_ROWS`] rows: a power of two or, of more than eight, a multiple of eight, so that few threads have
/// as much to do each; whole tiles, of which one thread has one more than another at most.
fn rows_cut(rows: usize, tasks: usize) -> Cut {
    let least = rows.div_ceil(MOST_ROWS);
    let count = if least >= TASKS {
        least.next_multiple_of(TASKS)
    } else {
        let pays = tasks.min(rows / LEAST_ROWS).max(1);
        (1 << pays.ilog2()).max(least.next_power_of_two())
    };
    Cut::even(rows, count, ROWS)
}

/// Rows of a task that finishes a product that was cut by its columns.
pub(super) fn finish_rows(columns: usize) -> usize {
    par::rows_per_task(columns)
}

/// `y = x kernel^T + bias`; `kept`: see [`way`].
pub(super) fn forward<E: CpuReal>(
    size: LinearSize,
    kept: bool,
    x: &CpuBuf<E>,
    kernel: &CpuKernel<E>,
    bias: Option<&CpuBuf<E>>,
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    let LinearSize { rows, inputs, outputs } = size;
    let factors = Factors {
        x: Mat::new(x, rows, inputs, inputs),
        start: Start::bias(bias.map(|bias| &bias[..])),
        columns: outputs,
    };
    match way::<E>(rows, inputs, outputs, kept) {
        Way::Rows(cut) => factors.by_rows(&forward_form(size, kernel)[0], cut, finish),
        Way::Row => match &*narrow_form(size, kernel) {
            Some(narrow) => factors.finished(finish, |y, x, start| narrow_row_product(y, start, x, narrow)),
            None => factors.of_row(&forward_form(size, kernel)[0], finish),
        },
        Way::Columns(tasks) => factors.by_columns(&forward_form(size, kernel)[0], tasks, finish),
        Way::Direct(step) => {
            let kernel = Mat::new(kernel.plain(), outputs, inputs, inputs);
            factors.finished(finish, |y, x, start| product_transposed(y, start, x, kernel, step))
        }
    }
}

/// The kernel as the forward pass takes it.
fn forward_form<E: CpuReal>(size: LinearSize, kernel: &CpuKernel<E>) -> Arc<Vec<Packed<E>>> {
    let LinearSize { inputs, outputs, .. } = size;
    kernel.form(Purpose::Linear, |weight| {
        vec![Packed::new(Mat::new(weight, outputs, inputs, inputs).transposed())]
    })
}

/// The same in fewer bytes for products of one row, if its values fit in them.
fn narrow_form<E: CpuReal>(size: LinearSize, kernel: &CpuKernel<E>) -> Arc<Option<Narrow>> {
    let LinearSize { inputs, outputs, .. } = size;
    kernel.form(Purpose::LinearRow, |weight| {
        Narrow::of(Mat::new(E::f32s(weight)?, outputs, inputs, inputs).transposed())
    })
}

/// The forward pass for rows that something else cuts.
pub(super) struct Forward<'a, E: CpuReal> {
    size: LinearSize,
    form: Arc<Vec<Packed<E>>>,
    bias: Option<&'a [E]>,
}

impl<'a, E: CpuReal> Forward<'a, E> {
    /// With the kernel prepared.
    pub(super) fn new(size: LinearSize, kernel: &CpuKernel<E>, bias: Option<&'a CpuBuf<E>>) -> Self {
        Self {
            size,
            form: forward_form(size, kernel),
            bias: bias.map(|bias| &bias[..]),
        }
    }

    /// The sizes of all of it.
    pub(super) fn size(&self) -> LinearSize {
        self.size
    }

    /// `y = x kernel^T + bias` of the rows from `first` on, and what follows it.
    pub(super) fn rows(&self, first: usize, x: &[E], y: &mut [E], finish: Option<&dyn Finish<E>>) {
        let LinearSize { inputs, outputs, .. } = self.size;
        let x = Mat::new(x, x.len() / inputs, inputs, inputs);
        product(y, outputs, Start::bias(self.bias), x, &self.form[0]);
        if let Some(finish) = finish {
            finish.finish(first, y);
        }
    }
}

/// The gradient with respect to the input.
pub(super) fn backward_data<E: CpuReal>(
    size: LinearSize,
    kernel: &CpuKernel<E>,
    dy: &CpuBuf<E>,
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    let LinearSize { rows, inputs, outputs } = size;
    let factors = Factors {
        x: Mat::new(dy, rows, outputs, outputs),
        start: Start::Zero,
        columns: inputs,
    };
    match way::<E>(rows, outputs, inputs, false) {
        Way::Rows(cut) => factors.by_rows(&backward_form(size, kernel)[0], cut, finish),
        Way::Row => factors.of_row(&backward_form(size, kernel)[0], finish),
        Way::Columns(tasks) => factors.by_columns(&backward_form(size, kernel)[0], tasks, finish),
        Way::Direct(step) => {
            let kernel = Mat::new(kernel.plain(), outputs, inputs, inputs);
            factors.finished(finish, |dx, dy, start| product_packing(dx, start, dy, kernel, step))
        }
    }
}

/// The kernel as the data gradient takes it.
pub(super) fn backward_form<E: CpuReal>(size: LinearSize, kernel: &CpuKernel<E>) -> Arc<Vec<Packed<E>>> {
    let LinearSize { inputs, outputs, .. } = size;
    kernel.form(Purpose::LinearBackward, |weight| {
        vec![Packed::new(Mat::new(weight, outputs, inputs, inputs))]
    })
}

/// The left factor of a product, what it is added to, and its columns.
struct Factors<'a, E> {
    x: Mat<'a, E>,
    start: Start<'a, E>,
    columns: usize,
}

impl<E: CpuReal> Factors<'_, E> {
    fn by_rows(&self, b: &Packed<E>, cut: Cut, finish: Option<&dyn Finish<E>>) -> CpuBuf<E> {
        let Self { x, start, columns } = *self;
        let mut y = CpuBuf::scratch(x.rows * columns);
        par::for_cut(&mut y, columns, cut, |first, part| {
            let rows = part.len() / columns;
            let x = Mat::new(&x.values[first * x.cols..], rows, x.cols, x.cols);
            product(part, columns, start, x, b);
            if let Some(finish) = finish {
                finish.finish(first, part);
            }
        });
        y
    }

    fn of_row(&self, b: &Packed<E>, finish: Option<&dyn Finish<E>>) -> CpuBuf<E> {
        self.finished(finish, |y, x, start| row_product(y, start, x, b))
    }

    fn by_columns(&self, b: &Packed<E>, tasks: usize, finish: Option<&dyn Finish<E>>) -> CpuBuf<E> {
        self.finished(finish, |y, x, start| product_by_columns(y, start, x, b, tasks))
    }

    /// What `multiply` makes, finished when all of it is there: it needs whole rows.
    fn finished(
        &self,
        finish: Option<&dyn Finish<E>>,
        multiply: impl FnOnce(&mut [E], Mat<'_, E>, Start<'_, E>),
    ) -> CpuBuf<E> {
        let Self { x, start, columns } = *self;
        let mut y = CpuBuf::scratch(x.rows * columns);
        multiply(&mut y, x, start);
        if let Some(finish) = finish {
            par::for_rows(&mut y, columns, finish_rows(columns), |first, part| {
                finish.finish(first, part)
            });
        }
        y
    }
}

/// How the kernel gradient is cut.
pub(super) enum GradientCut {
    /// In parts of so many rows, whose sums are added.
    Parts(usize),
    /// In tasks of so many outputs: where eight parts would have too few rows to pay, and fewer parts cannot be dealt out
    /// evenly.
    Outputs(usize),
}

/// The cut of the kernel gradient.
pub(super) fn gradient_cut(size: &LinearSize) -> GradientCut {
    /// Least rows of a kernel gradient that is summed in parts.
    const LEAST: usize = 2048;
    if size.rows >= LEAST.max(4 * size.outputs) {
        GradientCut::Parts(size.rows.div_ceil(TASKS))
    } else {
        GradientCut::Outputs(size.outputs.div_ceil(TASKS).clamp(MOST_ROWS / 2, MOST_ROWS))
    }
}

/// Adds the gradient with respect to the kernel to `gradient`; the first visit writes it.
///
/// Cuts the rows into parts when there are many, the outputs otherwise.
pub(super) fn backward_weight<E: CpuReal>(
    size: LinearSize,
    x: &CpuBuf<E>,
    dy: &CpuBuf<E>,
    gradient: &mut CpuKernelGradient<E>,
) {
    let LinearSize { rows, inputs, outputs } = size;
    let x = Mat::new(x, rows, inputs, inputs);
    match gradient_cut(&size) {
        GradientCut::Parts(part) => {
            let gradient = gradient.plain();
            let sums = par::sum_parts(rows, part, gradient.len(), |rows, sums: &mut [E]| {
                let (first, rows) = (rows.start, rows.len());
                add_transposed(
                    sums,
                    inputs,
                    Mat::new(&dy[first * outputs..], rows, outputs, outputs),
                    Mat::new(&x.values[first * inputs..], rows, inputs, inputs),
                );
            });
            super::elementwise::add_assign(gradient, &sums);
        }
        GradientCut::Outputs(task) => {
            let (gradient, adds) = gradient.plain_or_new();
            par::for_rows(gradient, inputs, task, |first, part| {
                let columns = part.len() / inputs;
                let dy = Mat::new(&dy[first..], rows, columns, outputs);
                product_of_transposed(part, inputs, adds, dy, x);
            });
        }
    }
}
