//! What an executor must offer so that generated models run on it.

mod parts;

use crate::loops::{Loops, View, operand};
use crate::ops::composed::MaskedAttend;
use crate::real::Real;
use crate::size::{Activation, AttentionSize, ConvSize, MapSize, PoolKind, PoolSize, RowSize, Slices, Tail};
pub use parts::{
    ConvLink, ConvMoments, ConvTail, JoinedConv, JoinedGradients, LayerNormOutput, MapGradient, NormBackward, Recipe,
};
use std::borrow::Cow;
use std::fmt::Debug;

/// [`Exec::conv_norm_backward`] as its parts, one after the other.
///
/// # Errors
/// If the executor fails.
pub fn one_by_one<E: Real, X: Exec<E>>(
    exec: &X,
    norm: NormBackward<'_, X::Buf>,
    conv: JoinedConv<'_, X::Buf, X::Kernel>,
    dy: X::Buf,
    gradients: JoinedGradients<'_, X::Buf, X::KernelGradient>,
) -> Result<MapGradient<X::Buf>, X::Err> {
    let (size, rows) = (conv.size, norm.size);
    let (dz, _) = exec.norm_backward(norm, dy, false, gradients.scale, gradients.shift)?;
    let x = conv.x.values(exec)?;
    exec.conv_backward_weight(size, &x, &dz, gradients.weight)?;
    drop(x);
    if let Some(dbias) = gradients.bias {
        exec.bias_backward(rows, &dz, dbias)?;
    }
    let values = exec.conv_backward_data(size, conv.kernel, &dz, conv.others)?;
    Ok(MapGradient { values, sums: None })
}

