//! Batch and layer normalisation: modules of their own, since they hold more than one tensor.

use crate::act::{Act, ActShape, Context, GradCell, HasChannels};
use crate::backend::Backend;
use crate::geometry::{Activation, RowSize, Tail};
use crate::param::{Param, ParamArg};
use crate::pass::Pass;
use crate::pending::{NormSource, NormStep, Value};
use crate::saved::Saved;
use crate::scalar::Scalar;
use dfdx::dtypes::Dtype;
use dfdx::nn::tensor_collection::{ModuleVisitor, TensorCollection, TensorOptions};
use dfdx::shapes::Rank1;
use dfdx::tensor::{Storage, Tape, Tensor};
use dfdx::tensor_ops::Device;
use std::borrow::Cow;
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
        let scale = self.weight.bind(&mut x.context)?;
        let shift = self.bias.bind(&mut x.context)?;
        if pass.is_training() {
            self.train(pass, x, scale, shift, eps, momentum)
        } else {
            self.infer(x, scale, shift, eps)
        }
    }

    /// Gathers the statistics, of a convolution's output while it runs, and leaves the rest to what
    /// follows.
    fn train<S: HasChannels<C>, T: Tape<E, D>>(
        &self,
        pass: &mut Pass<E, D>,
        mut x: Act<S, E, D, T>,
        scale: Param<E, D>,
        shift: Param<E, D>,
        eps: f64,
        momentum: f64,
    ) -> Result<Act<S, E, D, T>, D::Err> {
        let (size, device) = (x.shape.row_size(), x.context.device.clone());
        let normed = match x.value {
            Value::Conv(step) if step.is_plain() => {
                let moments = step.moments(&device)?;
                let (before, input) = (step.before, Rc::new(moments.output));
                NormInput {
                    before,
                    saved: Saved::Kept(input.clone()),
                    input,
                    activated: moments.activated,
                    source: NormSource::Conv(Box::new(step.into_backward())),
                    mean: moments.mean,
                    variance: moments.variance,
                }
            }
            value => {
                let (input, saved) = value.compute(&mut x.context, &x.grad)?;
                let (mean, variance) = device.moments(size, &input)?;
                NormInput::plain(input, saved, x.grad, mean, variance)
            }
        };
        // An empty batch has no statistics, and one value no variance.
        if size.rows > 0 {
            pass.blend(&self.running_mean, &normed.mean, momentum, 1.0)?;
        }
        if size.rows > 1 {
            let unbiasing = size.rows as f64 / (size.rows - 1) as f64;
            pass.blend(&self.running_var, &normed.variance, momentum, unbiasing)?;
        }
        wait(x.shape, x.context, normed, scale, shift, eps)
    }

    fn infer<S: HasChannels<C>, T: Tape<E, D>>(
        &self,
        mut x: Act<S, E, D, T>,
        scale: Param<E, D>,
        shift: Param<E, D>,
        eps: f64,
    ) -> Result<Act<S, E, D, T>, D::Err> {
        let device = x.context.device.clone();
        let mean = device.read_tensor(&self.running_mean)?;
        let variance = device.read_tensor(&self.running_var)?;
        if T::OWNS_TAPE {
            let frozen = Frozen {
                size: x.shape.row_size(),
                mean,
                variance,
                eps,
            };
            return frozen.apply::<C, S, E, D, T>(x, scale, shift);
        }
        if x.value.is_open_conv() {
            let (factor, offset) = device.norm_coefficients(&mean, &variance, scale.values(), shift.values(), eps)?;
            x.value.take_affine(factor, offset);
            return Ok(x);
        }
        let x = x.ready()?;
        let normed = NormInput::plain(x.data, x.saved, x.grad, mean, variance);
        wait(x.shape, x.context, normed, scale, shift, eps)
    }
}

/// What a norm is applied to.
struct NormInput<E: Scalar, D: Backend<E>> {
    before: Option<Activation>,
    input: Rc<D::Buf>,
    saved: Saved<E, D>,
    activated: Option<D::Buf>,
    source: NormSource<E, D>,
    mean: D::Buf,
    variance: D::Buf,
}

impl<E: Scalar, D: Backend<E>> NormInput<E, D> {
    fn plain(input: Rc<D::Buf>, saved: Saved<E, D>, grad: GradCell<D::Buf>, mean: D::Buf, variance: D::Buf) -> Self {
        Self {
            before: None,
            input,
            saved,
            activated: None,
            source: NormSource::Other(grad),
            mean,
            variance,
        }
    }
}

