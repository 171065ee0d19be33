//! Batch norms in waiting.

use super::conv::ConvBackward;
use super::{Branch, Computed};
use crate::act::{Context, GradCell};
use crate::backend::{Backend, NormBackward};
use crate::geometry::{RowSize, Tail};
use crate::param::Param;
use crate::saved::{Recompute, Saved};
use crate::scalar::Scalar;
use dfdx::tensor::Tape;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::rc::Rc;

/// Where a norm's input comes from, for the backward pass.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a box would cost more than the copies of so few"
)]
pub(crate) enum NormSource<E: Scalar, D: Backend<E>> {
    /// A convolution, whose backward pass is part of the norm's.
    Conv(Box<ConvBackward<E, D>>),
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
    pub(crate) mean: Rc<D::Buf>,
    pub(crate) variance: D::Buf,
    pub(crate) factor: Rc<D::Buf>,
    pub(crate) offset: Rc<D::Buf>,
    pub(crate) eps: f64,
    pub(crate) residual: Option<Branch<E, D>>,
}

impl<E: Scalar, D: Backend<E>> NormStep<E, D> {
    pub(super) fn compute<T: Tape<E, D>>(
        self,
        context: &mut Context<E, D, T>,
        grad: &GradCell<D::Buf>,
    ) -> Computed<E, D> {
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
        let recompute = Recompute {
            size: self.size,
            tail: self.tail,
            input: self.saved.clone(),
            factor: self.factor.clone(),
            offset: self.offset.clone(),
            residual: self.residual.as_ref().map(|residual| residual.saved.clone()),
            mean: Some(self.mean.clone()),
            made: OnceCell::new(),
        };
        // Where the gradient of the last activation depends on the residual, keeping the output is
        // cheaper than making it twice.
        let masked = self.tail.after.is_some() && self.residual.is_some();
        let saved = if !masked && recompute.pays() {
            Saved::Recompute(Rc::new(recompute))
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
            grad: grad.clone(),
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
    mean: Rc<D::Buf>,
    variance: D::Buf,
    factor: Rc<D::Buf>,
    offset: Rc<D::Buf>,
    eps: f64,
    residual: Option<GradCell<D::Buf>>,
    /// That of the output; only asked for sums.
    grad: GradCell<D::Buf>,
}

impl<E: Scalar, D: Backend<E>> NormGradient<E, D> {
    fn run(mut self, device: &D, dy: D::Buf) -> Result<(), D::Err> {
        let input = self.input.get(device)?;
        let sums = self.grad.take_sums();
        let sums = sums.as_ref().map(|[dy, product]| [dy, product]);
        let source = std::mem::replace(&mut self.source, NormSource::Other(GradCell::new(false)));
        let source = match source {
            NormSource::Conv(conv) if self.residual.is_none() && conv.joins_norm(device) => {
                return conv.run_with_norm(device, self.operands(&input, sums), dy, &self.scale, &self.shift);
            }
            source => source,
        };
        let mut gradients = None;
        self.scale.accumulate_values(device, |dscale| {
            self.shift.accumulate_values(device, |dshift| {
                let norm = self.operands(&input, sums);
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
        match source {
            NormSource::Conv(conv) => conv.run(device, &dz),
            NormSource::Other(grad) => grad.add(device, dz),
        }
    }

    fn operands<'a>(&'a self, input: &'a D::Buf, sums: Option<[&'a D::Buf; 2]>) -> NormBackward<'a, D::Buf> {
        NormBackward {
            size: self.size,
            tail: self.tail,
            input,
            output: self.output.as_deref(),
            mean: &self.mean,
            variance: &self.variance,
            factor: &self.factor,
            offset: &self.offset,
            eps: self.eps,
            sums,
        }
    }
}
