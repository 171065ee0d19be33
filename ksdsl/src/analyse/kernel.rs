//! What convolutions and linear layers need besides input and output: kernels in the forms that the
//! runtime's algorithms want, sums of kernel gradients, and scratch.
//!
//! The figures follow `ksdsl-runtime` on one thread with vectors of [`LANES`] values; each further
//! thread has the scratch of a task more: half a megabyte or, with hundreds of channels, some
//! megabytes. Tests compare the figures with what the runtime measures.

use super::buffer::{Buffer, Meter};
use super::param::{Direction, Domain, Kernel, Sums};
use crate::ir::{Conv, Layer, Op};
use std::rc::Rc;

/// Values of the widest vector, which kernels are padded to.
const LANES: u64 = 16;
/// Points of a tile of Winograd's algorithm.
const POINTS: u64 = 36;
/// Points of a tile of three pixels in wide depthwise kernels.
const TOOM_POINTS: u64 = 5;
/// Values that a task works on.
const TASK: u64 = 1 << 17;
/// Rows of a band of a depthwise convolution.
const BAND: u64 = 16;

/// The runtime's algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Pointwise,
    Depthwise,
    Winograd,
    Unrolled,
}

/// A convolution of a batch. Linear layers are convolutions of maps of one pixel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Convolution {
    batch: u64,
    groups: u64,
    channels: [u64; 2],
    kernel: [u64; 2],
    /// Height and width of input and output.
    input: [u64; 2],
    output: [u64; 2],
    method: Method,
}

impl Convolution {
    /// That of a layer, if it has one.
    pub(super) fn of(layer: &Layer, batch: u64) -> Option<Self> {
        let sizes = |sizes: &[u64]| match *sizes {
            [_, height, width] => [height, width],
            _ => [1, 1],
        };
        let mut this = Self {
            batch,
            groups: 1,
            channels: [layer.input.channels(), layer.output.channels()],
            kernel: [1, 1],
            input: sizes(&layer.input.sizes()),
            output: sizes(&layer.output.sizes()),
            method: Method::Pointwise,
        };
        match &layer.op {
            Op::Linear { .. } => Some(this),
            Op::Conv(conv) => {
                (this.groups, this.kernel) = (conv.groups.max(1), conv.kernel);
                this.method = this.method(conv);
                Some(this)
            }
            _ => None,
        }
    }

    fn method(&self, conv: &Conv) -> Method {
        let unit_step = conv.stride == [1, 1];
        if conv.groups == 1 && conv.kernel == [1, 1] && unit_step && conv.pad == [0; 4] {
            return Method::Pointwise;
        }
        if self.channels == [self.groups; 2] {
            return Method::Depthwise;
        }
        let fits = conv.groups == 1 && conv.kernel == [3, 3] && unit_step && conv.dilation == [1, 1];
        if fits && conv.pad.iter().all(|pad| *pad <= 2) && self.winograd_pays() {
            return Method::Winograd;
        }
        Method::Unrolled
    }

    fn winograd_pays(&self) -> bool {
        let tiles = self.bands(self.output).saturating_mul(self.output[1].div_ceil(4));
        let [fewest, most] = [
            self.channels[0].min(self.channels[1]),
            self.channels[0].max(self.channels[1]),
        ];
        let least = if fewest < 32 { 256 } else { 64 };
        fewest >= 16 && tiles >= least.max(most / 2) && self.pixels() >= tiles.saturating_mul(8)
    }

    /// Pixels of the output.
    fn pixels(&self) -> u64 {
        product(&[self.batch, self.output[0], self.output[1]])
    }

    /// Rows of 4x4 tiles of a map.
    fn bands(&self, map: [u64; 2]) -> u64 {
        self.batch.saturating_mul(map[0].div_ceil(4))
    }

    /// Values of the input.
    pub(super) fn input_len(&self) -> u64 {
        product(&[self.batch, self.input[0], self.input[1], self.channels[0]])
    }

    /// Values of the output.
    pub(super) fn output_len(&self) -> u64 {
        self.pixels().saturating_mul(self.channels[1])
    }

    fn taps(&self) -> u64 {
        product(&self.kernel)
    }

    /// Columns of the unrolled input of a group.
    fn columns(&self) -> u64 {
        self.taps().saturating_mul(self.channels[0] / self.groups)
    }

