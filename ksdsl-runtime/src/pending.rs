//! Layers that wait for what follows them.
//!
//! A convolution's output goes through memory once for the convolution itself and once more for
//! each of norm, activation and residual, unless they are computed together. So a convolution does
//! not run at once: its [`Value`] waits, takes up the activation, norm, residual and activation that
//! follow, and is computed when something else asks for it.
//!
//! In inference all of that becomes the tail of the convolution. In training the batch's statistics
//! are gathered while the convolution runs; what follows the norm is one more pass, and the output
//! is made again from the convolution's output in the backward pass rather than kept ([`Saved`]).

use crate::act::{Context, GradCell};
use crate::backend::{Backend, ConvMoments, ConvTail, NormBackward};
use crate::geometry::{Activation, ConvSize, MapSize, RowSize, Tail};
use crate::param::Param;
use crate::saved::{Again, Saved};
use crate::scalar::Scalar;
use dfdx::tensor::{HasErr, Tape};
use std::borrow::Cow;
use std::rc::Rc;

/// Values, and how to have them again in the backward pass.
type Computed<E, D> = Result<(Rc<<D as Backend<E>>::Buf>, Saved<E, D>), <D as HasErr>::Err>;

/// An activation's values, there or to come.
#[derive(Debug)]
pub(crate) enum Value<E: Scalar, D: Backend<E>> {
    /// There.
    Ready(Rc<D::Buf>, Saved<E, D>),
    /// A convolution or linear layer that did not run yet.
    Conv(Box<ConvStep<E, D>>),
    /// The input of a norm with its statistics.
    Norm(Box<NormStep<E, D>>),
    /// A map and the gate of its channels.
    Gate(Box<GateStep<E, D>>),
}

/// A gate (squeeze-and-excitation) with what follows it.
#[derive(Debug)]
pub(crate) struct GateStep<E: Scalar, D: Backend<E>> {
    pub(crate) size: MapSize,
    pub(crate) input: Branch<E, D>,
    pub(crate) gate: Branch<E, D>,
    pub(crate) residual: Option<Branch<E, D>>,
    pub(crate) after: Option<Activation>,
}

/// A convolution (or a linear layer, which is one of 1x1 maps) with what follows it.
#[derive(Debug)]
pub(crate) struct ConvStep<E: Scalar, D: Backend<E>> {
    pub(crate) size: ConvSize,
    pub(crate) x: Rc<D::Buf>,
    pub(crate) saved: Saved<E, D>,
    pub(crate) grad: GradCell<D::Buf>,
    pub(crate) weight: Param<E, D>,
    pub(crate) bias: Option<Param<E, D>>,
    /// The activation next to the convolution.
    pub(crate) before: Option<Activation>,
    /// Factor and offset of the norm's running statistics; in inference only.
    pub(crate) affine: Option<(D::Buf, D::Buf)>,
    /// What is added after that; in inference only.
    pub(crate) residual: Option<Rc<D::Buf>>,
    /// The activation after that; in inference only.
    pub(crate) after: Option<Activation>,
}

/// Where a norm's input comes from, for the backward pass.
#[derive(Debug)]
pub(crate) enum NormSource<E: Scalar, D: Backend<E>> {
    /// A convolution, whose backward pass is part of the norm's.
    Conv(ConvBackward<E, D>),
    /// Something that has a gradient of its own.
    Other(GradCell<D::Buf>),
}

/// Batch normalisation whose statistics are known, with what follows it.
#[derive(Debug)]
pub(crate) struct NormStep<E: Scalar, D: Backend<E>> {
    pub(crate) size: RowSize,
    pub(crate) tail: Tail,
    /// The input, before the activation `tail.before`.
    pub(crate) input: Rc<D::Buf>,
    pub(crate) saved: Saved<E, D>,
    /// The input after that activation, if there is one.
    pub(crate) activated: Option<D::Buf>,
    pub(crate) source: NormSource<E, D>,
    pub(crate) scale: Param<E, D>,
    pub(crate) shift: Param<E, D>,
    pub(crate) mean: D::Buf,
    pub(crate) variance: D::Buf,
    pub(crate) factor: Rc<D::Buf>,
    pub(crate) offset: Rc<D::Buf>,
    pub(crate) eps: f64,
    pub(crate) residual: Option<Branch<E, D>>,
}

