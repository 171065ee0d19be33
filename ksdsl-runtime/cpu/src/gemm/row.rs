//! Products of one row with a packed factor, which are bound by reading that: cut into tasks of equally many bytes that
//! follow one another in memory.
//!
//! A panel has 64 columns, so few panels cannot be dealt out evenly to threads. Their terms can: what is dealt out are
//! runs of terms, whose sums [`super::product`] adds one after the other, too. So the bits are the same.

use super::super::par::Start as Place;
use super::super::simd::Level;
use super::super::{CpuBuf, threads};
use super::panels::panel_width;
use super::tile::{Columns, Init, Product, RUN, Rows, Terms};
use super::{Mat, Packed, Start, Storage, check_bias};
use crate::real::CpuReal;
use std::ops::Range;

/// Panels from which whole ones are dealt out: one more or less is little then.
const MANY_PANELS: usize = 64;
/// Least values of a task that are read: a few microseconds.
const LEAST_VALUES: usize = 1 << 15;
/// Most tasks.
const MOST_TASKS: usize = 16;

/// How a product is dealt out.
#[derive(Clone, Copy)]
struct Deal {
    /// Columns of a panel.
    width: usize,
    panels: usize,
    /// Parts of a panel that are dealt out by themselves.
    runs: usize,
    tasks: usize,
}

impl Deal {
    fn new(level: Level, [terms, columns]: [usize; 2]) -> Self {
        let width = panel_width(level);
        let panels = columns.div_ceil(width);
        let runs = if panels < MANY_PANELS {
            terms.div_ceil(RUN).max(1)
        } else {
            1
        };
        let tasks = (terms * columns / LEAST_VALUES).clamp(1, MOST_TASKS);
        Self {
            width,
            panels,
            runs,
            tasks: tasks.min(panels * runs),
        }
    }

    /// The parts of a task, those of a panel one after the other.
    fn parts(self, task: usize) -> Range<usize> {
        let all = self.panels * self.runs;
        all * task / self.tasks..all * (task + 1) / self.tasks
    }

    /// Values of the sums of all parts, if parts are less than panels.
    fn sums(self) -> usize {
        if self.runs > 1 {
            self.panels * self.runs * self.width
        } else {
            0
        }
    }
}

/// Values of the scratch of [`row_product`].
pub(in super::super) fn row_scratch(level: Level, sizes: [usize; 2]) -> usize {
    Deal::new(level, sizes).sums()
}

/// `c = start + a b` for one row, in parallel. The bits are those of [`super::product`].
pub(in super::super) fn row_product<E: CpuReal>(c: &mut [E], start: Start<'_, E>, a: Mat<'_, E>, b: &Packed<E>) {
    let (Storage::Panels(shape, panels), Some(row)) = (&b.storage, E::f32s(a.values)) else {
        unreachable!("only `f32` has panels")
    };
    check_bias(start, b.cols);
    assert!(
        a.rows == 1 && a.cols == b.rows && a.col_stride == 1 && a.fits() && b.cols <= c.len(),
        "unfit factors of a product"
    );
    let init = match start {
        Start::Zero => Init::Zero,
        Start::Sum => Init::Sum,
        Start::Bias(bias) => Init::Bias(bias.as_ptr().cast()),
    };
    let deal = Deal::new(shape.level, [b.rows, b.cols]);
    let mut sums = CpuBuf::<f32>::scratch(deal.sums());
    let product = Dealt {
        deal,
        a: row,
        b: shape.columns(panels.as_ptr()),
        level: shape.level,
        c: Place(c.as_mut_ptr().cast()),
        sums: Place(sums.as_mut_ptr()),
        init,
    };
    // SAFETY: the factors and the product have the sizes that were asserted, the sums those of the deal.
    threads::for_each(deal.tasks, &|task| unsafe { product.task(task) });
    if deal.runs > 1 {
        let Some(c) = E::f32s_mut(c) else {
            unreachable!("only `f32` has panels")
        };
        let start = match start {
            Start::Zero => Start::Zero,
            Start::Sum => Start::Sum,
            Start::Bias(bias) => Start::bias(E::f32s(bias)),
        };
        add_runs(&mut c[..b.cols], start, &sums, deal);
    }
}

/// A product of a row that several threads compute.
struct Dealt<'a> {
    deal: Deal,
    a: &'a [f32],
    b: Columns,
    level: Level,
    c: Place<f32>,
    sums: Place<f32>,
    init: Init,
}

// SAFETY: the pointers are to the factor, which is only read, and to the bias of the start, likewise; `Place` is for pieces
// that do not overlap.
unsafe impl Sync for Dealt<'_> {}

impl Dealt<'_> {
    /// # Safety
    /// The sizes must fit, and each task must run once.
    unsafe fn task(&self, task: usize) {
        let parts = self.deal.parts(task);
        if self.deal.runs == 1 {
            let columns = parts.start * self.deal.width..self.b.count.min(parts.end * self.deal.width);
            // SAFETY: whole panels, which no other task has.
            unsafe { self.panels(parts.start, columns) };
            return;
        }
        for part in parts {
            let (panel, run) = (part / self.deal.runs, part % self.deal.runs);
            let terms = run * RUN..self.a.len().min((run + 1) * RUN);
            let first = panel * self.deal.width;
            let b = Columns {
                start: self.b.start.wrapping_add(panel * self.b.panel),
                count: self.deal.width.min(self.b.count - first),
                skip: terms.start,
                ..self.b
            };
            // SAFETY: the sums of this part, which no other task has.
            let sums = unsafe { self.sums.at(part * self.deal.width) };
            self.run(terms, b, (sums, Init::Zero));
        }
    }

    /// Panels from this one on.
    ///
    /// # Safety
    /// As for [`Dealt::task`].
    unsafe fn panels(&self, panel: usize, columns: Range<usize>) {
        let b = Columns {
            start: self.b.start.wrapping_add(panel * self.b.panel),
            count: columns.len(),
            ..self.b
        };
        let init = match self.init {
            Init::Bias(bias) => Init::Bias(bias.wrapping_add(columns.start)),
            other => other,
        };
        // SAFETY: inside the product.
        let c = unsafe { self.c.at(columns.start) };
        self.run(0..self.a.len(), b, (c, init));
    }

    fn run(&self, terms: Range<usize>, b: Columns, (c, init): (*mut f32, Init)) {
        self.level.run(Product {
            rows: 1,
            a: self.a[terms.start..].as_ptr(),
            a_rows: Rows::Strided(self.a.len()),
            terms: Terms::contiguous(terms.len()),
            b,
            c,
            c_rows: Rows::Strided(self.b.count),
            init,
        });
    }
}

/// Adds the sums of runs in their order.
fn add_runs(c: &mut [f32], start: Start<'_, f32>, sums: &[f32], deal: Deal) {
    let of_panels = sums.chunks_exact(deal.runs * deal.width);
    for (panel, (c, sums)) in c.chunks_mut(deal.width).zip(of_panels).enumerate() {
        match start {
            Start::Zero => c.copy_from_slice(&sums[..c.len()]),
            Start::Sum => add(c, sums),
            Start::Bias(bias) => {
                c.copy_from_slice(&bias[panel * deal.width..][..c.len()]);
                add(c, sums);
            }
        }
        for more in sums.chunks_exact(deal.width).skip(1) {
            add(c, more);
        }
    }
}

fn add(c: &mut [f32], more: &[f32]) {
    c.iter_mut().zip(more).for_each(|(c, more)| *c += more);
}
