//! What convolutions and linear layers need besides input and output: kernels in the forms that the
//! runtime's algorithms want, sums of kernel gradients, and scratch.
//!
//! The figures follow `ksdsl-runtime` with vectors of [`LANES`] values. Each thread has the scratch
//! of a task: half a megabyte or, with hundreds of channels, some megabytes. Tests compare the figures
//! with what the runtime measures.

use super::buffer::{Buffer, Meter};
use super::param::{Direction, Domain, Form, Kernel, Sums};
use super::wide;
use crate::ir::Layer;
use crate::ops::conv::Conv;
use crate::ops::linear::Linear;
use std::rc::Rc;

/// Values of the widest vector, which kernels are padded to.
pub(super) const LANES: u128 = 16;
/// Points of a tile of Winograd's algorithm.
const POINTS: u128 = 36;
/// Values that a task works on.
const TASK: u128 = 1 << 17;
/// Values of the points of both factors of a Winograd weight gradient.
const WEIGHT_TASK: u128 = 1 << 19;
/// Tasks of a weight gradient, at most or about.
pub(super) const PARTS: u128 = 16;
/// Tasks of a weight gradient that is cut by columns.
const COLUMN_PARTS: u128 = 8;

/// Rows of a piece, and parts, of the backward pass of a pointwise convolution with the norm after it.
const PIECE: u128 = 128;
const JOINED_PARTS: u128 = 8;

/// An input that is recomputed piece by piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remade {
    /// Whether the sums that the norm it comes from needs are gathered.
    pub(super) open: bool,
    /// Whether its residual is recomputed too.
    pub(super) scratch: bool,
}

/// In training, outputs of Winograd's algorithm have at least this many pixels, and this many times images.
const ROUGH_ROWS: u128 = 4096;
const ROUGH_PRODUCT: u128 = 64 * ROUGH_ROWS;

/// The runtime's algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Pointwise,
    Depthwise,
    Winograd,
    Unrolled,
}

/// A convolution of a batch. Linear layers are convolutions of maps of one pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Convolution {
    pub(super) batch: u128,
    /// Images that the rules go by, where the batch is a slice.
    pub(super) unit: Option<u128>,
    pub(super) groups: u128,
    pub(super) channels: [u128; 2],
    pub(super) kernel: [u128; 2],
    pub(super) stride: [u128; 2],
    pub(super) dilation: [u128; 2],
    /// Height and width of input and output.
    pub(super) input: [u128; 2],
    pub(super) output: [u128; 2],
    /// Of the gradients, and of the output unless [`Convolution::in_training`] says otherwise.
    pub(super) method: Method,
    /// Of the output.
    pub(super) output_method: Method,
}

impl Convolution {
    /// That of a layer, if it has one.
    pub(super) fn of(layer: &Layer, batch: u128, unit: Option<u128>) -> Option<Self> {
        let sizes = |sizes: &[u64]| match *sizes {
            [_, height, width] => [wide(height), wide(width)],
            _ => [1, 1],
        };
        let mut this = Self {
            batch,
            unit,
            groups: 1,
            channels: [layer.input, layer.output].map(|shape| wide(shape.channels())),
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            input: sizes(&layer.input.sizes()),
            output: sizes(&layer.output.sizes()),
            method: Method::Pointwise,
            output_method: Method::Pointwise,
        };
        match layer.op.downcast::<Conv>() {
            Some(conv) => {
                (this.groups, this.kernel) = (wide(conv.groups.max(1)), conv.kernel.map(wide));
                (this.stride, this.dilation) = (conv.stride.map(wide), conv.dilation.map(wide));
                this.method = this.method(conv);
                this.output_method = this.method;
                Some(this)
            }
            None => layer.op.downcast::<Linear>().map(|_| this),
        }
    }