/// A norm that is deferred until its consumer is known.
fn wait<S: ActShape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    shape: S,
    context: Context<E, D, T>,
    normed: NormInput<E, D>,
    scale: Param<E, D>,
    shift: Param<E, D>,
    eps: f64,
) -> Result<Act<S, E, D, T>, D::Err> {
    let (mean, variance) = (normed.mean, normed.variance);
    let (factor, offset) = context
        .device
        .norm_coefficients(&mean, &variance, scale.values(), shift.values(), eps)?;
    let step = NormStep {
        size: shape.row_size(),
        tail: Tail {
            before: normed.before,
            after: None,
        },
        input: normed.input,
        saved: normed.saved,
        activated: normed.activated,
        source: normed.source,
        scale,
        shift,
        mean: Rc::new(mean),
        variance,
        factor: Rc::new(factor),
        offset: Rc::new(offset),
        eps,
        residual: None,
    };
    Ok(Act {
        shape,
        context,
        value: Value::Norm(Box::new(step)),
        grad: GradCell::new(T::OWNS_TAPE),
    })
}

/// Batch normalisation with given statistics: per channel an affine function
/// `y = scale * (x - mean) / sqrt(variance + eps) + shift`, constants but for `x`, scale and shift.
struct Frozen<B> {
    size: RowSize,
    mean: B,
    variance: B,
    eps: f64,
}

impl<B: Clone + 'static> Frozen<B> {
    fn apply<const C: usize, S: HasChannels<C>, E: Scalar, D: Backend<E, Buf = B>, T: Tape<E, D>>(
        self,
        x: Act<S, E, D, T>,
        scale: Param<E, D>,
        shift: Param<E, D>,
    ) -> Result<Act<S, E, D, T>, D::Err> {
        let x = x.ready()?;
        let y = self.normalise(
            &x.context.device,
            Cow::Borrowed(&*x.data),
            scale.values(),
            shift.values(),
        )?;
        let (input, grad) = (x.saved, x.grad);
        let backward = move |device: &D, dy: D::Buf| {
            let dx = self.backward::<C, E, D>(device, &*input.get(device)?, &scale, &shift, dy)?;
            grad.add(device, dx)
        };
        Ok(Act::output(x.context, x.shape, Rc::new(y), backward))
    }

    fn normalise<E: Scalar, D: Backend<E, Buf = B>>(
        &self,
        device: &D,
        x: Cow<'_, B>,
        scale: &B,
        shift: &B,
    ) -> Result<B, D::Err> {
        let (factor, offset) = device.norm_coefficients(&self.mean, &self.variance, scale, shift, self.eps)?;
        device.norm_apply(self.size, None, x, &factor, &offset, None)
    }

    /// The gradient with respect to `x`; adds those of scale and shift. Rare (fine-tuning with
    /// frozen statistics), so it is put together from the forward operation: with scale 1 and
    /// shift 0 that gives the normalised input, with mean 0 and shift 0 the gradient.
    fn backward<const C: usize, E: Scalar, D: Backend<E, Buf = B>>(
        self,
        device: &D,
        x: &B,
        scale: &Param<E, D>,
        shift: &Param<E, D>,
        dy: B,
    ) -> Result<B, D::Err> {
        let zero = Backend::zeroed(device, C)?;
        let one: Tensor<Rank1<C>, E, D> = device.try_ones()?;
        let one = device.read_tensor(&one)?;
        let normed = self.normalise(device, Cow::Borrowed(x), &one, &zero)?;
        let product = device.multiply(normed, &dy)?;
        let size = self.size;
        scale.accumulate_values(device, |dscale| device.bias_backward(size, &product, dscale))?;
        shift.accumulate_values(device, |dshift| device.bias_backward(size, &dy, dshift))?;
        let centred = Self {
            mean: zero.clone(),
            ..self
        };
        centred.normalise(device, Cow::Owned(dy), scale.values(), &zero)
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
    first.accumulate_values(device, |a| {
        second.accumulate_values(device, |b| {
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
        let scale = self.weight.bind(&mut x.context)?;
        let shift = self.bias.bind(&mut x.context)?;
        let x = x.ready()?;
        let normed = x
            .context
            .device
            .layer_norm_forward(size, &x.data, scale.values(), shift.values(), eps)?;
        let (mean, inverse_std) = (normed.mean, normed.inverse_std);
        let (input, grad) = (x.saved, x.grad);
        let backward = move |device: &D, dy: D::Buf| {
            let input = input.get(device)?;
            let dx = accumulate_both(device, &scale, &shift, |dscale, dshift| {
                device.layer_norm_backward(size, &input, &mean, &inverse_std, scale.values(), &dy, dscale, dshift)
            })?;
            grad.add(device, dx)
        };
        let y = Rc::new(normed.output);
        Ok(Act::output(x.context, x.shape, y, backward))
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
