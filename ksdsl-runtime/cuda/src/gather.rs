//! Convolutions by the kernels of `gather.cu`, `gather_weight.cu` and `tensor.cu`, which read the map
//! where it lies instead of unrolling it: which product each pass is, and in which tiles.
//!
//! A product computes positions of a result. Each reads some taps of the source, at fixed steps. The
//! forward pass computes all output positions. The data gradient of a convolution with stride s computes
//! the input positions in s x s phases, because positions of a phase are read by the same taps, and
//! nothing is multiplied by zeros in between.

use super::buf::CudaBuf;
use super::gpu::{Gpu, too_large};
use super::grid::Grid;
use super::layers::{Affine, Done, int, long};
use super::real::{CudaReal, Precision};
use super::source::Arg;
use ksdsl_engine::size::{Activation, ConvSize, MapSize};

/// Sides of tiles.
const LONG: usize = 128;
const SHORT: usize = 64;
const NARROW: usize = 32;
/// Tiles of 128 x 128 below which smaller ones keep more multiprocessors busy (an H100 has 132). Bits do not
/// depend on the tiles.
const FEW_TILES: usize = 132;
/// Blocks that a weight gradient is divided into, as many as 132 multiprocessors run at once: of large tiles and
/// of small ones. Not what this GPU has, so that all GPUs add in the same order.
const WEIGHT_BLOCKS: [usize; 2] = [264, 396];
/// Fewest positions that a part of a weight gradient adds.
const LEAST_PART: usize = 128;
/// Positions of a slice; parts are multiples of them.
const SLICE: usize = 16;

/// `Gather` of gather.cu, field by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Gather {
    batch: i32,
    positions: [i32; 2],
    stride: [i32; 2],
    first: [i32; 2],
    step: [i32; 2],
    taps: [i32; 2],
    /// In the kernel: the first tap, and the steps to the next one along each axis.
    tap: [i32; 3],
    kernel_taps: i32,
    source: [i32; 3],
    target: [i32; 3],
    target_stride: [i32; 2],
    target_first: [i32; 2],
    inner: i32,
    outer: i32,
}

/// `Finish` of gather.cu, field by field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Finish {
    bias: u64,
    factor: u64,
    offset: u64,
    residual: u64,
    before: i32,
    after: i32,
}

impl Finish {
    /// What `affine` does to a map, if the kernels can do it.
    pub(super) fn of<E: CudaReal>(affine: &Affine<'_, E>) -> Option<Self> {
        let relu = |activation| match activation {
            None => Some(0),
            Some(Activation::Relu) => Some(1),
            Some(_) => None,
        };
        let at = |buf: Option<&CudaBuf<E>>| buf.map_or(0, CudaBuf::at);
        Some(Self {
            bias: at(affine.bias),
            factor: at(affine.affine.map(|(factor, _)| factor)),
            offset: at(affine.affine.map(|(_, offset)| offset)),
            residual: at(affine.residual),
            before: relu(affine.tail.before)?,
            after: relu(affine.tail.after)?,
        })
    }
}

fn map(map: MapSize) -> [i32; 3] {
    [map.height, map.width, map.channels].map(|value| value as i32)
}

/// One phase of a data gradient along one axis.
struct Phase {
    positions: usize,
    first: i32,
    step: i32,
    taps: usize,
    /// The first tap in the kernel, and the step to the next one.
    tap: [usize; 2],
}

impl Phase {
    /// Input position `phase + stride * a` is read by tap k for output position `a + (phase + pad - k * dilation) /
    /// stride`, where that is divisible.
    fn new(size: &ConvSize, axis: usize, phase: usize) -> Self {
        let window = &size.window;
        let [stride, dilation, pad] = [window.stride[axis], window.dilation[axis], window.pad[axis]];
        let input = [size.input.height, size.input.width][axis];
        let ahead = |tap: usize| (phase + pad) as i32 - (tap * dilation) as i32;
        let mut taps = (0..window.kernel[axis]).filter(|&tap| ahead(tap) % stride as i32 == 0);
        let first = taps.next();
        let next = stride / common_divisor(stride, dilation);
        Self {
            positions: (input - phase).div_ceil(stride),
            first: first.map_or(0, |tap| ahead(tap) / stride as i32),
            step: -((next * dilation / stride) as i32),
            taps: first.map_or(0, |_| 1 + taps.count()),
            tap: [first.unwrap_or(0), next],
        }
    }
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

impl Gather {
    fn forward(size: &ConvSize) -> Self {
        let window = &size.window;
        let pair = |pair: [usize; 2]| pair.map(|value| value as i32);
        Self {
            batch: size.input.batch as i32,
            positions: pair([size.output.height, size.output.width]),
            stride: pair(window.stride),
            first: pair(window.pad).map(|pad| -pad),
            step: pair(window.dilation),
            taps: pair(window.kernel),
            tap: [0, window.kernel[1] as i32, 1],
            kernel_taps: (window.kernel[0] * window.kernel[1]) as i32,
            source: map(size.input),
            target: map(size.output),
            target_stride: [1; 2],
            target_first: [0; 2],
            inner: (size.input.channels / size.groups) as i32,
            outer: (size.output.channels / size.groups) as i32,
        }
    }

