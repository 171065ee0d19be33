//! What the kernels of this module allocate in `f32`, by the functions they allocate by.

use super::form::{self, Kind};
use super::lines::{Lines, blocks_len};
use super::{convolution, is_small_gradient, small, small_weight, strided, taps, toom, weight, weight_cut};
use crate::simd::Level;
use ksdsl_engine::size::{ConvSize, MapSize};

/// Values of the buffers of a kernel besides its operands and its output.
pub(crate) struct Scratch {
    /// Those that all tasks have in common.
    pub(crate) whole: Vec<usize>,
    /// Those of a task.
    pub(crate) of_task: Vec<usize>,
    pub(crate) tasks: usize,
}

/// A kernel in the form of the forward pass, or of the data gradient.
pub(crate) fn form(level: Level, size: &ConvSize, backward: bool) -> Vec<usize> {
    rooms(form::lengths(level, size, backward))
}

/// The forward pass; `through`: its output is kept nowhere, see [`super::forward_through`].
pub(crate) fn forward(level: Level, size: &ConvSize, through: bool) -> Scratch {
    let kind = form::kind(level, &size.for_rules(), false);
    convolve(level, size, [size.input, size.output], kind, through)
}

/// The forward pass by [`super::Rows`], whose tasks have these buffers, too.
pub(crate) fn by_rows(level: Level, size: &ConvSize, buffers: [usize; 2]) -> Scratch {
    let conv = convolution(size, [size.input, size.output]);
    let mut of_task = buffers.to_vec();
    of_task.extend(rooms([small::zeros_len(&conv)]));
    Scratch {
        whole: rooms([blocks_len(level.lanes(), conv.input.channels, 1)]),
        of_task,
        tasks: conv.bands.tasks(),
    }
}

/// The data gradient.
pub(crate) fn backward_data(level: Level, size: &ConvSize) -> Scratch {
    let kind = form::kind(level, size, true);
    if kind != Kind::Strided {
        return convolve(level, size, [size.output, size.input], kind, false);
    }
    /// Tasks that are looked at: their rows lie differently in the strides.
    const TASKS: usize = 64;
    let (cut, height) = (strided::cut(size), size.input.height);
    let starts = (0..cut.tasks().min(TASKS)).map(|task| task * cut.task() % height.max(1));
    let planes = starts.map(|first| strided::planes_len(level.lanes(), size, first..height.min(first + cut.task())));
    Scratch {
        whole: Vec::new(),
        of_task: rooms(planes.max()),
        tasks: cut.tasks(),
    }
}

fn convolve(level: Level, size: &ConvSize, maps: [MapSize; 2], kind: Kind, through: bool) -> Scratch {
    let conv = convolution(size, maps);
    let (lanes, rows) = (level.lanes(), conv.most_rows());
    let mut whole = vec![blocks_len(lanes, conv.input.channels, 1)];
    let mut of_task = Vec::new();
    match kind {
        Kind::Small => whole.push(small::zeros_len(&conv)),
        Kind::Toom => of_task.extend(toom::scratch(&conv, lanes, rows)),
        Kind::Direct | Kind::Strided => {
            let blocks = conv.input.channels.div_ceil(lanes);
            of_task.push(conv.planes_len(lanes, rows, blocks));
        }
    }
    let mut of_task = rooms(of_task);
    of_task.extend(through.then(|| conv.band_len()));
    Scratch {
        whole: rooms(whole),
        of_task,
        tasks: conv.bands.tasks(),
    }
}

/// The weight gradient.
pub(crate) enum WeightScratch {
    /// With sums of parts: values in common, parts, and sums of a part.
    Parts(usize, usize, usize),
    /// All at once.
    Together(Scratch),
}

/// The weight gradient.
pub(crate) fn backward_weight(level: Level, size: &ConvSize) -> WeightScratch {
    if is_small_gradient(level, size) {
        let [rows, part] = small_weight::cut(size);
        let len = blocks_len(level.lanes(), size.input.channels, taps(size));
        let zeros = Lines::room(small_weight::zeros_len(size));
        return WeightScratch::Parts(zeros, crate::par::parts(rows, part), len);
    }
    let cut = weight_cut::Cut::new(weight::is_toom(size), level, size);
    WeightScratch::Together(Scratch {
        whole: rooms([cut.sums_len()]),
        of_task: rooms(cut.planes_len(level, size)),
        tasks: cut.tasks(),
    })
}

/// Whether the forward pass is by Toom and Cook's algorithm.
pub(crate) fn is_toom(level: Level, size: &ConvSize) -> bool {
    form::kind(level, &size.for_rules(), false) == Kind::Toom
}

fn rooms(lengths: impl IntoIterator<Item = usize>) -> Vec<usize> {
    lengths.into_iter().map(Lines::room).collect()
}
