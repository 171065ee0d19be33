//! Per image: sums over the pixels, and gates (squeeze-and-excitation, Hu et al. 2018) with the
//! residual and the activation that follow them: `y = after(u * gate + skip)`.

use super::columns::{AddAll, Columns, Plain, Terms, for_vectors};
use super::formulas::relu;
use super::vector::{Vector, VectorPass, dispatch};
use crate::par::{self, Start};
use crate::real::CpuReal;
use crate::simd::Level;
use crate::{CpuBuf, threads};
use ksdsl_engine::size::{Activation, MapSize, RowSize};

/// The pieces that the images of a map are worked on in.
struct Pieces {
    level: Level,
    columns: Columns,
    images: usize,
    /// Elements of an image and of a piece, which is whole wide rows.
    image: usize,
    piece: usize,
}

/// What [`image_sums`] and [`gate_gradient`] allocate for their sums.
pub(crate) struct SumsScratch {
    /// Sums of all pieces, and of all images, in `f64`.
    pub(crate) partials: usize,
    pub(crate) sums: usize,
    /// Those of a task.
    pub(crate) of_task: usize,
    pub(crate) tasks: usize,
}

/// For a map of this size in `f32`.
pub(crate) fn sums_scratch(level: Level, size: MapSize) -> SumsScratch {
    let pieces = Pieces::at::<f32>(level, size);
    SumsScratch {
        partials: pieces.partials(),
        sums: pieces.images * pieces.columns.channels,
        of_task: pieces.columns.width,
        tasks: pieces.tasks(),
    }
}

/// Elements of the gates of a map of this size in `f32`, laid out for wide rows.
pub(crate) fn gates_len(level: Level, size: MapSize) -> usize {
    Pieces::at::<f32>(level, size).tiled()
}

impl Pieces {
    fn new<E: CpuReal>(size: MapSize) -> Self {
        Self::at::<E>(Level::current(), size)
    }

    fn at<E: CpuReal>(level: Level, size: MapSize) -> Self {
        let columns = Columns::new::<E>(level, size.channels);
        Self {
            level,
            columns,
            images: size.batch,
            image: size.height * size.width * size.channels,
            piece: par::ELEMENTS_PER_TASK.next_multiple_of(columns.width),
        }
    }

    fn per_image(&self) -> usize {
        self.image.div_ceil(self.piece)
    }

    fn tasks(&self) -> usize {
        self.images * self.per_image()
    }

    /// Sums of all pieces.
    fn partials(&self) -> usize {
        self.tasks() * self.columns.channels
    }

    /// Elements of the gates for wide rows.
    fn tiled(&self) -> usize {
        self.images * self.columns.width
    }

    /// Calls `f(index, image, first element, elements)` for each piece, in parallel.
    fn each(&self, f: impl Fn(usize, usize, usize, usize) + Sync) {
        let per_image = self.per_image();
        threads::for_each(self.tasks(), &|index| {
            let (image, within) = (index / per_image, index % per_image * self.piece);
            let len = self.piece.min(self.image - within);
            f(index, image, image * self.image + within, len);
        });
    }

    /// Sums over the pixels of each image: `terms(image, first element)` adds those of a piece,
    /// counted from its first element.
    fn sums<E: CpuReal, T: Terms<E, 1>>(&self, terms: impl Fn(usize, usize) -> T + Sync) -> CpuBuf<f64> {
        let channels = self.columns.channels;
        let mut partials = CpuBuf::zeros(self.partials());
        let start = Start(partials.as_mut_ptr());
        self.each(|index, image, at, len| {
            let mut wide = CpuBuf::zeros(self.columns.width);
            let terms = terms(image, at);
            let sums = wide.as_mut_ptr();
            dispatch::<E>(
                self.level,
                AddAll {
                    terms,
                    len,
                    columns: self.columns,
                    sums,
                },
            );
            // SAFETY: each piece has sums of its own.
            let partial = unsafe { std::slice::from_raw_parts_mut(start.at(index * channels), channels) };
            self.columns.fold(&wide, partial);
        });
        let mut sums = CpuBuf::zeros(self.images * channels);
        if self.image > 0 {
            let images = partials.chunks_exact(self.per_image() * channels);
            for (sums, partials) in sums.chunks_exact_mut(channels).zip(images) {
                self.columns.fold(partials, sums);
            }
        }
        sums
    }

    /// The gates of each image, laid out for wide rows.
    fn tile<E: CpuReal>(&self, gate: &[E]) -> CpuBuf<E> {
        assert_eq!(gate.len(), self.images * self.columns.channels, "gates");
        let mut tiled = CpuBuf::scratch(self.tiled());
        let rows = gate.chunks_exact(self.columns.channels);
        for (tiled, gate) in tiled.chunks_exact_mut(self.columns.width).zip(rows) {
            tiled
                .chunks_exact_mut(gate.len())
                .for_each(|row| row.copy_from_slice(gate));
        }
        tiled
    }
}

/// Sums over the pixels: `[batch][channels]`.
pub(crate) fn image_sums<E: CpuReal>(size: MapSize, x: &[E]) -> CpuBuf<f64> {
    assert_eq!(x.len(), size.len(), "the map's length");
    Pieces::new::<E>(size).sums(|_, at| Plain(x[at..].as_ptr()))
}

