//! Linear layers, and convolutions that are linear layers of pixels.

use super::CpuBuf;
use super::finish::Finish;
use super::gemm::Mat;
use super::gemm::{Packed, Start, add_transposed, product};
use super::kernel::{CpuKernel, CpuKernelGradient, Purpose};
use super::par;
use crate::real::CpuReal;
use ksdsl_engine::size::LinearSize;
use std::sync::Arc;

/// Rows of a task of a product: at least eight tasks of at least 64 rows, at most 128 rows, which stay
/// in the L2 cache for what follows them.
pub(super) fn product_rows(rows: usize) -> usize {
    rows.div_ceil(8).clamp(64, MOST_ROWS)
}

/// Most rows of a task of a product.
pub(super) const MOST_ROWS: usize = 128;

/// `y = x kernel^T + bias`.
pub(super) fn forward<E: CpuReal>(
    size: LinearSize,
    x: &CpuBuf<E>,
    kernel: &CpuKernel<E>,
    bias: Option<&CpuBuf<E>>,
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    multiply(size, x, &forward_form(size, kernel)[0], bias, finish)
}

/// The kernel as the forward pass takes it.
fn forward_form<E: CpuReal>(size: LinearSize, kernel: &CpuKernel<E>) -> Arc<Vec<Packed<E>>> {
    let LinearSize { inputs, outputs, .. } = size;
    kernel.form(Purpose::Linear, |weight| {
        vec![Packed::new(Mat::new(weight, outputs, inputs, inputs).transposed())]
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

    /// `y = x kernel^T + bias` of some rows.
    pub(super) fn rows(&self, x: &[E], y: &mut [E]) {
        let LinearSize { inputs, outputs, .. } = self.size;
        let x = Mat::new(x, x.len() / inputs, inputs, inputs);
        product(y, outputs, Start::bias(self.bias), x, &self.form[0]);
    }
}

/// The gradient with respect to the input.
pub(super) fn backward_data<E: CpuReal>(
    size: LinearSize,
    kernel: &CpuKernel<E>,
    dy: &CpuBuf<E>,
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    multiply(size, dy, &backward_form(size, kernel)[0], None, finish)
}

/// The kernel as the data gradient takes it.
pub(super) fn backward_form<E: CpuReal>(size: LinearSize, kernel: &CpuKernel<E>) -> Arc<Vec<Packed<E>>> {
    let LinearSize { inputs, outputs, .. } = size;
    kernel.form(Purpose::LinearBackward, |weight| {
        vec![Packed::new(Mat::new(weight, outputs, inputs, inputs))]
    })
}

/// `y = x b + bias`.
fn multiply<E: CpuReal>(
    size: LinearSize,
    x: &[E],
    b: &Packed<E>,
    bias: Option<&CpuBuf<E>>,
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    let (inputs, outputs) = (b.rows(), b.cols());
    let mut y = CpuBuf::scratch(size.rows * outputs);
    let start = Start::bias(bias.map(|bias| &bias[..]));
    par::for_rows(&mut y, outputs, product_rows(size.rows), |first, part| {
        let rows = part.len() / outputs;
        product(
            part,
            outputs,
            start,
            Mat::new(&x[first * inputs..], rows, inputs, inputs),
            b,
        );
        if let Some(finish) = finish {
            finish.finish(first, part);
        }
    });
    y
}

/// Rows of a part of the kernel gradient, or `None` where tasks of [`product_rows`] outputs are cut.
pub(super) fn gradient_part(size: &LinearSize) -> Option<usize> {
    (size.rows >= 4 * size.outputs).then(|| par::items_per_part(size.rows, 256, 8))
}

/// Adds the gradient with respect to the kernel to `gradient`.
///
/// Cuts the rows into parts when there are many, the outputs otherwise.
pub(super) fn backward_weight<E: CpuReal>(
    size: LinearSize,
    x: &CpuBuf<E>,
    dy: &CpuBuf<E>,
    gradient: &mut CpuKernelGradient<E>,
) {
    let gradient = gradient.plain();
    let LinearSize {
        rows, inputs, outputs, ..
    } = size;
    if let Some(part) = gradient_part(&size) {
        let sums = par::sum_parts(rows, part, gradient.len(), |rows, sums: &mut [E]| {
            let (first, rows) = (rows.start, rows.len());
            add_transposed(
                sums,
                inputs,
                Mat::new(&dy[first * outputs..], rows, outputs, outputs),
                Mat::new(&x[first * inputs..], rows, inputs, inputs),
            );
        });
        super::elementwise::add_assign(gradient, &sums);
    } else {
        par::for_rows(gradient, inputs, product_rows(outputs), |first, part| {
            let columns = part.len() / inputs;
            add_transposed(
                part,
                inputs,
                Mat::new(&dy[first..], rows, columns, outputs),
                Mat::new(x, rows, inputs, inputs),
            );
        });
    }
}