    /// The output, by a kernel whose form is made if need be.
    pub(super) fn forward(&self, meter: &Rc<Meter>, kernel: &Kernel) -> Buffer {
        let [inputs, outputs] = self.channels;
        self.prepare(meter, kernel, Direction::Forward);
        let y = meter.buffer(self.output_len());
        let rows = product(&[self.batch, self.output[0]]);
        let scratch = match self.method {
            Method::Pointwise => 0,
            Method::Depthwise => self.depthwise_scratch(),
            Method::Winograd => self.winograd_scratch(self.output, [inputs, outputs]),
            Method::Unrolled => self.unrolled(self.tile_rows().min(rows.div_ceil(8))),
        };
        drop(meter.buffer(scratch));
        y
    }

    /// The gradient with respect to the input.
    pub(super) fn backward_data(&self, meter: &Rc<Meter>, kernel: &Kernel) -> Buffer {
        let [inputs, outputs] = self.channels;
        self.prepare(meter, kernel, Direction::Backward);
        let dx = meter.buffer(self.input_len());
        let scratch = match self.method {
            Method::Pointwise => 0,
            Method::Depthwise => self.depthwise_scratch(),
            Method::Winograd => self.winograd_scratch(self.input, [outputs, inputs]),
            Method::Unrolled => self.unrolled(self.tile_rows().min(self.output[0])),
        };
        drop(meter.buffer(scratch));
        dx
    }

    /// Adds the gradient of the kernel to its sums.
    pub(super) fn backward_weight(&self, meter: &Rc<Meter>, sums: &Sums, len: u64) {
        let [inputs, outputs] = self.channels;
        let domain = match self.method {
            Method::Pointwise | Method::Depthwise => Domain::Plain,
            Method::Winograd => Domain::Winograd,
            Method::Unrolled => Domain::Unrolled,
        };
        let held = match domain {
            Domain::Winograd => points(inputs.saturating_mul(outputs)),
            _ => len,
        };
        sums.hold(domain, || meter.buffer(held));
        let rows = product(&[self.batch, self.output[0]]);
        match self.method {
            Method::Pointwise if self.pixels() < outputs.saturating_mul(4) => {
                drop(meter.buffer(transposed(self.pixels(), outputs, inputs)));
            }
            Method::Pointwise => {
                let part = self.pixels().div_ceil(8).max(256);
                let scratch = transposed(part, outputs, inputs);
                partial_sums(meter, self.pixels().div_ceil(part), len, scratch);
            }
            Method::Depthwise => drop(meter.buffer(self.depthwise_sums())),
            Method::Winograd => {
                let most = (1 << 21) / (POINTS * (inputs + outputs)).max(1);
                let tiles = self.tiles(self.output, most.max(inputs.min(outputs)), u64::MAX);
                let both = points(tiles.saturating_mul(inputs)).saturating_add(points(tiles.saturating_mul(outputs)));
                drop(meter.buffer(both.saturating_add(transposed(tiles, inputs, outputs))));
            }
            Method::Unrolled => {
                let parts = ((1 << 24) / len.max(1)).clamp(2, 16);
                let part = rows.div_ceil(parts).max(1);
                let tile = self.tile_rows().min(part);
                let pixels = tile.saturating_mul(self.output[1]);
                let copies = transposed(pixels, self.columns(), outputs / self.groups);
                let scratch = self.unrolled(tile).saturating_add(copies);
                partial_sums(meter, rows.div_ceil(part), len, scratch);
            }
        }
    }

    /// Makes the kernel's form for this direction, unless it is there.
    fn prepare(&self, meter: &Rc<Meter>, kernel: &Kernel, direction: Direction) {
        let [inputs, outputs] = self.channels;
        let [rows, columns] = match direction {
            Direction::Forward => [self.columns(), outputs / self.groups],
            Direction::Backward => [outputs / self.groups, self.columns()],
        };
        let (count, rows, columns, plain) = match (self.method, direction) {
            // The kernel is laid out anew in each pass.
            (Method::Depthwise, _) => return,
            (Method::Winograd, Direction::Forward) => (POINTS, inputs, outputs, points(inputs * outputs)),
            (Method::Winograd, Direction::Backward) => (POINTS, outputs, inputs, points(inputs * outputs)),
            (Method::Unrolled, _) => (self.groups, rows, columns, kernel.len),
            (Method::Pointwise, _) => (1, rows, columns, 0),
        };
        kernel.hold((self.method, direction), || {
            let _plain = meter.buffer(plain);
            let packed = rows
                .saturating_mul(columns.next_multiple_of(LANES))
                .saturating_add(LANES);
            meter.buffer(packed.saturating_mul(count))
        });
    }