/// One of the inputs of an operation.
#[derive(Debug)]
pub(crate) struct Branch<E: Scalar, D: Backend<E>> {
    pub(crate) data: Rc<D::Buf>,
    pub(crate) saved: Saved<E, D>,
    pub(crate) grad: GradCell<D::Buf>,
}

/// What a convolution's backward pass needs.
#[derive(Debug)]
pub(crate) struct ConvBackward<E: Scalar, D: Backend<E>> {
    size: ConvSize,
    saved: Saved<E, D>,
    grad: GradCell<D::Buf>,
    weight: Param<E, D>,
    bias: Option<Param<E, D>>,
}

impl<E: Scalar, D: Backend<E>> ConvBackward<E, D> {
    /// Adds the gradients of kernel, bias and input.
    fn run(self, device: &D, dy: &D::Buf) -> Result<(), D::Err> {
        let size = self.size;
        let x = self.saved.get(device)?;
        self.weight
            .accumulate(device, |gradient| device.conv_backward_weight(size, &x, dy, gradient))?;
        drop(x);
        if let Some(bias) = self.bias {
            let rows = RowSize {
                rows: size.output.rows(),
                channels: size.output.channels,
            };
            bias.accumulate_values(device, |dbias| device.bias_backward(rows, dy, dbias))?;
        }
        let others = self.grad.take();
        let dx = device.conv_backward_data(size, self.weight.kernel(), dy, others)?;
        self.grad.put(dx);
        Ok(())
    }
}

impl<E: Scalar, D: Backend<E>> ConvStep<E, D> {
    /// Whether nothing but an activation follows the convolution yet.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_open() && self.affine.is_none()
    }

    /// Whether nothing follows the convolution yet.
    fn is_bare(&self) -> bool {
        self.before.is_none() && self.is_plain()
    }

    /// Whether a residual may still follow.
    fn is_open(&self) -> bool {
        self.residual.is_none() && self.after.is_none()
    }

    fn values(&self) -> Option<&D::Buf> {
        self.bias.as_ref().map(Param::values)
    }

    /// What the backward pass needs; the input itself is let go.
    pub(crate) fn into_backward(self) -> ConvBackward<E, D> {
        ConvBackward {
            size: self.size,
            saved: self.saved,
            grad: self.grad,
            weight: self.weight,
            bias: self.bias,
        }
    }

    /// Runs the convolution and gathers the statistics of its (activated) output: the output, the
    /// activated output, mean and variance.
    pub(crate) fn moments(&self, device: &D) -> Result<ConvMoments<D::Buf>, D::Err> {
        device.conv_moments(self.size, &self.x, self.weight.kernel(), self.values(), self.before)
    }

    fn compute<T: Tape<E, D>>(self, context: &mut Context<E, D, T>, grad: &GradCell<D::Buf>) -> Computed<E, D> {
        let device = context.device.clone();
        let activation = self.before.filter(|_| T::OWNS_TAPE);
        let tail = ConvTail {
            before: self.before.filter(|_| !T::OWNS_TAPE),
            affine: self.affine.as_ref().map(|(factor, offset)| (factor, offset)),
            residual: self.residual.as_deref(),
            after: self.after,
        };
        let y = device.conv_forward(self.size, &self.x, self.weight.kernel(), self.values(), tail)?;
        if !T::OWNS_TAPE {
            let y = Rc::new(y);
            return Ok((y.clone(), Saved::Kept(y)));
        }
        let backward = self.into_backward();
        let Some(kind) = activation else {
            context.record(grad, move |device, dy| backward.run(device, &dy));
            let y = Rc::new(y);
            return Ok((y.clone(), Saved::Kept(y)));
        };
        let inner = GradCell::new(true);
        context.record(&inner, move |device, dy| backward.run(device, &dy));
        let y = activate(kind, Rc::new(y), inner, context, grad)?;
        Ok((y.clone(), Saved::Kept(y)))
    }
}

/// Whether the backward pass of `kind` needs the output rather than the input, so that the
/// forward pass can work in place.
fn saves_output(kind: Activation) -> bool {
    matches!(kind, Activation::Relu | Activation::Sigmoid)
}

