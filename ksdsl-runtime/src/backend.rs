//! What a device must offer so that generated models run on it.

use crate::geometry::{Activation, ConvSize, LinearSize, MapSize, PoolKind, PoolSize, RowSize};
use crate::scalar::Scalar;
use dfdx::shapes::Shape;
use dfdx::tensor::{Gradients, Tensor};
use dfdx::tensor_ops::Device;

/// The outcome of batch normalisation in training: the output and what the backward pass and the
/// running statistics need.
pub struct BatchNormOutput<B> {
    /// The normalised, scaled and shifted input.
    pub output: B,
    /// Mean over the rows, per channel.
    pub mean: B,
    /// Biased variance over the rows, per channel (divide by `rows`, not `rows - 1`).
    pub variance: B,
}

/// The outcome of layer normalisation: the output and what the backward pass needs.
pub struct LayerNormOutput<B> {
    /// The normalised, scaled and shifted input.
    pub output: B,
    /// Mean over the channels, per row.
    pub mean: B,
    /// `1 / sqrt(variance + eps)`, per row.
    pub inverse_std: B,
}

/// A dfdx device on which the layer operations exist.
///
/// Buffers hold activations NHWC (see [`crate::geometry`]), parameters as PyTorch lays them out.
/// Every method that takes a `&mut Buf` gradient *adds* to it: that is how a shared kernel gathers
/// the sum over its visits.
pub trait Backend<E: Scalar>: Device<E> {
    /// Storage of an activation or a parameter on this device.
    type Buf: Clone + std::fmt::Debug + 'static;

    /// Copies a tensor's values, in logical (row-major) order.
    fn read_tensor<S: Shape, T>(&self, tensor: &Tensor<S, E, Self, T>) -> Result<Self::Buf, Self::Err>;
    /// Makes a tensor of a buffer that holds its values in row-major order.
    fn make_tensor<S: Shape>(&self, buf: Self::Buf, shape: S) -> Result<Tensor<S, E, Self>, Self::Err>;
    /// Adds `buf` to the gradient of `tensor`, which must be contiguous (call `try_contiguous` on a
    /// traced input first: dfdx keeps gradients in the physical order of the tensor, and neither its
    /// strides nor its `GhostTensor` are public).
    fn add_to_gradient<S: Shape>(
        &self,
        gradients: &mut Gradients<E, Self>,
        tensor: &Tensor<S, E, Self>,
        buf: Self::Buf,
    ) -> Result<(), Self::Err>;
    /// Takes the gradient of `tensor`, which must be contiguous, out of `gradients`.
    fn take_gradient<S: Shape>(
        &self,
        gradients: &mut Gradients<E, Self>,
        tensor: &Tensor<S, E, Self>,
    ) -> Result<Self::Buf, Self::Err>;

    /// A buffer of `len` zeros.
    fn zeroed(&self, len: usize) -> Result<Self::Buf, Self::Err>;
    /// NCHW to NHWC; `size` describes the map either way.
    fn nchw_to_nhwc(&self, size: MapSize, x: &Self::Buf) -> Result<Self::Buf, Self::Err>;
    /// NHWC to NCHW.
    fn nhwc_to_nchw(&self, size: MapSize, x: &Self::Buf) -> Result<Self::Buf, Self::Err>;

    /// `y = conv(x, weight) + bias`.
    fn conv_forward(
        &self,
        size: ConvSize,
        x: &Self::Buf,
        weight: &Self::Buf,
        bias: Option<&Self::Buf>,
    ) -> Result<Self::Buf, Self::Err>;
    /// The gradient with respect to the input.
    fn conv_backward_data(&self, size: ConvSize, weight: &Self::Buf, dy: &Self::Buf) -> Result<Self::Buf, Self::Err>;
    /// Adds the gradient with respect to the weight to `dweight`.
    fn conv_backward_weight(
        &self,
        size: ConvSize,
        x: &Self::Buf,
        dy: &Self::Buf,
        dweight: &mut Self::Buf,
    ) -> Result<(), Self::Err>;