    /// Rows of the output that are unrolled at a time.
    fn tile_rows(&self) -> u64 {
        (TASK / self.output[1].saturating_mul(self.columns()).max(1)).max(1)
    }

    fn unrolled(&self, rows: u64) -> u64 {
        product(&[rows.max(1), self.output[1], self.columns()])
    }

    /// Tiles of a task of at most so many tiles and bands, over a map.
    fn tiles(&self, map: [u64; 2], tiles: u64, most_bands: u64) -> u64 {
        let across = map[1].div_ceil(4).max(1);
        let most = most_bands.min(self.bands(map)).max(1);
        (tiles / across).clamp(1, most).saturating_mul(across)
    }

    fn winograd_scratch(&self, to: [u64; 2], [from_channels, to_channels]: [u64; 2]) -> u64 {
        let tiles = (TASK / (POINTS * (from_channels + to_channels)).max(1)).max(48);
        let tiles = self.tiles(to, tiles, self.bands(to).div_ceil(8));
        points(tiles.saturating_mul(from_channels)).saturating_add(points(tiles.saturating_mul(to_channels)))
    }

    /// Whether a wide depthwise kernel is taken in tiles of three; it is the runtime's rule but for
    /// strided and dilated ones.
    fn toom(&self) -> bool {
        self.kernel[1] >= 5 && self.kernel[0] >= 3 && self.input == self.output
    }

    /// Values per lane of a band of the input and of a transformed kernel.
    fn depthwise_plane(&self) -> [u64; 2] {
        let rows = self.output[0].min(BAND) + self.kernel[0] - 1;
        if self.toom() {
            let groups = self.kernel[1].div_ceil(3);
            let tiles = self.output[1].div_ceil(3) + groups - 1;
            return [TOOM_POINTS * rows * tiles, TOOM_POINTS * self.kernel[0] * groups];
        }
        [rows * (self.output[1] + self.kernel[1] - 1), self.taps()]
    }

    /// Planes of some channels, and the kernel.
    fn depthwise_scratch(&self) -> u64 {
        let [plane, taps] = self.depthwise_plane().map(|values| values.saturating_mul(LANES));
        let blocks = self.channels[0].div_ceil(LANES);
        let group = (TASK / plane.max(1)).clamp(1, blocks.max(1));
        product(&[group, plane]).saturating_add(product(&[blocks, taps + LANES]))
    }

    /// Planes of input and output gradient, and the sums of the tasks.
    fn depthwise_sums(&self) -> u64 {
        let [plane, taps] = self.depthwise_plane().map(|values| values.saturating_mul(LANES));
        let blocks = self.channels[0].div_ceil(LANES);
        let planes = plane.saturating_mul(2);
        let group = (TASK / planes.max(1)).clamp(1, blocks.max(1));
        let groups = blocks.div_ceil(group);
        let bands = product(&[self.batch, self.output[0].div_ceil(BAND)]);
        let parts = bands.min(BAND.div_ceil(groups.max(1)));
        product(&[group, planes]).saturating_add(product(&[parts, groups, group, taps]))
    }
}

fn product(factors: &[u64]) -> u64 {
    factors
        .iter()
        .fold(1, |product, factor| product.saturating_mul(*factor))
}

/// Values of 36 matrices of `len` values.
fn points(len: u64) -> u64 {
    len.saturating_add(LANES).saturating_mul(POINTS)
}

/// Scratch of a product `a^T b` of so many rows.
fn transposed(rows: u64, left: u64, right: u64) -> u64 {
    let (rows, far) = (rows.min(256), 192);
    let panels = if right < far && right.is_multiple_of(LANES) {
        0
    } else {
        right.next_multiple_of(LANES)
    };
    let strip = if left < far { 0 } else { 48 };
    product(&[rows, panels + strip])
}

/// Sums of `len` values in each of some parts, added when all are there.
fn partial_sums(meter: &Rc<Meter>, parts: u64, len: u64, scratch: u64) {
    let _partials = meter.buffer(parts.saturating_mul(len));
    drop(meter.buffer(scratch));
    if parts > 1 {
        drop(meter.buffer(len));
    }
}
