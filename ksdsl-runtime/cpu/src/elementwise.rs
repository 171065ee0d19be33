//! Sums, products, joins and dropout.

use super::CpuBuf;
use super::par::{ELEMENTS_PER_TASK, for_rows, rows_per_task};
use crate::real::CpuReal;
use ksdsl_engine::size::RowSize;

/// `a += b`, which are as long.
pub(super) fn add_assign<E: CpuReal>(a: &mut [E], b: &[E]) {
    for_rows(
        a,
        1,
        ELEMENTS_PER_TASK,
        #[inline(always)]
        |first, part| {
            let b = &b[first..first + part.len()];
            part.iter_mut().zip(b).for_each(|(a, &b)| *a += b);
        },
    );
}

pub(super) fn add<E: CpuReal>(mut a: CpuBuf<E>, b: &CpuBuf<E>) -> CpuBuf<E> {
    add_assign(&mut a, b);
    a
}

/// Adds `row` to each row.
pub(super) fn add_to_rows<E: CpuReal>(size: RowSize, mut x: CpuBuf<E>, row: &CpuBuf<E>) -> CpuBuf<E> {
    for_rows(
        &mut x,
        size.channels,
        rows_per_task(size.channels),
        #[inline(always)]
        |_, part| {
            for x in part.chunks_exact_mut(size.channels) {
                x.iter_mut().zip(&row[..]).for_each(|(x, &more)| *x += more);
            }
        },
    );
    x
}

pub(super) fn multiply<E: CpuReal>(mut a: CpuBuf<E>, b: &CpuBuf<E>) -> CpuBuf<E> {
    for_rows(
        &mut a,
        1,
        ELEMENTS_PER_TASK,
        #[inline(always)]
        |first, part| {
            let b = &b[first..first + part.len()];
            part.iter_mut().zip(b).for_each(|(a, &b)| *a *= b);
        },
    );
    a
}

pub(super) fn concat<E: CpuReal>(rows: usize, left: usize, right: usize, a: &CpuBuf<E>, b: &CpuBuf<E>) -> CpuBuf<E> {
    let width = left + right;
    let mut y = CpuBuf::scratch(rows * width);
    for_rows(&mut y, width, rows_per_task(width), |first, part| {
        for (row, y) in part.chunks_exact_mut(width).enumerate() {
            let row = first + row;
            y[..left].copy_from_slice(&a[row * left..][..left]);
            y[left..].copy_from_slice(&b[row * right..][..right]);
        }
    });
    y
}

pub(super) fn split<E: CpuReal>(rows: usize, left: usize, right: usize, x: &CpuBuf<E>) -> (CpuBuf<E>, CpuBuf<E>) {
    let width = left + right;
    let columns = |from: usize, count: usize| {
        let mut y = CpuBuf::scratch(rows * count);
        for_rows(&mut y, count, rows_per_task(count), |first, part| {
            for (row, y) in part.chunks_exact_mut(count).enumerate() {
                y.copy_from_slice(&x[(first + row) * width + from..][..count]);
            }
        });
        y
    };
    (columns(0, left), columns(left, right))
}

/// The finaliser of SplitMix64 (Steele et al. 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Whether dropout with this seed keeps element `index`: SplitMix64 with the index as its counter,
/// started at a mixed seed so that neighbouring seeds do not give shifted masks.
#[inline(always)]
fn kept(p: f64, key: u64, index: usize) -> bool {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let random = mix(key.wrapping_add((index as u64 + 1).wrapping_mul(GOLDEN)));
    // The upper 53 bits, as a fraction of one.
    (random >> 11) as f64 * (1.0 / (1_u64 << 53) as f64) >= p
}

pub(super) fn dropout<E: CpuReal>(p: f64, seed: u64, mut x: CpuBuf<E>) -> CpuBuf<E> {
    let key = mix(seed ^ 0x6a09_e667_f3bc_c909);
    let scale = E::of(1.0 / (1.0 - p));
    for_rows(
        &mut x,
        1,
        ELEMENTS_PER_TASK,
        #[inline(always)]
        |first, part| {
            for (index, x) in part.iter_mut().enumerate() {
                *x = if kept(p, key, first + index) {
                    *x * scale
                } else {
                    E::zero()
                };
            }
        },
    );
    x
}
