//! Batch and layer normalisation: modules of their own, since they hold more than one tensor.

use crate::act::{Act, HasChannels};
use crate::backend::{Backend, Buf};
use crate::param::ParamArg;
use crate::pass::Pass;
use crate::scalar::Scalar;
use dfdx::dtypes::Dtype;
use dfdx::nn::tensor_collection::{ModuleVisitor, TensorCollection, TensorOptions};
use dfdx::shapes::Rank1;
use dfdx::tensor::{Storage, Tape, Tensor};
use dfdx::tensor_ops::Device;
use ksdsl_engine::Param;
use ksdsl_engine::ops::{self, Operation};
use ksdsl_engine::statistics::BatchStatistics;

/// Batch normalisation over `C` channels (Ioffe & Szegedy 2015), with PyTorch's names.
#[derive(Clone, Debug)]
pub struct BatchNorm<const C: usize, E: Dtype, D: Storage<E>> {
    /// Scale, initially 1.
    pub weight: Tensor<Rank1<C>, E, D>,
    /// Shift, initially 0.
    pub bias: Tensor<Rank1<C>, E, D>,
    /// Running mean, initially 0; not trained.
    pub running_mean: Tensor<Rank1<C>, E, D>,
    /// Running unbiased variance, initially 1; not trained.
    pub running_var: Tensor<Rank1<C>, E, D>,
}

impl<const C: usize, E: Scalar, D: Backend<E>> BatchNorm<C, E, D> {
    /// Normalises `x`, a map or a feature vector: in a training pass with the batch's statistics,
    /// which the pass notes for the running ones; otherwise with the running statistics.
    ///
    /// An empty batch leaves the running statistics as they are. Of one value per channel (one image
    /// with a map of one pixel), on which PyTorch refuses to train, the output is the shift, and the
    /// running variance stays, as one value has no unbiased variance.
    pub fn apply<S: HasChannels<C>, T: Tape<E, D>>(
        &self,
        pass: &mut Pass<E, D>,
        mut x: Act<S, E, D, T>,
        eps: f64,
        momentum: f64,
    ) -> Result<Act<S, E, D, T>, D::Err> {
        let scale = self.weight.bind(x.context_mut())?;
        let shift = self.bias.bind(x.context_mut())?;
        let running = [&self.running_mean, &self.running_var];
        normalised(pass, x, [scale, shift], running, [eps, momentum])
    }
}

/// What a batch norm with this scale and shift and these running statistics makes of `x`.
fn normalised<const C: usize, S: HasChannels<C>, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    pass: &mut Pass<E, D>,
    x: Act<S, E, D, T>,
    [scale, shift]: [Param<E, D::Exec>; 2],
    running: [&Tensor<Rank1<C>, E, D>; 2],
    [eps, momentum]: [f64; 2],
) -> Result<Act<S, E, D, T>, D::Err> {
    if pass.is_training() {
        let note = |batch: &BatchStatistics<'_, Buf<E, D>>| pass.blend(running, batch, momentum);
        let untyped = ops::batch_norm_train(x.untyped, scale, shift, eps, note, D::failed)?;
        return Ok(Act { untyped, ..x });
    }
    let [mean, variance] = running.map(|tensor| x.device.read_tensor(tensor));
    let statistics = [mean?, variance?];
    let shape = x.shape;
    x.then(shape, |x| ops::batch_norm_infer(x, scale, shift, statistics, eps))
}

impl<const C: usize, E: Dtype, D: Device<E>> TensorCollection<E, D> for BatchNorm<C, E, D> {
    type To<E2: Dtype, D2: Device<E2>> = BatchNorm<C, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            (
                Self::tensor("weight", |s| &s.weight, |s| &mut s.weight, ones()),
                Self::tensor("bias", |s| &s.bias, |s| &mut s.bias, zeros()),
                Self::tensor(
                    "running_mean",
                    |s| &s.running_mean,
                    |s| &mut s.running_mean,
                    untrained_zeros(),
                ),
                Self::tensor(
                    "running_var",
                    |s| &s.running_var,
                    |s| &mut s.running_var,
                    untrained_ones(),
                ),
            ),
            |(weight, bias, running_mean, running_var)| BatchNorm {
                weight,
                bias,
                running_mean,
                running_var,
            },
        )
    }
}