    /// A linear layer on this many rows.
    pub(super) fn linear(rows: u128, channels: [u128; 2]) -> Self {
        Self {
            batch: rows,
            unit: None,
            groups: 1,
            channels,
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            input: [1, 1],
            output: [1, 1],
            method: Method::Pointwise,
            output_method: Method::Pointwise,
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

    /// The same in a training pass: small maps are computed directly.
    pub(super) fn in_training(self) -> Self {
        let winograd = self.method == Method::Winograd;
        let rough = self.pixels() < ROUGH_ROWS || self.pixels().saturating_mul(self.batch) < ROUGH_PRODUCT;
        let output_method = match winograd && rough {
            true => Method::Unrolled,
            false => self.method,
        };
        Self { output_method, ..self }
    }

    /// The algorithm of the forward pass of inference, with vectors of [`LANES`] values.
    pub(super) fn taken(&self) -> &'static str {
        match self.method {
            Method::Winograd => "winograd",
            Method::Depthwise if self.toom(self.output[1]) => "toom_cook",
            Method::Pointwise | Method::Depthwise | Method::Unrolled => "direct",
        }
    }

    /// What the rules see: a unit of the batch, or all of it.
    pub(super) fn for_rules(&self) -> Self {
        Self {
            batch: self.unit.unwrap_or(self.batch),
            unit: None,
            ..*self
        }
    }

    fn winograd_pays(&self) -> bool {
        let this = self.for_rules();
        let tiles = this.all_tiles(this.output);
        let least = match self.channels[0].min(self.channels[1]) {
            0..16 => return false,
            16..24 => 256,
            24..32 => 64,
            _ => 4,
        };
        tiles >= least && this.pixels() >= tiles * 8
    }

    /// Pixels of the output.
    fn pixels(&self) -> u128 {
        product(&[self.batch, self.output[0], self.output[1]])
    }

    /// Rows of 4x4 tiles of a map.
    fn bands(&self, map: [u128; 2]) -> u128 {
        self.batch * map[0].div_ceil(4)
    }

    /// 4x4 tiles of a map.
    fn all_tiles(&self, map: [u128; 2]) -> u128 {
        self.bands(map) * map[1].div_ceil(4)
    }

    /// Values of the input.
    pub(super) fn input_len(&self) -> u128 {
        product(&[self.batch, self.input[0], self.input[1], self.channels[0]])
    }

    /// Values of the output.
    pub(super) fn output_len(&self) -> u128 {
        self.pixels() * self.channels[1]
    }

    pub(super) fn taps(&self) -> u128 {
        product(&self.kernel)
    }

    /// Columns of the unrolled input of a group.
    fn columns(&self) -> u128 {
        self.taps() * (self.channels[0] / self.groups)
    }

    /// The output map, by a kernel whose form is made if need be.
    pub(super) fn forward(&self, meter: &Rc<Meter>, kernel: &Kernel) -> Buffer {
        let this = Self {
            method: self.output_method,
            ..*self
        };
        this.forward_by_method(meter, kernel)
    }

    fn forward_by_method(&self, meter: &Rc<Meter>, kernel: &Kernel) -> Buffer {
        self.prepare(meter, kernel, Direction::Forward);
        if self.method == Method::Winograd {
            return self.winograd(meter, self.output, self.channels);
        }
        let y = meter.buffer(self.output_len());
        match self.method {
            Method::Depthwise => self.depthwise_scratch(meter, [self.input, self.output], self.stride),
            Method::Unrolled => {
                let rows = self.implicit_rows().min(self.rows().div_ceil(8)).max(1);
                let tasks = self.rows().div_ceil(rows);
                meter.scratch(self.copied(rows.min(self.output[0])), tasks);
            }
            Method::Pointwise | Method::Winograd => {}
        }
        y
    }

    /// The gradient with respect to the input.
    pub(super) fn backward_data(&self, meter: &Rc<Meter>, kernel: &Kernel) -> Buffer {
        self.prepare(meter, kernel, Direction::Backward);
        if self.method == Method::Winograd {
            let [inputs, outputs] = self.channels;
            return self.winograd(meter, self.input, [outputs, inputs]);
        }
        let dx = meter.buffer(self.input_len());
        match self.method {
            Method::Depthwise if self.stride == [1, 1] => {
                self.depthwise_scratch(meter, [self.output, self.input], self.stride);
            }
            Method::Depthwise => meter.scratch(self.strided_scratch(), self.depthwise_tasks(self.input)),
            Method::Unrolled => meter.scratch(self.unrolled(self.tile_rows().min(self.output[0])), self.batch),
            Method::Pointwise | Method::Winograd => {}
        }
        dx
    }

    /// Whether the backward pass is done together with that of the norm after it.
    pub(super) fn joins_norm(&self) -> bool {
        let least = (4 * self.channels[0].max(self.channels[1])).max(JOINED_PARTS * PIECE);
        self.method == Method::Pointwise && self.pixels() >= least
    }

    /// The backward pass together with that of the norm after it: the gradient with respect to the
    /// input `x`, which has other uses or not.
    pub(super) fn joined(
        &self,
        meter: &Rc<Meter>,
        kernel: &Kernel,
        sums: &Sums,
        x: Option<Remade>,
        dy: Buffer,
        others: bool,
    ) -> Buffer {
        let ([inputs, outputs], rows) = (self.channels, self.pixels());
        let has_sums = x.is_some_and(|x| x.open) && !others;
        // Written over `dy` where it is as long.
        let dx = if inputs == outputs {
            dy
        } else {
            meter.buffer(self.input_len())
        };
        let _bias = meter.buffer(2 * JOINED_PARTS * outputs);
        let _sums = meter.buffer(if has_sums { 4 * JOINED_PARTS * inputs } else { 0 });
        self.prepare(meter, kernel, Direction::Backward);
        let maps = outputs + inputs + if has_sums { inputs } else { 0 };
        let again = if x.is_some_and(|x| x.scratch) {
            PIECE * inputs
        } else {
            0
        };
        let rest = transposed(PIECE, outputs, inputs, inputs).max(again);
        let part = rows.div_ceil(JOINED_PARTS).next_multiple_of(PIECE);
        partial_sums(
            meter,
            rows.div_ceil(part),
            inputs * outputs,
            product(&[PIECE, maps]) + rest,
        );
        sums.hold(Domain::Plain, || meter.buffer(inputs * outputs));
        dx
    }

    /// Adds the gradient of the kernel to its sums.
    pub(super) fn backward_weight(&self, meter: &Rc<Meter>, sums: &Sums, len: u128) {
        let [inputs, outputs] = self.channels;
        let domain = match self.method {
            Method::Pointwise | Method::Depthwise => Domain::Plain,
            Method::Winograd => Domain::Winograd,
            Method::Unrolled => Domain::Unrolled,
        };
        let held = match domain {
            Domain::Winograd => points(inputs * outputs),
            _ => len,
        };
        sums.hold(domain, || meter.buffer(held));
        match self.method {
            Method::Pointwise if self.pixels() < outputs * 4 => {
                let tasks = outputs.div_ceil(outputs.div_ceil(8).clamp(64, 128));
                meter.scratch(transposed(self.pixels(), outputs, inputs, inputs), tasks);
            }
            Method::Pointwise => {
                let part = self.pixels().div_ceil(8).max(256);
                let scratch = transposed(part, outputs, inputs, inputs);
                partial_sums(meter, self.pixels().div_ceil(part), len, scratch);
            }
            Method::Depthwise if self.small() => self.small_sums(meter),
            Method::Depthwise => self.depthwise_sums(meter),
            Method::Winograd => {
                let most = WEIGHT_TASK / (POINTS * (inputs + outputs)).max(1);
                let tiles = self.tiles(self.output, most.max(inputs.min(outputs)), u128::MAX);
                let both = points(tiles * inputs) + points(tiles * outputs);
                let _both = meter.buffer(both);
                meter.scratch(transposed(tiles, inputs, outputs, outputs), POINTS);
            }
            Method::Unrolled if self.large_gradient(len) => {
                meter.scratch(self.gathered(self.implicit_rows().min(self.rows())), COLUMN_PARTS);
            }
            Method::Unrolled => {
                let parts = ((1 << 24) / len.max(1)).clamp(2, PARTS);
                let part = self.rows().div_ceil(parts).max(1);
                let scratch = self.gathered(self.implicit_rows().min(part));
                partial_sums(meter, self.rows().div_ceil(part), len, scratch);
            }
        }
    }

    /// Makes the kernel's form for this direction, unless it is there.
    pub(super) fn prepare(&self, meter: &Rc<Meter>, kernel: &Kernel, direction: Direction) {
        let [inputs, outputs] = self.channels;
        let [rows, columns] = match direction {
            Direction::Forward => [self.columns(), outputs / self.groups],
            Direction::Backward => [outputs / self.groups, self.columns()],
        };
        let (count, rows, columns, plain) = match (self.method, direction) {
            (Method::Depthwise, _) => {
                let form = Form::Depthwise(Box::new(*self), direction);
                return kernel.hold(form, || meter.buffer(self.depthwise_form(direction)));
            }
            (Method::Winograd, Direction::Forward) => (POINTS, inputs, outputs, points(inputs * outputs)),
            (Method::Winograd, Direction::Backward) => (POINTS, outputs, inputs, points(inputs * outputs)),
            (Method::Unrolled, _) => (self.groups, rows, columns, kernel.len),
            (Method::Pointwise, _) => (1, rows, columns, 0),
        };
        kernel.hold(Form::Dense(self.method, direction), || {
            let _plain = meter.buffer(plain);
            let packed = rows * columns.next_multiple_of(LANES) + LANES;
            meter.buffer(packed * count)
        });
    }

    /// Rows of the output that are unrolled at a time.
    fn tile_rows(&self) -> u128 {
        (TASK / (self.output[1] * self.columns()).max(1)).max(1)
    }

    fn unrolled(&self, rows: u128) -> u128 {
        product(&[rows.max(1), self.output[1], self.columns()])
    }

    /// Tiles of a task of at most this many tiles and bands, over a map.
    fn tiles(&self, map: [u128; 2], tiles: u128, most_bands: u128) -> u128 {
        let across = map[1].div_ceil(4).max(1);
        let most = most_bands.min(self.bands(map)).max(1);
        (tiles / across).clamp(1, most) * across
    }

    /// A map by Winograd's algorithm.
    fn winograd(&self, meter: &Rc<Meter>, to: [u128; 2], channels: [u128; 2]) -> Buffer {
        let [inputs, outputs] = channels;
        let len = product(&[self.batch, to[0], to[1], outputs]);
        let tiles = self.all_tiles(to);
        // With so few tiles all of them are transformed before any is multiplied.
        if product(&[2, tiles, inputs + outputs]) < inputs * outputs {
            let _points = channels.map(|channels| meter.buffer(points(tiles * channels)));
            return meter.buffer(len);
        }
        let y = meter.buffer(len);
        let most = (TASK / (POINTS * (inputs + outputs)).max(1)).max(48);
        let tiles = self.tiles(to, most, self.bands(to).div_ceil(8));
        let scratch = channels.map(|channels| points(tiles * channels));
        let tasks = self.all_tiles(to).div_ceil(tiles.max(1));
        meter.scratch(scratch[0] + scratch[1], tasks);
        y
    }

    /// Rows of the output, over the batch.
    pub(super) fn rows(&self) -> u128 {
        self.batch * self.output[0]
    }

    /// Values of the input under this many rows of the output, with the padding.
    fn copied(&self, rows: u128) -> u128 {
        let [height, width] = self.extent([rows.max(1), self.output[1]]);
        product(&[height, width, self.channels[0]])
    }

    /// Rows and columns that this many of the output read.
    pub(super) fn extent(&self, outputs: [u128; 2]) -> [u128; 2] {
        [0, 1].map(|axis| {
            let reach = self.kernel[axis].saturating_sub(1) * self.dilation[axis];
            let steps = outputs[axis].saturating_sub(1) * self.stride[axis];
            steps + reach + 1
        })
    }

    /// Rows of the output that are taken at a time where the input is read in place.
    fn implicit_rows(&self) -> u128 {
        let row = self.copied(1) / self.kernel[0].max(1) * self.stride[0];
        let output = self.output[1] * self.channels[1];
        (TASK / 2 / (row + output).max(1)).max(1)
    }

    /// Scratch of the weight gradient of this many rows: the input with its padding, and a group's
    /// output gradient in panels.
    fn gathered(&self, rows: u128) -> u128 {
        let rows = rows.min(self.output[0]).max(1);
        let columns = (self.channels[1] / self.groups).next_multiple_of(LANES);
        self.copied(rows) + product(&[rows, self.output[1], columns])
    }

    /// Whether a weight gradient is cut by columns rather than summed of parts.
    fn large_gradient(&self, len: u128) -> bool {
        let maps = self.input_len() + self.output_len();
        self.groups == 1 && product(&[3, PARTS, len]) > product(&[COLUMN_PARTS, maps])
    }
}

pub(super) fn product(factors: &[u128]) -> u128 {
    factors.iter().product()
}

/// Values of 36 matrices of `len` values.
fn points(len: u128) -> u128 {
    (len + LANES) * POINTS
}

/// Scratch of a product `a^T b` of this many rows, those of `b` `stride` apart.
pub(super) fn transposed(rows: u128, left: u128, right: u128, stride: u128) -> u128 {
    let (rows, far) = (rows.min(256), 192);
    let panels = if stride < far && right.is_multiple_of(LANES) {
        0
    } else {
        right.next_multiple_of(LANES)
    };
    let strip = if left < far { 0 } else { 48 };
    product(&[rows, panels + strip])
}

/// Sums of `len` values in each of some parts, added when all are there.
pub(super) fn partial_sums(meter: &Rc<Meter>, parts: u128, len: u128, scratch: u128) {
    let _partials = meter.buffer(parts * len);
    meter.scratch(scratch, parts);
    if parts > 1 {
        drop(meter.buffer(len));
    }
}

#[cfg(test)]
mod tests {
    use super::{Convolution, Method};

