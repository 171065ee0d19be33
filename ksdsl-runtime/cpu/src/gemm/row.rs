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
use super::{Mat, Narrow, Packed, Start, Storage, check_bias};
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
    let Storage::Panels(shape, panels) = &b.storage else {
        unreachable!("only `f32` has panels")
    };
    let columns = Factor::Panels(shape.columns(panels.as_ptr()));
    dealt(c, start, a, (shape.level, [b.rows, b.cols], columns));
}

/// The same with a narrow factor, with the same bits.
pub(in super::super) fn narrow_row_product<E: CpuReal>(c: &mut [E], start: Start<'_, E>, a: Mat<'_, E>, b: &Narrow) {
    dealt(c, start, a, (b.shape.level, b.size(), Factor::Narrow(b)));
}

fn dealt<E: CpuReal>(
    c: &mut [E],
    start: Start<'_, E>,
    a: Mat<'_, E>,
    (level, size, b): (Level, [usize; 2], Factor<'_>),
) {
    let [rows, cols] = size;
    check_bias(start, cols);
    assert!(
        a.rows == 1 && a.cols == rows && a.col_stride == 1 && a.fits() && cols <= c.len(),
        "unfit factors of a product"
    );
    let init = match start {
        Start::Zero => Init::Zero,
        Start::Sum => Init::Sum,
        Start::Bias(bias) => Init::Bias(bias.as_ptr().cast()),
    };
    let deal = Deal::new(level, size);
    let mut sums = CpuBuf::<f32>::scratch(deal.sums());
    let (Some(row), Some(c)) = (E::f32s(a.values), E::f32s_mut(c)) else {
        unreachable!("only `f32` has panels")
    };
    let product = Dealt {
        deal,
        a: &row[..rows],
        b,
        cols,
        level,
        c: Place(c.as_mut_ptr()),
        sums: Place(sums.as_mut_ptr()),
        init,
    };
    // SAFETY: the factors and the product have the sizes that were asserted, the sums those of the deal.
    threads::for_each(deal.tasks, &|task| unsafe { product.task(task) });
    if deal.runs > 1 {
        let start = match start {
            Start::Zero => Start::Zero,
            Start::Sum => Start::Sum,
            Start::Bias(bias) => Start::bias(E::f32s(bias)),
        };
        add_runs(&mut c[..cols], start, &sums, deal);
    }
}

/// The right factor.
#[derive(Clone, Copy)]
enum Factor<'a> {
    Panels(Columns),
    Narrow(&'a Narrow),
}

/// A product of a row that several threads compute.
struct Dealt<'a> {
    deal: Deal,
    a: &'a [f32],
    b: Factor<'a>,
    cols: usize,
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
        for part in parts {
            let (panel, run) = (part / self.deal.runs, part % self.deal.runs);
            // SAFETY: the columns of this panel, or the sums of this part, which no other task has.
            unsafe {
                if self.deal.runs == 1 {
                    let first = panel * self.deal.width;
                    let init = match self.init {
                        Init::Bias(bias) => Init::Bias(bias.wrapping_add(first)),
                        other => other,
                    };
                    self.run(0..self.a.len(), panel, (self.c.at(first), init));
                } else {
                    let terms = run * RUN..self.a.len().min((run + 1) * RUN);
                    self.run(terms, panel, (self.sums.at(part * self.deal.width), Init::Zero));
                }
            }
        }
    }

    /// # Safety
    /// As for [`Dealt::task`].
    unsafe fn run(&self, terms: Range<usize>, panel: usize, (c, init): (*mut f32, Init)) {
        match self.b {
            Factor::Panels(b) => self.level.run(Product {
                rows: 1,
                a: self.a[terms.start..].as_ptr(),
                a_rows: Rows::Strided(self.a.len()),
                terms: Terms::contiguous(terms.len()),
                b: Columns {
                    start: b.start.wrapping_add(panel * b.panel),
                    count: self.deal.width.min(self.cols - panel * self.deal.width),
                    all: self.cols - panel * self.deal.width,
                    skip: terms.start,
                    ..b
                },
                c,
                c_rows: Rows::Strided(self.cols),
                init,
            }),
            // SAFETY: as the caller's.
            Factor::Narrow(b) => unsafe { b.panel(panel, (terms.start, &self.a[terms]), c, init) },
        }
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
