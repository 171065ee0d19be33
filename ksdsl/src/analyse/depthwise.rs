//! What depthwise convolutions need: as `ksdsl-runtime/cpu/src/depthwise` does them.

use super::buffer::{Buffer, Meter};
use super::kernel::{Convolution, LANES, Method, PARTS, partial_sums, product};
use super::param::{Direction, Kernel};
use std::rc::Rc;

/// Points of a tile of three pixels in wide depthwise kernels.
const TOOM_POINTS: u128 = 5;
/// Outputs of such a tile, and taps of a group.
const TOOM_TILE: u128 = 3;
/// Values of a task that goes through them once.
const PASS: u128 = 1 << 14;
/// Rows of a band of a depthwise convolution.
const BAND: u128 = 16;
/// Values of the planes of a task.
const PLANES: u128 = 1 << 15;
/// Least bands of a batch, and of a unit of a slice, for which a pointwise convolution takes them one by one.
const CHAIN: [u128; 2] = [16, 2];
/// Least pixels of such a band.
const CHAIN_PIXELS: u128 = 128;
/// Rows of zeros above, and below, the output gradient of a band.
const PADDING_ROWS: u128 = 2;

impl Convolution {
    /// Whether a depthwise convolution to a map of this width is taken in tiles of three.
    pub(super) fn toom(&self, width: u128) -> bool {
        self.toom_if(self.kernel[1] >= 9 && width >= 12)
    }

    /// Whether its weight gradient is.
    pub(super) fn toom_sums(&self) -> bool {
        self.toom_if(self.kernel[1] >= 7 && self.output[1] >= 24)
    }

    /// The heuristic, of which `pays` is the part that differs.
    fn toom_if(&self, pays: bool) -> bool {
        self.toom_takes() && pays
    }

    fn toom_takes(&self) -> bool {
        self.stride == [1, 1] && self.dilation[1] == 1 && self.kernel[0] >= 7
    }

    /// Vectors of channels.
    fn blocks(&self) -> u128 {
        self.channels[0].div_ceil(LANES)
    }

    /// A depthwise kernel laid out for a direction.
    pub(super) fn depthwise_form(&self, direction: Direction) -> u128 {
        let width = match direction {
            Direction::Forward => self.output[1],
            Direction::Backward => self.input[1],
        };
        let form = |taps: u128| product(&[self.blocks(), taps, LANES]) + LANES;
        let plain = form(self.taps());
        if self.toom(width) {
            let groups = product(&[TOOM_POINTS, self.kernel[0], self.kernel[1].div_ceil(TOOM_TILE)]);
            return plain + form(groups);
        }
        plain
    }

    /// Rows of a task of a depthwise convolution to a map, of one image.
    fn depthwise_rows(&self, to: [u128; 2]) -> u128 {
        self.rows_per_task(to).min(to[0]).max(1)
    }

    /// Rows of a task of a depthwise convolution to a map, counted over the batch.
    fn rows_per_task(&self, to: [u128; 2]) -> u128 {
        let row = product(&[to[1], self.channels[0], self.taps()]);
        let band = (self.for_rules().batch * to[0])
            .div_ceil(2)
            .next_multiple_of(4)
            .min(BAND);
        PASS.div_ceil(row.max(1)).max(band.min(to[0]))
    }

    /// Tasks of a depthwise convolution to a map.
    pub(super) fn depthwise_tasks(&self, to: [u128; 2]) -> u128 {
        let rows = self.batch * to[0];
        rows.div_ceil(self.depthwise_rows(to))
    }

    /// Whether the window is taken straight from the map, without planes.
    pub(super) fn small(&self) -> bool {
        let pixels = self.kernel == [1, 1] && self.input == self.output;
        let small = pixels || self.kernel == [3, 3] || self.kernel == [5, 5];
        small && self.stride == [1, 1] && self.dilation == [1, 1]
    }

    /// The weight gradient of a small window: sums of the tasks, and a row of zeros.
    pub(super) fn small_sums(&self, meter: &Rc<Meter>) {
        let width = self.input[1].max(self.output[1]);
        let _zeros = meter.buffer(width * self.channels[0] + LANES);
        let least = (4 * self.taps()).div_ceil(self.output[1].max(1));
        let part = self.rows().div_ceil(PARTS).max(least);
        let len = product(&[self.blocks(), self.taps(), LANES]);
        partial_sums(meter, self.rows().div_ceil(part), len, 0);
    }