/// [`Exec::conv_chain`] as its convolutions, one after the other.
///
/// # Errors
/// If the executor fails.
pub fn link_by_link<E: Real, X: Exec<E>>(
    exec: &X,
    x: &X::Buf,
    links: &[ConvLink<'_, X::Buf, X::Kernel>],
) -> Result<X::Buf, X::Err> {
    let mut values = Cow::Borrowed(x);
    for link in links {
        values = Cow::Owned(exec.conv_forward(link.size, &values, link.kernel, link.bias, link.tail)?);
    }
    Ok(values.into_owned())
}

/// What runs the operations: the CPU's kernels, a GPU's, or a count of what they would take. The engine decides
/// which operations run, in which order, and what is kept for the backward pass.
///
/// Buffers hold activations NHWC (see [`crate::size`]), parameters as PyTorch lays them out. Every method that takes
/// a `&mut Buf` gradient *adds* to it: that is how a shared kernel gathers the sum over its visits.
pub trait Exec<E: Real>: Clone + Debug + 'static {
    /// Why an operation failed.
    type Err: std::error::Error + 'static;
    /// Storage of an activation or a parameter.
    type Buf: Clone + Debug + 'static;
    /// A parameter in the forms that the operations want, each made at most once.
    type Kernel: Debug + 'static;
    /// A parameter's gradient, gathered over its visits in whatever form each of them computes.
    type KernelGradient: Debug + 'static;

    /// A parameter of these values, as PyTorch lays them out.
    fn kernel(&self, values: Self::Buf) -> Self::Kernel;
    /// The values of a parameter.
    fn kernel_values(kernel: &Self::Kernel) -> &Self::Buf;
    /// A gradient of zero for a parameter of `len` values.
    fn gradient(&self, len: usize) -> Result<Self::KernelGradient, Self::Err>;
    /// The part of a gradient that is gathered as PyTorch lays it out, for adding to it.
    fn gradient_values_mut<'g>(&self, gradient: &'g mut Self::KernelGradient) -> Result<&'g mut Self::Buf, Self::Err>;
    /// The sum of all parts, as PyTorch lays it out.
    fn gradient_values(&self, gradient: Self::KernelGradient) -> Result<Self::Buf, Self::Err>;

    /// A buffer of these values.
    fn upload(&self, values: Vec<E>) -> Result<Self::Buf, Self::Err>;
    /// The values of a buffer.
    fn download(&self, buf: &Self::Buf) -> Result<Vec<E>, Self::Err>;
    /// What a pass computed, as the values of a parameter, which stay when the pass is over.
    fn kept(&self, values: Self::Buf) -> Self::Buf {
        values
    }
    /// A buffer of `len` zeros.
    fn zeroed(&self, len: usize) -> Result<Self::Buf, Self::Err>;
    /// NCHW to NHWC; `size` describes the map either way.
    fn nchw_to_nhwc(&self, size: MapSize, x: &Self::Buf) -> Result<Self::Buf, Self::Err>;
    /// NHWC to NCHW.
    fn nhwc_to_nchw(&self, size: MapSize, x: &Self::Buf) -> Result<Self::Buf, Self::Err>;

    /// The output of loops over operands. What the operations without kernels of their own are made of.
    fn compute(&self, loops: &Loops, operands: &[&Self::Buf]) -> Result<Self::Buf, Self::Err>;

    /// `y = conv(x, kernel) + bias`, and what follows it. Linear layers are convolutions of maps of
    /// one pixel.
    fn conv_forward(
        &self,
        size: ConvSize,
        x: &Self::Buf,
        kernel: &Self::Kernel,
        bias: Option<&Self::Buf>,
        tail: ConvTail<'_, Self::Buf>,
    ) -> Result<Self::Buf, Self::Err>;
    /// Whether [`Exec::conv_chain`] is better than the last of these convolutions by itself.
    fn chains(&self, _links: &[ConvSize]) -> bool {
        false
    }
    /// Convolutions of which each alone reads the output of the one before. An executor can do them piece by piece, so that
    /// these outputs need not go through memory.
    fn conv_chain(
        &self,
        x: &Self::Buf,
        links: &[ConvLink<'_, Self::Buf, Self::Kernel>],
    ) -> Result<Self::Buf, Self::Err> {
        link_by_link(self, x, links)
    }
    /// `y = conv(x, kernel) + bias` with the statistics of `before(y)` (Ioffe & Szegedy 2015,
    /// algorithm 1).
    fn conv_moments(
        &self,
        size: ConvSize,
        x: &Self::Buf,
        kernel: &Self::Kernel,
        bias: Option<&Self::Buf>,
        before: Option<Activation>,
    ) -> Result<ConvMoments<Self::Buf>, Self::Err>;
    /// The gradient with respect to the input, plus `others`.
    fn conv_backward_data(
        &self,
        size: ConvSize,
        kernel: &Self::Kernel,
        dy: &Self::Buf,
        others: Option<Self::Buf>,
    ) -> Result<Self::Buf, Self::Err>;
    /// Adds the gradient with respect to the kernel.
    fn conv_backward_weight(
        &self,
        size: ConvSize,
        x: &Self::Buf,
        dy: &Self::Buf,
        gradient: &mut Self::KernelGradient,
    ) -> Result<(), Self::Err>;
    /// Adds the column sums of `dy` to `dbias`.
    fn bias_backward(&self, size: RowSize, dy: &Self::Buf, dbias: &mut Self::Buf) -> Result<(), Self::Err>;

    /// Mean and biased variance per channel.
    fn moments(&self, size: RowSize, x: &Self::Buf) -> Result<(Self::Buf, Self::Buf), Self::Err>;
    /// Batch normalisation as `factor * x + offset`: `factor = scale / sqrt(variance + eps)`,
    /// `offset = shift - mean * factor`.
    fn norm_coefficients(
        &self,
        mean: &Self::Buf,
        variance: &Self::Buf,
        scale: &Self::Buf,
        shift: &Self::Buf,
        eps: f64,
    ) -> Result<(Self::Buf, Self::Buf), Self::Err>;
    /// `after(factor * x + offset + residual)`, in place if `x` is owned.
    fn norm_apply(
        &self,
        size: RowSize,
        after: Option<Activation>,
        x: Cow<'_, Self::Buf>,
        factor: &Self::Buf,
        offset: &Self::Buf,
        residual: Option<&Self::Buf>,
    ) -> Result<Self::Buf, Self::Err>;
    /// The output again: `after(factor * before(x) + offset + residual)`.
    fn norm_recall(
        &self,
        size: RowSize,
        tail: Tail,
        x: &Self::Buf,
        factor: &Self::Buf,
        offset: &Self::Buf,
        residual: Option<&Self::Buf>,
    ) -> Result<Self::Buf, Self::Err>;
    /// The gradients with respect to the input and, if asked for, to the residual; adds those of
    /// scale and shift.
    #[allow(clippy::type_complexity)]
    fn norm_backward(
        &self,
        norm: NormBackward<'_, Self::Buf>,
        dy: Self::Buf,
        residual: bool,
        dscale: &mut Self::Buf,
        dshift: &mut Self::Buf,
    ) -> Result<(Self::Buf, Option<Self::Buf>), Self::Err>;
    /// Whether [`Exec::conv_norm_backward`] is better than its parts one by one.
    fn joins_norm(&self, _size: ConvSize) -> bool {
        false
    }
    /// Backward through a norm and the convolution whose output is the norm's input: the gradient
    /// with respect to the convolution's input, all of which is known with `others`, perhaps with the
    /// sums for a norm before it; adds those of the parameters. An executor can do it
    /// piece by piece, so that the gradient between both, and an input that is to be recomputed, need
    /// not go through memory.
    fn conv_norm_backward(
        &self,
        norm: NormBackward<'_, Self::Buf>,
        conv: JoinedConv<'_, Self::Buf, Self::Kernel>,
        dy: Self::Buf,
        gradients: JoinedGradients<'_, Self::Buf, Self::KernelGradient>,
    ) -> Result<MapGradient<Self::Buf>, Self::Err> {
        one_by_one(self, norm, conv, dy, gradients)
    }
    /// `running * (1 - momentum) + batch * factor * momentum`, element by element; `factor` is
    /// `rows / (rows - 1)` for the variance, whose running value is unbiased, and 1 for the mean.
    fn blend_statistics(
        &self,
        running: &Self::Buf,
        batch: &Self::Buf,
        momentum: f64,
        factor: f64,
    ) -> Result<Self::Buf, Self::Err>;

    /// Layer normalisation over the channels of each row (Ba et al. 2016).
    fn layer_norm_forward(
        &self,
        size: RowSize,
        x: &Self::Buf,
        scale: &Self::Buf,
        shift: &Self::Buf,
        eps: f64,
    ) -> Result<LayerNormOutput<Self::Buf>, Self::Err>;
    /// The gradient with respect to the input; adds those of scale and shift.
    #[allow(clippy::too_many_arguments)]
    fn layer_norm_backward(
        &self,
        size: RowSize,
        x: &Self::Buf,
        mean: &Self::Buf,
        inverse_std: &Self::Buf,
        scale: &Self::Buf,
        dy: &Self::Buf,
        dscale: &mut Self::Buf,
        dshift: &mut Self::Buf,
    ) -> Result<Self::Buf, Self::Err>;

    /// Scaled dot-product attention (Vaswani et al. 2017, equation 1) of each head: head `h` has the
    /// channels from `h * depth` on, and reads the head `h / group` of keys and values.
    fn attention_forward(
        &self,
        size: AttentionSize,
        q: &Self::Buf,
        k: &Self::Buf,
        v: &Self::Buf,
    ) -> Result<Self::Buf, Self::Err>;
    /// The gradients with respect to queries, keys and values.
    fn attention_backward(
        &self,
        size: AttentionSize,
        q: &Self::Buf,
        k: &Self::Buf,
        v: &Self::Buf,
        dy: &Self::Buf,
    ) -> Result<[Self::Buf; 3], Self::Err>;
    /// Causal attention of the last positions of one sequence, `size.queries` of `size.keys`: query `i` sees the keys up to
    /// its own position, `size.keys - size.queries + i`. There may be more rows of keys and values than `size.keys`.
    fn attention_to_past(
        &self,
        size: AttentionSize,
        q: &Self::Buf,
        k: &Self::Buf,
        v: &Self::Buf,
    ) -> Result<Self::Buf, Self::Err> {
        MaskedAttend::of_past(size).by_loops(self, size, [q, k, v])
    }
    /// Writes rows into `to`, from its row `first` on.
    fn write_rows(&self, size: RowSize, rows: &Self::Buf, first: usize, to: &mut Self::Buf) -> Result<(), Self::Err> {
        let mut values = self.download(to)?;
        let from = first * size.channels;
        values[from..from + size.rows * size.channels].copy_from_slice(&self.download(rows)?);
        *to = self.upload(values)?;
        Ok(())
    }
    /// So many rows of `from`, from its row `first` on.
    fn read_rows(&self, size: RowSize, from: &Self::Buf, first: usize) -> Result<Self::Buf, Self::Err> {
        let places = (first..first + size.rows).map(|row| row * size.channels);
        let loops = Loops {
            output: vec![size.rows, size.channels],
            summed: Vec::new(),
            views: vec![View::steps([0, 1]).with_table(&[0], places.collect())],
            value: operand(0),
        };
        self.compute(&loops, &[from])
    }
    /// The rows of `table` that the ids name, in the order of the ids; the size is the table's.
    ///
    /// # Errors
    /// If an id names no row, see [`rows_of`](crate::ids::rows_of), or the executor fails.
    fn gather_rows(&self, size: RowSize, table: &Self::Buf, ids: &Self::Buf) -> Result<Self::Buf, Self::Err>;
    /// Adds each row of `dy` to the row of `dtable` that its id names, the rows for one in the order of the ids; the size
    /// is the table's.
    ///
    /// # Errors
    /// As [`Exec::gather_rows`].
    fn scatter_add_rows(
        &self,
        size: RowSize,
        dy: &Self::Buf,
        ids: &Self::Buf,
        dtable: &mut Self::Buf,
    ) -> Result<(), Self::Err>;
    /// Adds `row` to each row of `x`.
    fn add_to_rows(&self, size: RowSize, x: Self::Buf, row: &Self::Buf) -> Result<Self::Buf, Self::Err>;

    /// Applies an activation, in place.
    fn activation_forward(&self, kind: Activation, x: Self::Buf) -> Result<Self::Buf, Self::Err>;
    /// The gradient with respect to the input, from the *input* `x` — except for
    /// [`Activation::Relu`] and [`Activation::Sigmoid`], where `saved` is the *output*.
    fn activation_backward(&self, kind: Activation, saved: &Self::Buf, dy: Self::Buf) -> Result<Self::Buf, Self::Err>;

    /// Maximum or average pooling.
    fn pool_forward(&self, kind: PoolKind, size: PoolSize, x: &Self::Buf) -> Result<Self::Buf, Self::Err>;
    /// The gradient with respect to the input. A maximum sends its gradient to the first of equal
    /// taps in row-major order (as PyTorch does).
    fn pool_backward(
        &self,
        kind: PoolKind,
        size: PoolSize,
        x: &Self::Buf,
        dy: &Self::Buf,
    ) -> Result<Self::Buf, Self::Err>;
    /// Pools each whole map to one value per channel: `[batch][channels]`.
    fn global_pool_forward(&self, kind: PoolKind, size: MapSize, x: &Self::Buf) -> Result<Self::Buf, Self::Err>;
    /// The gradient with respect to the input; a maximum needs that input.
    fn global_pool_backward(
        &self,
        kind: PoolKind,
        size: MapSize,
        x: Option<&Self::Buf>,
        dy: &Self::Buf,
    ) -> Result<Self::Buf, Self::Err>;

    /// `a + b`.
    fn add(&self, a: Self::Buf, b: &Self::Buf) -> Result<Self::Buf, Self::Err>;
    /// `a * b`, element by element.
    fn multiply(&self, a: Self::Buf, b: &Self::Buf) -> Result<Self::Buf, Self::Err>;
    /// `after(x[n, y, x, c] * gate[n, c] + residual)` (squeeze-and-excitation, Hu et al. 2018,
    /// equation 4); `after` is none or [`Activation::Relu`].
    fn gate_forward(
        &self,
        size: MapSize,
        x: &Self::Buf,
        gate: &Self::Buf,
        residual: Option<&Self::Buf>,
        after: Option<Activation>,
    ) -> Result<Self::Buf, Self::Err>;
    /// The gradients with respect to `x`, to `gate` and, if asked for, to the residual. `output` is
    /// given if there was an activation.
    #[allow(clippy::type_complexity)]
    fn gate_backward(
        &self,
        size: MapSize,
        x: &Self::Buf,
        gate: &Self::Buf,
        output: Option<&Self::Buf>,
        dy: Self::Buf,
        residual: bool,
    ) -> Result<(Self::Buf, Self::Buf, Option<Self::Buf>), Self::Err>;
    /// Joins rows: `[a | b]` for each of `rows` rows of `left` and `right` channels.
    fn concat(
        &self,
        rows: usize,
        left: usize,
        right: usize,
        a: &Self::Buf,
        b: &Self::Buf,
    ) -> Result<Self::Buf, Self::Err>;
    /// The opposite of [`Exec::concat`].
    fn split(&self, rows: usize, left: usize, right: usize, x: &Self::Buf)
    -> Result<(Self::Buf, Self::Buf), Self::Err>;
    /// How to take `images` images through a network in inference, of whose activations the largest has so
    /// many values for one image; `None`: all at once.
    fn slices(&self, _images: usize, _largest: usize) -> Option<Slices> {
        None
    }
    /// Inverted dropout: element `i` is zeroed with probability `p`, decided by `seed` and `i`
    /// alone, and scaled by `1 / (1 - p)` otherwise. Its own backward pass.
    fn dropout(&self, p: f64, seed: u64, x: Self::Buf) -> Result<Self::Buf, Self::Err>;
}
