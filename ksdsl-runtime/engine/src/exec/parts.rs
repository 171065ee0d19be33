//! What the methods of an executor take and give.

use super::Exec;
use crate::real::Real;
use crate::size::{Activation, ConvSize, RowSize, Tail};
use std::borrow::Cow;
use std::fmt::Debug;

/// What follows a convolution in inference, computed while its output is in the cache:
/// `after(factor * before(y) + offset + residual)`.
#[derive(Debug)]
pub struct ConvTail<'a, B> {
    /// The activation next to the convolution.
    pub before: Option<Activation>,
    /// Factor and offset per output channel: batch normalisation with running statistics.
    pub affine: Option<(&'a B, &'a B)>,
    /// What is added, in the output's shape.
    pub residual: Option<&'a B>,
    /// The last activation.
    pub after: Option<Activation>,
}

impl<B> Clone for ConvTail<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

// Whatever the buffers are: it has references to them.
impl<B> Copy for ConvTail<'_, B> {}

impl<B> Default for ConvTail<'_, B> {
    fn default() -> Self {
        Self {
            before: None,
            affine: None,
            residual: None,
            after: None,
        }
    }
}

/// A convolution of a chain, see [`Exec::conv_chain`].
#[derive(Debug)]
pub struct ConvLink<'a, B, K> {
    /// Its sizes.
    pub size: ConvSize,
    /// Its kernel.
    pub kernel: &'a K,
    /// What is added to each channel.
    pub bias: Option<&'a B>,
    /// What follows it.
    pub tail: ConvTail<'a, B>,
}

/// A convolution's output with the statistics that batch normalisation needs of it.
#[derive(Debug)]
pub struct ConvMoments<B> {
    /// The convolution's output.
    pub output: B,
    /// The output after the activation, if one was requested.
    pub activated: Option<B>,
    /// Mean of the (activated) output over all pixels, per channel.
    pub mean: B,
    /// Biased variance per channel (divide by the pixels, not by one less).
    pub variance: B,
}

/// What the backward pass of batch normalisation and the layers it is fused with needs.
#[derive(Clone, Copy, Debug)]
pub struct NormBackward<'a, B> {
    /// Rows and channels.
    pub size: RowSize,
    /// The activations around the norm.
    pub tail: Tail,
    /// The input, before `tail.before`.
    pub input: &'a B,
    /// The output, if there was a residual and `tail.after`.
    pub output: Option<&'a B>,
    /// Mean per channel of the activated input.
    pub mean: &'a B,
    /// Biased variance per channel.
    pub variance: &'a B,
    /// `scale / sqrt(variance + eps)` per channel.
    pub factor: &'a B,
    /// `shift - mean * factor` per channel.
    pub offset: &'a B,
    /// What was added to the variance.
    pub eps: f64,
    /// Sums per channel of the output's gradient and of its product with the activated input less
    /// the mean, if they are known.
    pub sums: Option<[&'a B; 2]>,
}

/// A gradient with respect to a map, and what the norm whose output that is needs of it.
#[derive(Debug)]
pub struct MapGradient<B> {
    /// The gradient.
    pub values: B,
    /// As [`NormBackward::sums`], if they were gathered on the way.
    pub sums: Option<[B; 2]>,
}

/// An activation as the backward pass has it.
#[derive(Clone, Debug)]
pub enum Recipe<'a, B> {
    /// The values themselves.
    Kept(&'a B),
    /// What they are made of: `after(factor * before(input) + offset + residual)`.
    Recompute {
        /// Rows and channels.
        size: RowSize,
        /// The activations.
        tail: Tail,
        /// The norm's input.
        input: Box<Recipe<'a, B>>,
        /// Factor per channel.
        factor: &'a B,
        /// Offset per channel.
        offset: &'a B,
        /// Mean per channel of the activated input, if this is batch normalisation.
        mean: Option<&'a B>,
        /// What is added, in the output's shape.
        residual: Option<Box<Recipe<'a, B>>>,
    },
}

impl<'a, B: Clone> Recipe<'a, B> {
    /// All values at once.
    pub fn values<E: Real, X: Exec<E, Buf = B>>(&self, exec: &X) -> Result<Cow<'a, B>, X::Err> {
        match self {
            Self::Kept(values) => Ok(Cow::Borrowed(values)),
            Self::Recompute {
                size,
                tail,
                input,
                factor,
                offset,
                residual,
                ..
            } => {
                let input = input.values(exec)?;
                let residual = residual.as_ref().map(|residual| residual.values(exec)).transpose()?;
                let residual = residual.as_deref();
                let output = exec.norm_recall(*size, *tail, &input, factor, offset, residual)?;
                Ok(Cow::Owned(output))
            }
        }
    }
}

/// A convolution in whose backward pass the one of the norm after it is done.
#[derive(Debug)]
pub struct JoinedConv<'a, B, K> {
    /// The sizes.
    pub size: ConvSize,
    /// The input.
    pub x: Recipe<'a, B>,
    /// The kernel.
    pub kernel: &'a K,
    /// What else is added to the gradient with respect to the input.
    pub others: Option<B>,
}

/// The gradients of the parameters of a convolution and of the norm after it, to be added to.
#[derive(Debug)]
pub struct JoinedGradients<'a, B, G> {
    /// Of the norm's scale.
    pub scale: &'a mut B,
    /// Of the norm's shift.
    pub shift: &'a mut B,
    /// Of the kernel.
    pub weight: &'a mut G,
    /// Of the bias, if there is one.
    pub bias: Option<&'a mut B>,
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
