//! Linear layers, and convolutions that are linear layers of pixels.

use super::matmul::{Mat, matmul};
use super::{CpuBuf, par};
use crate::geometry::LinearSize;
use crate::scalar::Scalar;

/// Rows of a task of a product: at least eight tasks of at least 64 rows, at most 512 rows.
fn product_rows(rows: usize) -> usize {
    rows.div_ceil(8).clamp(64, 512)
}

pub(super) fn linear_forward<E: Scalar>(
    size: LinearSize,
    x: &CpuBuf<E>,
    weight: &CpuBuf<E>,
    bias: Option<&CpuBuf<E>>,
) -> CpuBuf<E> {
    let LinearSize { rows, inputs, outputs } = size;
    let mut y = CpuBuf::scratch(rows * outputs);
    par::for_rows(&mut y, outputs, product_rows(rows), |first, part| {
        if let Some(bias) = bias {
            part.chunks_exact_mut(outputs).for_each(|row| row.copy_from_slice(bias));
        }
        let rows = part.len() / outputs;
        matmul(
            part,
            outputs,
            bias.is_some(),
            Mat::new(&x[first * inputs..], rows, inputs, inputs),
            Mat::new(weight, outputs, inputs, inputs).transposed(),
        );
    });
    y
}

pub(super) fn linear_backward_data<E: Scalar>(size: LinearSize, weight: &CpuBuf<E>, dy: &CpuBuf<E>) -> CpuBuf<E> {
    let LinearSize { rows, inputs, outputs } = size;
    let mut dx = CpuBuf::scratch(rows * inputs);
    par::for_rows(&mut dx, inputs, product_rows(rows), |first, part| {
        let rows = part.len() / inputs;
        matmul(
            part,
            inputs,
            false,
            Mat::new(&dy[first * outputs..], rows, outputs, outputs),
            Mat::new(weight, outputs, inputs, inputs),
        );
    });
    dx
}

/// Cuts the rows into parts when there are many, the outputs otherwise.
pub(super) fn linear_backward_weight<E: Scalar>(
    size: LinearSize,
    x: &CpuBuf<E>,
    dy: &CpuBuf<E>,
    dweight: &mut CpuBuf<E>,
) {
    let LinearSize { rows, inputs, outputs } = size;
    if rows >= 4 * outputs {
        let part = par::items_per_part(rows, 256, 8);
        let sums = par::sum_parts(rows, part, dweight.len(), |rows, sums: &mut [E]| {
            let (first, rows) = (rows.start, rows.len());
            matmul(
                sums,
                inputs,
                true,
                Mat::new(&dy[first * outputs..], rows, outputs, outputs).transposed(),
                Mat::new(&x[first * inputs..], rows, inputs, inputs),
            );
        });
        super::elementwise::add_assign(dweight, &sums);
    } else {
        par::for_rows(dweight, inputs, product_rows(outputs), |first, part| {
            let columns = part.len() / inputs;
            matmul(
                part,
                inputs,
                true,
                Mat::new(&dy[first..], rows, columns, outputs).transposed(),
                Mat::new(x, rows, inputs, inputs),
            );
        });
    }
}