    /// Whether the pointwise convolution after it takes its output band by band, in inference.
    pub(super) fn chains(&self, next: &Self) -> bool {
        let rows = self.rows_per_task(self.output);
        let pixels = rows.min(self.output[0]) * self.output[1];
        let pair = (self.method, next.method) == (Method::Depthwise, Method::Pointwise);
        let least = if self.unit.is_some() { CHAIN[1] } else { CHAIN[0] };
        pair && self.for_rules().rows().div_ceil(rows) >= least && pixels >= CHAIN_PIXELS
    }

    /// The output of the pointwise convolution after it, of which [`Convolution::chains`] is true.
    pub(super) fn chain(&self, meter: &Rc<Meter>, kernel: &Kernel, next: &Self, next_kernel: &Kernel) -> Buffer {
        next.prepare(meter, next_kernel, Direction::Forward);
        let y = meter.buffer(next.output_len());
        self.prepare(meter, kernel, Direction::Forward);
        let pixels = self.depthwise_rows(self.output) * self.output[1];
        let band = pixels * self.channels[0] + LANES;
        self.banded_scratch(meter, [self.input, self.output], self.stride, band);
        y
    }

    /// Planes of some channels, and the bias; of a small window the bias and a row of zeros.
    pub(super) fn depthwise_scratch(&self, meter: &Rc<Meter>, maps: [[u128; 2]; 2], stride: [u128; 2]) {
        self.banded_scratch(meter, maps, stride, 0);
    }

    /// The same with a band that each task keeps.
    fn banded_scratch(&self, meter: &Rc<Meter>, [from, to]: [[u128; 2]; 2], stride: [u128; 2], band: u128) {
        let _bias = meter.buffer(self.blocks() * LANES + LANES);
        if self.small() {
            let _zeros = meter.buffer(from[1] * self.channels[0] + LANES);
            return meter.scratch(band, self.depthwise_tasks(to));
        }
        let this = Self { stride, ..*self };
        let [rows, columns] = this.extent([self.depthwise_rows(to), to[1]]);
        let (plane, sums) = if self.toom(to[1]) {
            let tiles = to[1].div_ceil(TOOM_TILE);
            let columns = tiles + self.kernel[1].div_ceil(TOOM_TILE) - 1;
            let sums = product(&[TOOM_POINTS, 4, tiles, LANES]);
            (product(&[TOOM_POINTS, plane(rows, columns)]), sums)
        } else {
            (plane(rows, columns), 0)
        };
        let scratch = self.planes(plane) + sums + 2 * LANES;
        meter.scratch(band + scratch, self.depthwise_tasks(to));
    }

    /// Planes of the output gradient under the rows of a task, of a strided convolution.
    pub(super) fn strided_scratch(&self) -> u128 {
        let under = |axis: usize, inputs: u128| {
            let reach = self.kernel[axis].saturating_sub(1) * self.dilation[axis];
            (inputs.saturating_sub(1) + reach) / self.stride[axis].max(1) + 1
        };
        let rows = under(0, self.depthwise_rows(self.input));
        self.planes(plane(rows, under(1, self.input[1])))
    }

    /// Planes of as many blocks of channels as are taken at a time.
    fn planes(&self, plane: u128) -> u128 {
        product(&[self.group(plane), plane])
    }

    /// Blocks of channels that are taken at a time, each with this many values.
    fn group(&self, plane: u128) -> u128 {
        (PLANES / plane.max(1)).clamp(1, self.blocks().max(1))
    }

    /// Planes of input and output gradient, and the sums of the tasks.
    pub(super) fn depthwise_sums(&self, meter: &Rc<Meter>) {
        let rows = self.output[0].min(BAND);
        let [below, columns] = self.extent([rows, self.output[1]]);
        let (planes, taps) = if self.toom_sums() {
            let tiles = self.output[1].div_ceil(TOOM_TILE);
            let groups = self.kernel[1].div_ceil(TOOM_TILE);
            let planes = plane(below, tiles + groups - 1) + plane(rows + 2 * PADDING_ROWS, tiles);
            (TOOM_POINTS * planes, TOOM_POINTS * self.kernel[0] * groups)
        } else {
            let planes = plane(below, columns) + plane(rows + 2 * PADDING_ROWS, self.output[1]);
            (planes, self.taps())
        };
        let group = self.group(planes);
        let groups = self.blocks().div_ceil(group);
        let bands = product(&[self.batch, self.output[0].div_ceil(BAND)]);
        let part = bands.div_ceil(PARTS.div_ceil(groups.max(1))).max(1);
        let parts = bands.div_ceil(part);
        let _sums = meter.buffer(product(&[parts, groups, group, taps, LANES]));
        meter.scratch(product(&[group, planes]), product(&[parts, groups]));
    }
}

/// Values of a plane of a vector of channels.
fn plane(rows: u128, columns: u128) -> u128 {
    ((rows * columns) | 1) * LANES
}
