//! The micro-kernel: a tile of a product in registers, and the loops around it.

use super::super::simd::{Lanes, Operation, prefetch};

/// Terms that are added one by one. A sum of more is the sum of such sums: so its error grows little with its
/// length, while one by one it would be four times as great for the 4608 terms of 3x3 taps of 512 channels. So
/// often a tile is added to what is in memory, which costs little beside this many products.
pub(super) const RUN: usize = 128;

/// How far ahead of what a single row reads of the right factor lines are asked for: one page, across whose end the CPU
/// does not look by itself. With more rows the products take longer than the reading.
const AHEAD: usize = 1024;

/// Most rows of a tile.
pub(in super::super) const ROWS: usize = 6;

/// Runs `body` for each row of a tile, the row being a constant: the compiler does not unroll loops
/// around as many vectors as AVX-512 has, and an array indexed by a variable is not kept in registers.
macro_rules! for_rows {
    ($count:ident, $row:ident, $body:block) => {
        for_rows!($count, $row, $body, 0, 1, 2, 3, 4, 5)
    };
    ($count:ident, $row:ident, $body:block, $($index:literal),*) => {
        $(if const { $index < $count } {
            let $row = $index;
            $body
        })*
    };
}

/// Where rows start, counted in elements from the matrix.
#[derive(Clone, Copy)]
pub(in super::super) enum Rows<'a> {
    /// This far apart.
    Strided(usize),
    /// Here.
    Listed(&'a [usize]),
}

impl Rows<'_> {
    #[inline(always)]
    fn start(&self, row: usize) -> usize {
        match *self {
            Self::Strided(stride) => row * stride,
            Self::Listed(starts) => starts[row],
        }
    }

    /// The greatest start of the first `count` rows.
    pub(super) fn last(&self, count: usize) -> usize {
        match *self {
            Self::Strided(stride) => count.saturating_sub(1) * stride,
            Self::Listed(starts) => starts[..count].iter().copied().max().unwrap_or(0),
        }
    }
}

/// The terms of a product's sums, as one row of the left factor holds them: `len` terms, `step`
/// elements apart, from each of the segments on, which are counted from the start of the row.
#[derive(Clone, Copy)]
pub(in super::super) struct Terms<'a> {
    pub(in super::super) segments: &'a [usize],
    pub(in super::super) len: usize,
    pub(in super::super) step: usize,
}

impl<'a> Terms<'a> {
    /// Terms one after the other.
    pub(in super::super) fn contiguous(len: usize) -> Self {
        Self {
            segments: &[0],
            len,
            step: 1,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.segments.len() * self.len
    }

    /// The greatest distance of a term from the start of its row.
    pub(super) fn last(&self) -> usize {
        self.segments.iter().copied().max().unwrap_or(0) + self.len.saturating_sub(1) * self.step
    }
}

/// What the products are added to.
#[derive(Clone, Copy)]
pub(super) enum Init {
    Zero,
    /// What is there already.
    Sum,
    /// One value per column.
    Bias(*const f32),
}

/// The right factor: panels of columns; row `i` of panel `p` starts at `p * panel + i * step`.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    pub(super) start: *const f32,
    /// Columns of the product.
    pub(super) count: usize,
    /// Columns of the factor.
    pub(super) all: usize,
    pub(super) panel: usize,
    /// Elements from row to row; `None` where each panel is as wide as its vectors.
    pub(super) step: Option<usize>,
    /// Rows that are left out, the first ones.
    pub(super) skip: usize,
}

/// A product of matrices.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    pub(super) rows: usize,
    pub(super) a: *const f32,
    pub(super) a_rows: Rows<'a>,
    pub(super) terms: Terms<'a>,
    pub(super) b: Columns,
    pub(super) c: *mut f32,
    pub(super) c_rows: Rows<'a>,
    pub(super) init: Init,
}

impl Operation for Product<'_> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        // SAFETY: who makes a `Product` vouches for its pointers; `Level::run` for the features.
        unsafe {
            if V::MANY {
                self.panels::<V, 4>();
            } else {
                self.panels::<V, 2>();
            }
        }
    }
}

/// One panel of the right factor, and the columns of the product it makes.
#[derive(Clone, Copy)]
struct Panel {
    b: *const f32,
    step: usize,
    first: usize,
    width: usize,
}