/// Sums over the rows, per channel.
pub(crate) fn column_sums<E: CpuReal>(size: RowSize, x: &[E]) -> CpuBuf<f64> {
    let size = MapSize {
        batch: 1,
        height: size.rows,
        width: 1,
        channels: size.channels,
    };
    image_sums(size, x)
}

/// `y = after(u * gate + skip)`; `after` must be `None` or ReLU.
///
/// # Panics
/// If lengths differ or `after` is not supported.
pub(crate) fn gate<E: CpuReal>(
    size: MapSize,
    u: &[E],
    gate: &[E],
    skip: Option<&[E]>,
    after: Option<Activation>,
    y: &mut [E],
) {
    assert!(
        matches!(after, None | Some(Activation::Relu)),
        "{after:?} after the gate"
    );
    assert!(u.len() == size.len() && y.len() == size.len(), "maps of another length");
    assert!(
        skip.is_none_or(|skip| skip.len() == size.len()),
        "maps of another length"
    );
    let pieces = Pieces::new::<E>(size);
    let gates = pieces.tile(gate);
    let width = pieces.columns.width;
    let start = Start(y.as_mut_ptr());
    pieces.each(|_, image, at, len| {
        let pass = Gate {
            u: u[at..at + len].as_ptr(),
            gate: gates[image * width..].as_ptr(),
            skip: skip.map(|skip| skip[at..at + len].as_ptr()),
            relu: after.is_some(),
            // SAFETY: inside `y`, which is as long as the map.
            y: unsafe { start.at(at) },
            len,
            width,
        };
        dispatch(pieces.level, pass);
    });
}

struct Gate<E> {
    u: *const E,
    gate: *const E,
    skip: Option<*const E>,
    relu: bool,
    y: *mut E,
    len: usize,
    width: usize,
}

impl<E: CpuReal> VectorPass<E> for Gate<E> {
    #[inline(always)]
    unsafe fn run<V: Vector<E>>(self) {
        // SAFETY: the caller vouches for features and pointers.
        unsafe {
            for_vectors::<E, V>(
                self.len,
                self.width,
                #[inline(always)]
                |at, column, count| {
                    let (u, gate) = (V::load(self.u.add(at), count), V::load(self.gate.add(column), count));
                    let mut y = match self.skip {
                        Some(skip) => u.mul_add(gate, V::load(skip.add(at), count)),
                        None => u.mul(gate),
                    };
                    if self.relu {
                        y = relu(y);
                    }
                    y.store(self.y.add(at), count);
                },
            );
        }
    }
}

/// The gradients of [`gate`] in one pass: writes `du`, writes `dy'`, which is that of the skip, over
/// `dy` where `y` is given (the output of a ReLU), and returns that of the gates.
///
/// # Panics
/// If lengths differ.
pub(crate) fn gate_gradient<E: CpuReal>(
    size: MapSize,
    u: &[E],
    gate: &[E],
    y: Option<&[E]>,
    dy: &mut [E],
    du: &mut [E],
) -> CpuBuf<E> {
    // SAFETY: borrowed mutably, and as long as is checked.
    unsafe { gradient(size, u, gate, y, (dy.as_mut_ptr(), dy.len()), du) }
}

/// # Safety
/// `dy` must be good for its length, for writing too if there is `y`.
unsafe fn gradient<E: CpuReal>(
    size: MapSize,
    u: &[E],
    gate: &[E],
    y: Option<&[E]>,
    dy: (*mut E, usize),
    du: &mut [E],
) -> CpuBuf<E> {
    let lengths = [u.len(), dy.1, du.len(), y.map_or(u.len(), <[E]>::len)];
    assert!(lengths.iter().all(|&len| len == size.len()), "maps of another length");
    let pieces = Pieces::new::<E>(size);
    let gates = pieces.tile(gate);
    let (dy, du) = (Start(dy.0), Start(du.as_mut_ptr()));
    let sums = pieces.sums(|image, at| GateTerms {
        u: u[at..].as_ptr(),
        gate: gates[image * pieces.columns.width..].as_ptr(),
        y: y.map(|y| y[at..].as_ptr()),
        // SAFETY: inside the maps.
        dy: unsafe { dy.at(at) },
        // SAFETY: as above.
        du: unsafe { du.at(at) },
    });
    let mut dgate = CpuBuf::scratch(sums.len());
    dgate
        .iter_mut()
        .zip(sums.iter())
        .for_each(|(dgate, &sum)| *dgate = E::of(sum));
    dgate
}

/// Sums `u * dy'`, and writes `dy'` and `du` on the way: each element is visited once.
struct GateTerms<E> {
    u: *const E,
    gate: *const E,
    y: Option<*const E>,
    dy: *mut E,
    du: *mut E,
}

impl<E> Terms<E, 1> for GateTerms<E> {
    #[inline(always)]
    unsafe fn add<V: Vector<E>>(&self, at: usize, column: usize, count: usize, [sum]: [V; 1]) -> [V; 1] {
        // SAFETY: the caller vouches for elements and columns.
        unsafe {
            let mut dy = V::load(self.dy.add(at), count);
            if let Some(y) = self.y {
                dy = V::load(y.add(at), count).unless_negative(dy);
                dy.store(self.dy.add(at), count);
            }
            let gate = V::load(self.gate.add(column), count);
            dy.mul(gate).store(self.du.add(at), count);
            [V::load(self.u.add(at), count).mul_add(dy, sum)]
        }
    }
}