    /// The input positions of one phase of the data gradient.
    fn data(size: &ConvSize, phase: [usize; 2]) -> Self {
        let forward = Self::forward(size);
        let [y, x] = [0, 1].map(|axis| Phase::new(size, axis, phase[axis]));
        // Where one axis has no taps, there are none.
        let all = y.taps.min(1) * x.taps.min(1);
        let across = size.window.kernel[1];
        Self {
            positions: [y.positions as i32, x.positions as i32],
            stride: [1; 2],
            first: [y.first, x.first],
            step: [y.step, x.step],
            taps: [y.taps, x.taps].map(|taps| (taps * all) as i32),
            tap: [y.tap[0] * across + x.tap[0], y.tap[1] * across, x.tap[1]].map(|tap| tap as i32),
            source: forward.target,
            target: forward.source,
            target_stride: forward.stride,
            target_first: phase.map(|phase| phase as i32),
            inner: forward.outer,
            outer: forward.inner,
            ..forward
        }
    }

    fn rows(&self) -> usize {
        self.batch as usize * self.positions[0] as usize * self.positions[1] as usize
    }
}

/// Kernels count positions of all images in 32 bits.
fn check(size: &ConvSize) -> Done<()> {
    let most = size
        .input
        .rows()
        .max(size.output.rows())
        .max(size.input.channels.max(size.output.channels));
    if most > i32::MAX as usize / 2 {
        Err(too_large())
    } else {
        Ok(())
    }
}

/// The unit that computes a product, and how it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Ordinary units, 16 bytes at a time.
    Wide,
    /// Ordinary units, value by value: for channels that 16 bytes do not divide.
    Any,
    Tf32,
    Bf16,
}

fn unit<E: CudaReal>(gpu: &Gpu, size: &ConvSize) -> Unit {
    let channels = [size.input.channels, size.output.channels].map(|channels| channels / size.groups);
    if channels
        .iter()
        .any(|channels| !(channels * size_of::<E>()).is_multiple_of(16))
    {
        return Unit::Any;
    }
    match gpu.precision() {
        Precision::Tf32 if gpu.has_tensor_cores::<E>() => Unit::Tf32,
        Precision::Bf16 if gpu.has_tensor_cores::<E>() => Unit::Bf16,
        _ => Unit::Wide,
    }
}

/// The kernel of a gathering product, and the rows, columns and threads of its tiles.
fn tiles(unit: Unit, rows: usize, columns: usize, groups: usize) -> (&'static str, [usize; 3]) {
    let large = columns > SHORT && rows.div_ceil(LONG) * columns.div_ceil(LONG) * groups >= FEW_TILES;
    match unit {
        Unit::Any => ("gather_any", [SHORT, SHORT, 64]),
        Unit::Wide if columns <= NARROW => ("gather_narrow", [LONG, NARROW, 64]),
        Unit::Wide => ("gather_wide", [SHORT, SHORT, 64]),
        Unit::Tf32 if large => ("gather_tf32_128", [LONG, LONG, 128]),
        Unit::Tf32 => ("gather_tf32_64", [LONG, SHORT, 128]),
        Unit::Bf16 if large => ("gather_bf16_128", [LONG, LONG, 128]),
        Unit::Bf16 => ("gather_bf16_64", [LONG, SHORT, 128]),
    }
}

