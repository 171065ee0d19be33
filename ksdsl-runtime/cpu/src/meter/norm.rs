//! Norms, sums over rows, and the backward pass of a norm with the convolution before it, as `tail`, `fused`, `norm` and
//! `joined` do them.

use super::{LEVEL, Meter, MeterBuf, MeterKernel, MeterKernelGradient};
use crate::fused::{self, Columns};
use crate::gemm::transposed_scratch;
use crate::{joined, norm, par};
use ksdsl_engine::exec::{JoinedConv, JoinedGradients, MapGradient, NormBackward, Recipe};
use ksdsl_engine::size::{LinearSize, MapSize, RowSize, Tail};

fn columns(channels: usize) -> Columns {
    Columns::new::<f32>(LEVEL, channels)
}

/// What the activation before a norm takes in a task.
fn run_scratch(tail: Tail, columns: Columns) -> Option<usize> {
    tail.before.map(|_| columns.run_scratch())
}

impl Meter {
    /// Sums in `f64` over parts, added when all are there.
    fn wide_sum_parts(&self, parts: usize, len: usize) -> MeterBuf {
        let partials = self.wide(parts * len);
        if parts == 1 { partials } else { self.wide(len) }
    }

    /// Sums over the pixels of each image.
    pub(super) fn image_sums(&self, size: MapSize) -> MeterBuf {
        let scratch = fused::sums_scratch(LEVEL, size);
        let _partials = self.wide(scratch.partials);
        self.wide_tasks([], [scratch.of_task], scratch.tasks);
        self.wide(scratch.sums)
    }

    /// Sums over the rows.
    pub(super) fn column_sums(&self, size: RowSize) -> MeterBuf {
        self.image_sums(MapSize {
            batch: 1,
            height: size.rows,
            width: 1,
            channels: size.channels,
        })
    }

    /// The sums that the gradient needs, made or known.
    fn norm_sums(&self, norm: &NormBackward<'_, MeterBuf>) -> [MeterBuf; 2] {
        let channels = norm.size.channels;
        let both = || [channels; 2].map(|channels| self.wide(channels));
        if norm.sums.is_some() {
            return both();
        }
        let columns = columns(channels);
        let _tiled = self.tiles(channels, 3);
        let parts = par::parts(norm.size.rows, fused::reduce_part(norm.size, columns));
        let partials = self.wide(parts * 2 * channels);
        self.wide_tasks(run_scratch(norm.tail, columns), [2 * columns.width], parts);
        let _sums = if parts == 1 { partials } else { self.wide(2 * channels) };
        both()
    }

    /// Average and slope per channel.
    fn coefficients(&self, norm: &NormBackward<'_, MeterBuf>) -> [MeterBuf; 2] {
        let _sums = self.norm_sums(norm);
        self.identity(norm.size.channels)
    }

    pub(super) fn norm_gradient(
        &self,
        norm: &NormBackward<'_, MeterBuf>,
        dy: MeterBuf,
        residual: bool,
    ) -> (MeterBuf, Option<MeterBuf>) {
        let _coefficients = self.coefficients(norm);
        let dz = residual.then(|| self.values(dy.len()));
        let columns = columns(norm.size.channels);
        // Mean, factor, offset, average and slope.
        let _tiled = self.tiles(norm.size.channels, 5);
        self.tasks(
            run_scratch(norm.tail, columns),
            fused::gradient_tasks(norm.size, columns),
        );
        match dz {
            Some(dz) => (dz, Some(dy)),
            None => (dy, None),
        }
    }

    pub(super) fn layer_norm_sums(&self, size: RowSize) -> MeterBuf {
        let [part, len] = norm::sums_part(size);
        self.wide_sum_parts(par::parts(size.rows, part), len)
    }

