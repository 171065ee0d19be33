//! Batch and layer normalisation: modules of their own, since they hold more than one tensor.

use crate::act::{Act, HasChannels};
use crate::backend::Backend;
use crate::geometry::RowSize;
use crate::param::{Param, ParamArg};
use crate::pass::Pass;
use crate::scalar::Scalar;
use dfdx::dtypes::Dtype;
use dfdx::nn::tensor_collection::{ModuleVisitor, TensorCollection, TensorOptions};
use dfdx::shapes::Rank1;
use dfdx::tensor::{Storage, Tape, Tensor};
use dfdx::tensor_ops::Device;
use std::rc::Rc;

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
    pub fn apply<S: HasChannels<C>, T: Tape<E, D>>(
        &self,
        pass: &mut Pass<E, D>,
        mut x: Act<S, E, D, T>,
        eps: f64,
        momentum: f64,
    ) -> Result<Act<S, E, D, T>, D::Err> {
        let scale = self.weight.bind(&mut x.tape)?;
        let shift = self.bias.bind(&mut x.tape)?;
        if pass.is_training() {
            self.train(pass, x, scale, shift, eps, momentum)
        } else {
            self.infer(x, scale, shift, eps)
        }
    }

    fn train<S: HasChannels<C>, T: Tape<E, D>>(
        &self,
        pass: &mut Pass<E, D>,
        x: Act<S, E, D, T>,
        scale: Param<E, D>,
        shift: Param<E, D>,
        eps: f64,
        momentum: f64,
    ) -> Result<Act<S, E, D, T>, D::Err> {
        let size = x.shape.row_size();
        let normed = x
            .device
            .batch_norm_train(size, &x.data, scale.data(), shift.data(), eps)?;
        let (mean, variance) = (normed.mean, normed.variance);
        pass.blend(&self.running_mean, &mean, momentum, 1.0)?;
        pass.blend(&self.running_var, &variance, momentum, unbiasing(size.rows))?;
        let (input, grad) = (x.data, x.grad);
        let backward = move |device: &D, dy: D::Buf| {
            let dx = accumulate_both(device, &scale, &shift, |dscale, dshift| {
                device.batch_norm_backward(size, &input, &mean, &variance, scale.data(), eps, &dy, dscale, dshift)
            })?;
            grad.add(device, dx)
        };
        let y = Rc::new(normed.output);
        Ok(Act::output(x.tape, x.device, x.shape, y, backward))
    }

    fn infer<S: HasChannels<C>, T: Tape<E, D>>(
        &self,
        x: Act<S, E, D, T>,
        scale: Param<E, D>,
        shift: Param<E, D>,
        eps: f64,
    ) -> Result<Act<S, E, D, T>, D::Err> {
        let size = x.shape.row_size();
        let mean = x.device.read_tensor(&self.running_mean)?;
        let variance = x.device.read_tensor(&self.running_var)?;
        let input = T::OWNS_TAPE.then(|| x.data.clone());
        let data = Rc::unwrap_or_clone(x.data);
        let y = x
            .device
            .batch_norm_infer(size, data, &mean, &variance, scale.data(), shift.data(), eps)?;
        let grad = x.grad;
        let backward = move |device: &D, dy: D::Buf| {
            let Some(input) = input else { return Ok(()) };
            let frozen = Frozen {
                size,
                mean,
                variance,
                eps,
            };
            let input = Rc::unwrap_or_clone(input);
            let dx = frozen.backward::<C, E, D>(device, input, &scale, &shift, dy)?;
            grad.add(device, dx)
        };
        Ok(Act::output(x.tape, x.device, x.shape, Rc::new(y), backward))
    }
}

/// What makes the biased variance of `rows` values unbiased. One value has none: PyTorch refuses
/// to train on it, here its variance of 0 is taken as it is.
fn unbiasing(rows: usize) -> f64 {
    if rows > 1 { rows as f64 / (rows - 1) as f64 } else { 1.0 }
}

/// Batch normalisation with given statistics: per channel an affine function
/// `y = scale * (x - mean) / sqrt(variance + eps) + shift`, constants but for `x`, scale and shift.
struct Frozen<B> {
    size: RowSize,
    mean: B,
    variance: B,
    eps: f64,
}

impl<B> Frozen<B> {
    /// The gradient with respect to `x`; adds those of scale and shift. Rare (fine-tuning with
    /// frozen statistics), so it is put together from the forward operation: with scale 1 and
    /// shift 0 that gives the normalised input, with mean 0 and shift 0 the gradient.
    fn backward<const C: usize, E: Scalar, D: Backend<E, Buf = B>>(
        self,
        device: &D,
        x: B,
        scale: &Param<E, D>,
        shift: &Param<E, D>,
        dy: B,
    ) -> Result<B, D::Err> {
        let Self {
            size,
            mean,
            variance,
            eps,
        } = self;
        let zero = Backend::zeroed(device, C)?;
        let one: Tensor<Rank1<C>, E, D> = device.try_ones()?;
        let one = device.read_tensor(&one)?;
        let normed = device.batch_norm_infer(size, x, &mean, &variance, &one, &zero, eps)?;
        let product = device.multiply(normed, &dy)?;
        scale.accumulate(device, |dscale| device.bias_backward(size, &product, dscale))?;
        shift.accumulate(device, |dshift| device.bias_backward(size, &dy, dshift))?;
        device.batch_norm_infer(size, dy, &zero, &variance, scale.data(), &zero, eps)
    }
}

/// Calls `f` with the gradients gathered so far of two parameters.
fn accumulate_both<E: Scalar, D: Backend<E>, R>(
    device: &D,
    first: &Param<E, D>,
    second: &Param<E, D>,
    f: impl FnOnce(&mut D::Buf, &mut D::Buf) -> Result<R, D::Err>,
) -> Result<R, D::Err> {
    let mut result = None;
    first.accumulate(device, |a| {
        second.accumulate(device, |b| {
            result = Some(f(a, b)?);
            Ok(())
        })
    })?;
    Ok(result.expect("a backward operation has attached gradients"))
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
                    TensorOptions::detached(|t| t.try_fill_with_zeros()),
                ),
                Self::tensor(
                    "running_var",
                    |s| &s.running_var,
                    |s| &mut s.running_var,
                    TensorOptions::detached(|t| t.try_fill_with_ones()),
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
        let size = x.shape.row_size();
        let scale = self.weight.bind(&mut x.tape)?;
        let shift = self.bias.bind(&mut x.tape)?;
        let normed = x
            .device
            .layer_norm_forward(size, &x.data, scale.data(), shift.data(), eps)?;
        let (mean, inverse_std) = (normed.mean, normed.inverse_std);
        let (input, grad) = (x.data, x.grad);
        let backward = move |device: &D, dy: D::Buf| {
            let dx = accumulate_both(device, &scale, &shift, |dscale, dshift| {
                device.layer_norm_backward(size, &input, &mean, &inverse_std, scale.data(), &dy, dscale, dshift)
            })?;
            grad.add(device, dx)
        };
        let y = Rc::new(normed.output);
        Ok(Act::output(x.tape, x.device, x.shape, y, backward))
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