    /// `y = x weight^T + bias`.
    fn linear_forward(
        &self,
        size: LinearSize,
        x: &Self::Buf,
        weight: &Self::Buf,
        bias: Option<&Self::Buf>,
    ) -> Result<Self::Buf, Self::Err>;
    /// The gradient with respect to the input.
    fn linear_backward_data(
        &self,
        size: LinearSize,
        weight: &Self::Buf,
        dy: &Self::Buf,
    ) -> Result<Self::Buf, Self::Err>;
    /// Adds the gradient with respect to the weight to `dweight`.
    fn linear_backward_weight(
        &self,
        size: LinearSize,
        x: &Self::Buf,
        dy: &Self::Buf,
        dweight: &mut Self::Buf,
    ) -> Result<(), Self::Err>;
    /// Adds the column sums of `dy` to `dbias`.
    fn bias_backward(&self, size: RowSize, dy: &Self::Buf, dbias: &mut Self::Buf) -> Result<(), Self::Err>;

    /// Batch normalisation with the statistics of this batch (Ioffe & Szegedy 2015, algorithm 1).
    fn batch_norm_train(
        &self,
        size: RowSize,
        x: &Self::Buf,
        scale: &Self::Buf,
        shift: &Self::Buf,
        eps: f64,
    ) -> Result<BatchNormOutput<Self::Buf>, Self::Err>;
    /// The gradient with respect to the input; adds those of scale and shift.
    #[allow(clippy::too_many_arguments)]
    fn batch_norm_backward(
        &self,
        size: RowSize,
        x: &Self::Buf,
        mean: &Self::Buf,
        variance: &Self::Buf,
        scale: &Self::Buf,
        eps: f64,
        dy: &Self::Buf,
        dscale: &mut Self::Buf,
        dshift: &mut Self::Buf,
    ) -> Result<Self::Buf, Self::Err>;
    /// Batch normalisation with given statistics.
    #[allow(clippy::too_many_arguments)]
    fn batch_norm_infer(
        &self,
        size: RowSize,
        x: Self::Buf,
        mean: &Self::Buf,
        variance: &Self::Buf,
        scale: &Self::Buf,
        shift: &Self::Buf,
        eps: f64,
    ) -> Result<Self::Buf, Self::Err>;
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
    /// The gradient with respect to the input.
    fn global_pool_backward(
        &self,
        kind: PoolKind,
        size: MapSize,
        x: &Self::Buf,
        dy: &Self::Buf,
    ) -> Result<Self::Buf, Self::Err>;

    /// `a + b`.
    fn add(&self, a: Self::Buf, b: &Self::Buf) -> Result<Self::Buf, Self::Err>;
    /// `a * b`, element by element.
    fn multiply(&self, a: Self::Buf, b: &Self::Buf) -> Result<Self::Buf, Self::Err>;
    /// `x[n, y, x, c] * gate[n, c]` (squeeze-and-excitation, Hu et al. 2018, equation 4).
    fn gate_forward(&self, size: MapSize, x: &Self::Buf, gate: &Self::Buf) -> Result<Self::Buf, Self::Err>;
    /// The gradients with respect to `x` and to `gate`.
    fn gate_backward(
        &self,
        size: MapSize,
        x: &Self::Buf,
        gate: &Self::Buf,
        dy: &Self::Buf,
    ) -> Result<(Self::Buf, Self::Buf), Self::Err>;
    /// Joins rows: `[a | b]` for each of `rows` rows of `left` and `right` channels.
    fn concat(
        &self,
        rows: usize,
        left: usize,
        right: usize,
        a: &Self::Buf,
        b: &Self::Buf,
    ) -> Result<Self::Buf, Self::Err>;
    /// The opposite of [`Backend::concat`].
    fn split(&self, rows: usize, left: usize, right: usize, x: &Self::Buf)
    -> Result<(Self::Buf, Self::Buf), Self::Err>;
    /// Inverted dropout: element `i` is zeroed with probability `p`, decided by `seed` and `i`
    /// alone, and scaled by `1 / (1 - p)` otherwise. Its own backward pass.
    fn dropout(&self, p: f64, seed: u64, x: Self::Buf) -> Result<Self::Buf, Self::Err>;
}