    fn conv(batch: u128, side: u128, channels: u128) -> Convolution {
        Convolution {
            batch,
            unit: None,
            groups: 1,
            channels: [channels; 2],
            kernel: [3; 2],
            stride: [1; 2],
            dilation: [1; 2],
            input: [side; 2],
            output: [side; 2],
            method: Method::Winograd,
            output_method: Method::Winograd,
        }
    }

    /// As the runtime's own test of its rule (`conv_method`).
    #[test]
    fn winograd_is_taken_where_the_runtime_takes_it() {
        let pays = |batch, side, channels| conv(batch, side, channels).winograd_pays();
        assert!(pays(64, 32, 64) && pays(64, 16, 128) && pays(64, 8, 256));
        assert!(pays(1, 32, 64) && pays(1, 16, 128) && pays(1, 8, 256));
        assert!(pays(64, 8, 16) && !pays(64, 4, 16) && !pays(64, 32, 8));
        assert!(pays(64, 4, 32) && pays(1, 8, 32) && !pays(1, 4, 32));
        assert!(pays(1, 32, 24) && !pays(1, 28, 24) && !pays(1, 32, 16));
        assert!(pays(64, 7, 64) && !pays(64, 5, 64) && !pays(64, 2, 64));
    }

    /// As the runtime's test: small maps are computed directly in training, but not their gradients.
    #[test]
    fn small_maps_are_direct_in_training() {
        let forward = |batch, side| {
            let conv = conv(batch, side, 64).in_training();
            assert_eq!(conv.method, Method::Winograd);
            conv.output_method
        };
        for (batch, side) in [(64, 8), (32, 16), (16, 32), (4, 128)] {
            assert_eq!(forward(batch, side), Method::Winograd);
        }
        for (batch, side) in [(63, 8), (31, 16), (15, 32), (4, 127)] {
            assert_eq!(forward(batch, side), Method::Unrolled);
        }
    }

    /// A 3x3 map of the input is copied with a pixel of padding around it.
    #[test]
    fn windows_read_beyond_their_rows() {
        let mut conv = conv(1, 3, 5);
        assert_eq!(conv.copied(3), 5 * 5 * 5);
        (conv.stride, conv.output) = ([2; 2], [2; 2]);
        assert_eq!(conv.copied(2), 5 * 5 * 5);
        assert_eq!(conv.copied(1), 3 * 5 * 5);
    }
}