/// An activation function as a pass of its own over `x`, whose gradient gathers in `input`.
pub(crate) fn activate<E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    kind: Activation,
    x: Rc<D::Buf>,
    input: GradCell<D::Buf>,
    context: &mut Context<E, D, T>,
    grad: &GradCell<D::Buf>,
) -> Result<Rc<D::Buf>, D::Err> {
    let before = (T::OWNS_TAPE && !saves_output(kind)).then(|| x.clone());
    let y = Rc::new(context.device.activation_forward(kind, Rc::unwrap_or_clone(x))?);
    if let Some(saved) = before.or_else(|| T::OWNS_TAPE.then(|| y.clone())) {
        context.record(grad, move |device, dy| {
            let dx = device.activation_backward(kind, &saved, dy)?;
            input.add(device, dx)
        });
    }
    Ok(y)
}

impl<E: Scalar, D: Backend<E>> NormStep<E, D> {
    fn compute<T: Tape<E, D>>(self, context: &mut Context<E, D, T>, grad: &GradCell<D::Buf>) -> Computed<E, D> {
        let input = match self.activated {
            Some(activated) => Cow::Owned(activated),
            None => Cow::Borrowed(&*self.input),
        };
        let residual = self.residual.as_ref().map(|residual| &*residual.data);
        let y = Rc::new(context.device.norm_apply(
            self.size,
            self.tail.after,
            input,
            &self.factor,
            &self.offset,
            residual,
        )?);
        if !T::OWNS_TAPE {
            return Ok((y.clone(), Saved::Kept(y)));
        }
        let again = Again {
            size: self.size,
            tail: self.tail,
            input: self.saved.clone(),
            factor: self.factor.clone(),
            offset: self.offset.clone(),
            residual: self.residual.as_ref().map(|residual| residual.saved.clone()),
        };
        // Where the gradient of the last activation depends on the residual, keeping the output is
        // cheaper than making it twice.
        let masked = self.tail.after.is_some() && self.residual.is_some();
        let saved = if !masked && again.pays() {
            Saved::Again(Rc::new(again))
        } else {
            Saved::Kept(y.clone())
        };
        let backward = NormGradient {
            size: self.size,
            tail: self.tail,
            input: self.saved,
            output: masked.then(|| y.clone()),
            source: self.source,
            scale: self.scale,
            shift: self.shift,
            mean: self.mean,
            variance: self.variance,
            factor: self.factor,
            offset: self.offset,
            eps: self.eps,
            residual: self.residual.map(|residual| residual.grad),
        };
        context.record(grad, move |device, dy| backward.run(device, dy));
        Ok((y, saved))
    }
}

/// The backward pass of a [`NormStep`].
struct NormGradient<E: Scalar, D: Backend<E>> {
    size: RowSize,
    tail: Tail,
    input: Saved<E, D>,
    output: Option<Rc<D::Buf>>,
    source: NormSource<E, D>,
    scale: Param<E, D>,
    shift: Param<E, D>,
    mean: D::Buf,
    variance: D::Buf,
    factor: Rc<D::Buf>,
    offset: Rc<D::Buf>,
    eps: f64,
    residual: Option<GradCell<D::Buf>>,
}

impl<E: Scalar, D: Backend<E>> NormGradient<E, D> {
    fn run(self, device: &D, dy: D::Buf) -> Result<(), D::Err> {
        let input = self.input.get(device)?;
        let mut gradients = None;
        self.scale.accumulate_values(device, |dscale| {
            self.shift.accumulate_values(device, |dshift| {
                let norm = NormBackward {
                    size: self.size,
                    tail: self.tail,
                    input: &*input,
                    output: self.output.as_deref(),
                    mean: &self.mean,
                    variance: &self.variance,
                    factor: &self.factor,
                    offset: &self.offset,
                    eps: self.eps,
                };
                gradients = Some(device.norm_backward(norm, dy, self.residual.is_some(), dscale, dshift)?);
                Ok(())
            })
        })?;
        drop((input, self.input, self.output));
        let Some((dz, dresidual)) = gradients else {
            return Ok(());
        };
        if let (Some(grad), Some(dresidual)) = (self.residual, dresidual) {
            grad.add(device, dresidual)?;
        }
        match self.source {
            NormSource::Conv(conv) => conv.run(device, &dz),
            NormSource::Other(grad) => grad.add(device, dz),
        }
    }
}