impl Product<'_> {
    #[inline(always)]
    unsafe fn panels<V: Lanes, const N: usize>(&self) {
        let full = N * V::LANES;
        // So many rows that they stay in the L2 cache while the panels pass.
        let rows = ((1 << 16) / self.terms.count().max(1) / ROWS).max(4) * ROWS;
        for first in (0..self.rows).step_by(rows) {
            let rows = first..self.rows.min(first + rows);
            for (index, column) in (0..self.b.count).step_by(full).enumerate() {
                let width = full.min(self.b.count - column);
                let vectors = width.div_ceil(V::LANES);
                let stored = full.min(self.b.all - column).next_multiple_of(V::LANES);
                let step = self.b.step.unwrap_or(stored);
                let panel = Panel {
                    b: self.b.start.wrapping_add(index * self.b.panel + self.b.skip * step),
                    step,
                    first: column,
                    width,
                };
                // SAFETY: as the caller's.
                unsafe {
                    match vectors {
                        1 => self.panel::<V, 1>(rows.clone(), panel),
                        2 => self.panel::<V, 2>(rows.clone(), panel),
                        3 if V::MANY => self.panel::<V, 3>(rows.clone(), panel),
                        _ => self.panel::<V, N>(rows.clone(), panel),
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn panel<V: Lanes, const N: usize>(&self, rows: std::ops::Range<usize>, panel: Panel) {
        let mut row = rows.start;
        // SAFETY: as the caller's.
        unsafe {
            // The compiler's vectors take several registers each: smaller tiles, or they would spill.
            if !V::WHOLE {
                while row + 2 <= rows.end {
                    self.tile::<V, 2, N>(row, panel);
                    row += 2;
                }
                if row < rows.end {
                    self.tile::<V, 1, N>(row, panel);
                }
                return;
            }
            while row + ROWS <= rows.end {
                self.tile::<V, ROWS, N>(row, panel);
                row += ROWS;
            }
            match rows.end - row {
                0 => (),
                1 => self.tile::<V, 1, N>(row, panel),
                2 => self.tile::<V, 2, N>(row, panel),
                3 => self.tile::<V, 3, N>(row, panel),
                4 => self.tile::<V, 4, N>(row, panel),
                _ => self.tile::<V, 5, N>(row, panel),
            }
        }
    }

    /// Rows `row..row + R` of the panel, `N` vectors wide.
    #[inline(always)]
    unsafe fn tile<V: Lanes, const R: usize, const N: usize>(&self, row: usize, panel: Panel) {
        // SAFETY: all rows, terms and columns lie inside the matrices, as their maker vouches; the
        // last vector of a panel is masked where the product has no columns left.
        unsafe {
            let mut starts = [self.a; R];
            for_rows!(R, r, {
                starts[r] = self.a.wrapping_add(self.a_rows.start(row + r));
            });
            let (mut segments, mut at, mut left) = (self.terms.segments.iter(), 0, 0);
            let (mut b, mut rest, mut init) = (panel.b, self.terms.count(), self.init);
            loop {
                let (mut sums, mut free) = ([[V::zero(); N]; R], rest.min(RUN));
                rest -= free;
                while free > 0 {
                    if left == 0 {
                        let Some(&segment) = segments.next() else { break };
                        (at, left) = (segment, self.terms.len);
                    }
                    let run = left.min(free);
                    sums = self.add_terms(sums, starts, at, (b, panel.step), run);
                    at += run * self.terms.step;
                    b = b.wrapping_add(run * panel.step);
                    (left, free) = (left - run, free - run);
                }
                self.write::<V, R, N>(row, panel, &sums, init);
                if rest == 0 {
                    break;
                }
                init = Init::Sum;
            }
        }
    }

    /// The sums with the products of `count` terms, from `at` on in each row, with the rows of the panel
    /// from `b` on.
    #[inline(always)]
    unsafe fn add_terms<V: Lanes, const R: usize, const N: usize>(
        &self,
        mut sums: [[V; N]; R],
        starts: [*const f32; R],
        mut at: usize,
        (mut b, step): (*const f32, usize),
        count: usize,
    ) -> [[V; N]; R] {
        for _ in 0..count {
            // SAFETY: as in `tile`.
            unsafe {
                let mut columns = [V::zero(); N];
                for (v, column) in columns.iter_mut().enumerate() {
                    if R == 1 {
                        prefetch(b.wrapping_add(AHEAD + v * V::LANES));
                    }
                    *column = V::load(b.add(v * V::LANES));
                }
                for_rows!(R, r, {
                    let value = V::splat(*starts[r].add(at));
                    for v in 0..N {
                        sums[r][v] = value.mul_add(columns[v], sums[r][v]);
                    }
                });
            }
            at += self.terms.step;
            b = b.wrapping_add(step);
        }
        sums
    }

    /// Writes a tile, added to what `init` says.
    #[inline(always)]
    unsafe fn write<V: Lanes, const R: usize, const N: usize>(
        &self,
        row: usize,
        panel: Panel,
        sums: &[[V; N]; R],
        init: Init,
    ) {
        let rest = panel.width - (N - 1) * V::LANES;
        // One comparison for all vectors: what the products are added to is read through one pointer.
        let (bias, zero) = match init {
            Init::Bias(bias) => (Some(bias.wrapping_add(panel.first)), false),
            Init::Sum => (None, false),
            Init::Zero => (None, true),
        };
        for_rows!(R, r, {
            let to = self.c.wrapping_add(self.c_rows.start(row + r) + panel.first);
            let from = bias.unwrap_or(to.cast_const());
            for (v, &sum) in sums[r].iter().enumerate() {
                let to = to.wrapping_add(v * V::LANES);
                let full = v + 1 < N || rest == V::LANES;
                // SAFETY: as in `tile`.
                unsafe {
                    let sum = if zero {
                        sum
                    } else {
                        sum.add(load::<V>(from.wrapping_add(v * V::LANES), full, rest))
                    };
                    if full {
                        sum.store(to);
                    } else {
                        sum.store_some(to, rest);
                    }
                }
            }
        });
    }
}

/// A vector, or its first `some` values.
#[inline(always)]
unsafe fn load<V: Lanes>(from: *const f32, full: bool, some: usize) -> V {
    // SAFETY: as the caller's.
    unsafe { if full { V::load(from) } else { V::load_some(from, some) } }
}