    /// Backward through a norm and the pointwise convolution before it.
    pub(super) fn joined(
        &self,
        size: &LinearSize,
        norm: &NormBackward<'_, MeterBuf>,
        conv: JoinedConv<'_, MeterBuf, MeterKernel>,
        dy: MeterBuf,
        gradients: JoinedGradients<'_, MeterBuf, MeterKernelGradient>,
    ) -> MapGradient<MeterBuf> {
        let _coefficients = self.coefficients(norm);
        let _tiled = self.tiles(norm.size.channels, 5);
        let x = Operand::new(self, &conv.x);
        let has_sums = x.open && conv.others.is_none();
        let common = joined::common(size, has_sums);
        let dx = self.values(common.dx);
        let (_bias, sums) = (self.wide(common.bias), self.wide(common.sums));
        self.linear_form(size, conv.kernel, true);
        let weight = self.joined_parts(size, norm, &x, has_sums);
        gradients.weight.plain(self);
        drop(weight);
        drop(sums);
        let values = if common.dx == 0 { dy } else { dx };
        MapGradient {
            values,
            sums: has_sums.then(|| {
                [size.inputs; 2].map(|inputs| {
                    let _total = self.wide(inputs);
                    self.values(inputs)
                })
            }),
        }
    }

    /// The kernel gradients of the parts, and their sum.
    fn joined_parts(
        &self,
        size: &LinearSize,
        norm: &NormBackward<'_, MeterBuf>,
        x: &Operand,
        has_sums: bool,
    ) -> MeterBuf {
        let columns = columns(norm.size.channels);
        let piece = joined::piece([columns.repeat(), x.multiple]);
        let part = joined::part(size.rows, piece);
        let parts = par::parts(size.rows, part);
        let piece = piece.min(part).min(size.rows);
        let of_part = joined::of_part(size, piece, has_sums);
        let wide = [columns.width, if has_sums { 2 * x.width } else { 0 }];
        let len = size.inputs * size.outputs;
        let partials = self.values(parts * len);
        // One after the other: the gradient of the norm, the input, the product.
        let product = transposed_scratch(LEVEL, piece, size.outputs, [size.inputs, size.inputs]);
        let activation: Vec<usize> = run_scratch(norm.tail, columns).into_iter().collect();
        let input = [x.scratch(piece * size.inputs)];
        for then in [&product[..], &activation, &input] {
            self.wide_tasks(of_part.iter().chain(then).copied(), wide, parts);
        }
        if parts == 1 { partials } else { self.values(len) }
    }
}

/// The input of a joined convolution: kept, or recomputed piece by piece.
struct Operand {
    /// Whether it is that of a batch norm that nothing but a residual follows.
    open: bool,
    /// Each piece but the last is a multiple of so many rows.
    multiple: usize,
    /// Columns of a wide row.
    width: usize,
    /// How many pieces are recomputed at one time besides the input itself.
    pieces: usize,
    /// Values per channel for each column of a wide row.
    _tiled: Vec<MeterBuf>,
    _inputs: Vec<Operand>,
}

impl Operand {
    fn new(meter: &Meter, recipe: &Recipe<'_, MeterBuf>) -> Self {
        let Recipe::Recompute {
            tail,
            input,
            factor,
            mean,
            residual,
            ..
        } = recipe
        else {
            return Self {
                open: false,
                multiple: 1,
                width: 0,
                pieces: 0,
                _tiled: Vec::new(),
                _inputs: Vec::new(),
            };
        };
        let columns = columns(factor.len());
        let open = mean.is_some() && tail.after.is_none();
        let mut tiled = meter.tiles(factor.len(), 2);
        tiled.extend(meter.tiles(factor.len(), usize::from(open)));
        let input = Self::new(meter, input);
        let residual = residual.as_deref().map(|residual| Self::new(meter, residual));
        let of_residual = residual.as_ref().filter(|residual| residual.is_recomputed());
        Self {
            open,
            multiple: columns.repeat(),
            width: columns.width,
            pieces: of_residual
                .map_or(0, |residual| 1 + residual.pieces)
                .max(usize::from(of_residual.is_some()) + input.pieces),
            _tiled: tiled,
            _inputs: std::iter::once(input).chain(residual).collect(),
        }
    }

    /// Whether it is made piece by piece.
    fn is_recomputed(&self) -> bool {
        self.width > 0
    }

    /// Scratch for a piece of so many values.
    fn scratch(&self, len: usize) -> usize {
        self.pieces * len
    }
}