impl<E: Scalar, D: Backend<E>> GateStep<E, D> {
    fn compute<T: Tape<E, D>>(self, context: &mut Context<E, D, T>, grad: &GradCell<D::Buf>) -> Computed<E, D> {
        let Self {
            size,
            input,
            gate,
            residual,
            after,
        } = self;
        let added = residual.as_ref().map(|residual| &*residual.data);
        let y = context
            .device
            .gate_forward(size, &input.data, &gate.data, added, after)?;
        let y = Rc::new(y);
        let saved = Saved::Kept(y.clone());
        if T::OWNS_TAPE {
            let output = after.map(|_| y.clone());
            let (x, dx, scale, dscale) = (input.saved, input.grad, gate.saved, gate.grad);
            let residual = residual.map(|residual| residual.grad);
            context.record(grad, move |device, dy| {
                let (x, scale) = (x.get(device)?, scale.get(device)?);
                let (gradient, gate, dresidual) =
                    device.gate_backward(size, &x, &scale, output.as_deref(), dy, residual.is_some())?;
                if let (Some(grad), Some(dresidual)) = (residual, dresidual) {
                    grad.add(device, dresidual)?;
                }
                dx.add(device, gradient)?;
                dscale.add(device, gate)
            });
        }
        Ok((y, saved))
    }
}

impl<E: Scalar, D: Backend<E>> Value<E, D> {
    /// Values that are there and kept for the backward pass.
    pub(crate) fn ready(data: Rc<D::Buf>) -> Self {
        Self::Ready(data.clone(), Saved::Kept(data))
    }

    /// Computes the values, if that has not been done, and records the backward pass, for the
    /// gradient that gathers in `grad`.
    pub(crate) fn compute<T: Tape<E, D>>(
        self,
        context: &mut Context<E, D, T>,
        grad: &GradCell<D::Buf>,
    ) -> Computed<E, D> {
        match self {
            Self::Ready(data, saved) => Ok((data, saved)),
            Self::Conv(step) => step.compute(context, grad),
            Self::Norm(step) => step.compute(context, grad),
            Self::Gate(step) => step.compute(context, grad),
        }
    }

    /// Takes up an activation. `false`: it must be a pass of its own.
    pub(crate) fn take_activation(&mut self, kind: Activation, taped: bool) -> bool {
        match self {
            Self::Conv(step) if step.is_bare() => {
                step.before = Some(kind);
                true
            }
            Self::Conv(step) if !taped && step.after.is_none() && kind == Activation::Relu => {
                step.after = Some(kind);
                true
            }
            Self::Norm(step) if step.tail.after.is_none() && kind == Activation::Relu => {
                step.tail.after = Some(kind);
                true
            }
            Self::Gate(step) if step.after.is_none() && kind == Activation::Relu => {
                step.after = Some(kind);
                true
            }
            _ => false,
        }
    }

    /// Whether a residual can be taken up.
    pub(crate) fn takes_residual(&self, taped: bool) -> bool {
        match self {
            Self::Ready(..) => false,
            Self::Conv(step) => !taped && step.is_open(),
            Self::Norm(step) => step.tail.after.is_none() && step.residual.is_none(),
            Self::Gate(step) => step.after.is_none() && step.residual.is_none(),
        }
    }

    /// Takes up a residual, if it [can](Self::takes_residual).
    pub(crate) fn take_residual(&mut self, residual: Branch<E, D>) {
        match self {
            Self::Ready(..) => debug_assert!(false, "nothing waits here"),
            Self::Conv(step) => step.residual = Some(residual.data),
            Self::Norm(step) => step.residual = Some(residual),
            Self::Gate(step) => step.residual = Some(residual),
        }
    }

    /// Whether a convolution waits that can take up a norm with running statistics, in inference.
    pub(crate) fn is_open_conv(&self) -> bool {
        matches!(self, Self::Conv(step) if step.is_plain())
    }

    /// Takes up such a norm, if it can; in inference only.
    pub(crate) fn take_affine(&mut self, factor: D::Buf, offset: D::Buf) {
        match self {
            Self::Conv(step) => step.affine = Some((factor, offset)),
            _ => debug_assert!(false, "no convolution waits here"),
        }
    }
}