/// A gathering product into `y`, from the addresses of source and packed kernel.
fn product<E: CudaReal>(
    unit: Unit,
    gather: Gather,
    groups: usize,
    finish: Finish,
    from: [u64; 2],
    y: &CudaBuf<E>,
) -> Done<()> {
    let (rows, columns) = (gather.rows(), gather.outer as usize);
    let (name, [down, across, threads]) = tiles(unit, rows, columns, groups);
    let grid = Grid {
        blocks: [rows.div_ceil(down), columns.div_ceil(across), groups],
        threads: [threads, 1, 1],
    };
    let [source, packed] = from.map(Arg::Pointer);
    let args = [Arg::Gather(gather), Arg::Finish(finish), source, packed, y.arg()];
    y.gpu().launch::<E>(name, grid, &args)
}

/// The output, from the packed kernel.
pub(super) fn forward<E: CudaReal>(
    size: &ConvSize,
    x: &CudaBuf<E>,
    packed: u64,
    finish: Finish,
    y: &CudaBuf<E>,
) -> Done<()> {
    check(size)?;
    let unit = unit::<E>(x.gpu(), size);
    product(unit, Gather::forward(size), size.groups, finish, [x.at(), packed], y)
}

/// The gradient with respect to the input, added if told to, from the kernel packed for it.
pub(super) fn data<E: CudaReal>(size: &ConvSize, packed: u64, dy: &CudaBuf<E>, dx: &CudaBuf<E>, add: bool) -> Done<()> {
    check(size)?;
    let unit = unit::<E>(dy.gpu(), size);
    let finish = Finish {
        residual: if add { dx.at() } else { 0 },
        ..Finish::default()
    };
    let [down, across] = size.window.stride;
    for y in 0..down.min(size.input.height) {
        for x in 0..across.min(size.input.width) {
            let gather = Gather::data(size, [y, x]);
            product(unit, gather, size.groups, finish, [dy.at(), packed], dx)?;
        }
    }
    Ok(())
}

/// Adds the gradient with respect to the kernel to `sum`, in the packed order.
pub(super) fn weight<E: CudaReal>(size: &ConvSize, x: &CudaBuf<E>, dy: &CudaBuf<E>, sum: &CudaBuf<E>) -> Done<()> {
    check(size)?;
    let (gpu, gather) = (x.gpu(), Gather::forward(size));
    let (rows, outputs) = (gather.rows(), gather.outer as usize);
    let columns = (gather.kernel_taps * gather.inner) as usize;
    let unit = unit::<E>(gpu, size);
    let large = unit != Unit::Any && outputs > SHORT;
    let (side, wanted) = if large {
        (LONG, WEIGHT_BLOCKS[0])
    } else {
        (SHORT, WEIGHT_BLOCKS[1])
    };
    let name = match (unit, large) {
        (Unit::Any, _) => "weight_any",
        (Unit::Wide, true) => "weight_128",
        (Unit::Wide, false) => "weight_64",
        (Unit::Tf32, true) => "weight_tf32_128",
        (Unit::Tf32, false) => "weight_tf32_64",
        (Unit::Bf16, true) => "weight_bf16_128",
        (Unit::Bf16, false) => "weight_bf16_64",
    };
    let tiles = [columns.div_ceil(LONG), outputs.div_ceil(side)];
    let (parts, each) = parts(rows, wanted / (tiles[0] * tiles[1] * size.groups));
    let partials = gpu.scratch::<E>(parts * sum.len())?;
    let grid = Grid {
        blocks: [tiles[0], tiles[1], size.groups * parts],
        threads: [2 * side, 1, 1],
    };
    let args = [
        Arg::Gather(gather),
        int(size.groups),
        int(each),
        x.arg(),
        dy.arg(),
        partials.arg(),
    ];
    gpu.launch::<E>(name, grid, &args)?;
    let args = [long(sum.len()), int(parts), partials.arg(), sum.arg()];
    gpu.launch::<E>("add_partials", Grid::flat(sum.len()), &args)
}

/// How the rows of a weight gradient are cut into about `wanted` parts: `(parts, rows per part)`.
fn parts(rows: usize, wanted: usize) -> (usize, usize) {
    let wanted = wanted.min(rows / LEAST_PART).max(1);
    let each = rows.div_ceil(wanted).next_multiple_of(SLICE).max(SLICE);
    (rows.div_ceil(each).max(1), each)
}