/// The same without scale and shift: PyTorch's `affine=False`.
#[derive(Clone, Debug)]
pub struct PlainBatchNorm<const C: usize, E: Dtype, D: Storage<E>> {
    /// Running mean, initially 0; not trained.
    pub running_mean: Tensor<Rank1<C>, E, D>,
    /// Running unbiased variance, initially 1; not trained.
    pub running_var: Tensor<Rank1<C>, E, D>,
}

impl<const C: usize, E: Scalar, D: Backend<E>> PlainBatchNorm<C, E, D> {
    /// As [`BatchNorm::apply`]; of one value per channel the output is 0.
    pub fn apply<S: HasChannels<C>, T: Tape<E, D>>(
        &self,
        pass: &mut Pass<E, D>,
        mut x: Act<S, E, D, T>,
        eps: f64,
        momentum: f64,
    ) -> Result<Act<S, E, D, T>, D::Err> {
        let exec = x.context_mut().exec.clone();
        let constants = Param::scale_and_shift(&exec, C, T::OWNS_TAPE).map_err(D::failed)?;
        let running = [&self.running_mean, &self.running_var];
        normalised(pass, x, constants, running, [eps, momentum])
    }
}

impl<const C: usize, E: Dtype, D: Device<E>> TensorCollection<E, D> for PlainBatchNorm<C, E, D> {
    type To<E2: Dtype, D2: Device<E2>> = PlainBatchNorm<C, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            (
                Self::tensor(
                    "running_mean",
                    |s| &s.running_mean,
                    |s| &mut s.running_mean,
                    untrained_zeros(),
                ),
                Self::tensor(
                    "running_var",
                    |s| &s.running_var,
                    |s| &mut s.running_var,
                    untrained_ones(),
                ),
            ),
            |(running_mean, running_var)| PlainBatchNorm {
                running_mean,
                running_var,
            },
        )
    }
}

/// Layer normalisation over `C` channels (Ba et al. 2016), with PyTorch's names.
#[derive(Clone, Debug)]
pub struct LayerNorm<const C: usize, E: Dtype, D: Storage<E>> {
    /// Scale, initially 1.
    pub weight: Tensor<Rank1<C>, E, D>,
    /// Shift, initially 0.
    pub bias: Tensor<Rank1<C>, E, D>,
}

impl<const C: usize, E: Scalar, D: Backend<E>> LayerNorm<C, E, D> {
    /// Normalises over the features of each vector, or over the channels of each pixel of a map.
    pub fn apply<S: HasChannels<C>, T: Tape<E, D>>(
        &self,
        mut x: Act<S, E, D, T>,
        eps: f64,
    ) -> Result<Act<S, E, D, T>, D::Err> {
        let scale = self.weight.bind(x.context_mut())?;
        let shift = self.bias.bind(x.context_mut())?;
        let shape = x.shape;
        x.then(shape, |x| ops::LayerNorm { eps }.run([x], vec![scale, shift]))
    }
}

impl<const C: usize, E: Dtype, D: Device<E>> TensorCollection<E, D> for LayerNorm<C, E, D> {
    type To<E2: Dtype, D2: Device<E2>> = LayerNorm<C, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            (
                Self::tensor("weight", |s| &s.weight, |s| &mut s.weight, ones()),
                Self::tensor("bias", |s| &s.bias, |s| &mut s.bias, zeros()),
            ),
            |(weight, bias)| LayerNorm { weight, bias },
        )
    }
}

fn ones<const C: usize, E: Dtype, D: Device<E>>() -> TensorOptions<Rank1<C>, E, D> {
    TensorOptions::reset_to_ones()
}

fn zeros<const C: usize, E: Dtype, D: Device<E>>() -> TensorOptions<Rank1<C>, E, D> {
    TensorOptions::reset_to_zeros()
}

fn untrained_zeros<const C: usize, E: Dtype, D: Device<E>>() -> TensorOptions<Rank1<C>, E, D> {
    TensorOptions::detached(|t| t.try_fill_with_zeros())
}

fn untrained_ones<const C: usize, E: Dtype, D: Device<E>>() -> TensorOptions<Rank1<C>, E, D> {
    TensorOptions::detached(|t| t.try_fill_with_ones())
}
