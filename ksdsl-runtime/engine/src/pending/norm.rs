//! Batch norms in waiting.

use super::conv::ConvBackward;
use super::{Branch, Computed};
use crate::act::{Context, GradCell};
use crate::exec::{Exec, NormBackward};
use crate::param::Param;
use crate::real::Real;
use crate::saved::{Recompute, Saved};
use crate::size::{RowSize, Tail};
use crate::tape::Tape;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::rc::Rc;

/// Where a norm's input comes from, for the backward pass.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a box would cost more than the copies of so few"
)]
pub(crate) enum NormSource<E: Real, X: Exec<E>> {
    /// A convolution, whose backward pass is part of the norm's.
    Conv(Box<ConvBackward<E, X>>),
    /// Something that has a gradient of its own.
    Other(GradCell<X::Buf>),
}

/// Batch normalisation whose statistics are known, with what follows it.
#[derive(Debug)]
pub(crate) struct NormStep<E: Real, X: Exec<E>> {
    pub(crate) size: RowSize,
    pub(crate) tail: Tail,
    /// The input, before the activation `tail.before`.
    pub(crate) input: Rc<X::Buf>,
    pub(crate) saved: Saved<E, X>,
    /// The input after that activation, if there is one.
    pub(crate) activated: Option<X::Buf>,
    pub(crate) source: NormSource<E, X>,
    pub(crate) scale: Param<E, X>,
    pub(crate) shift: Param<E, X>,
    pub(crate) mean: Rc<X::Buf>,
    pub(crate) variance: X::Buf,
    pub(crate) factor: Rc<X::Buf>,
    pub(crate) offset: Rc<X::Buf>,
    pub(crate) eps: f64,
    pub(crate) residual: Option<Branch<E, X>>,
}

impl<E: Real, X: Exec<E>> NormStep<E, X> {
    pub(crate) fn compute<T: Tape<E, X>>(
        self,
        context: &mut Context<E, X, T>,
        grad: &GradCell<X::Buf>,
    ) -> Computed<E, X> {
        let input = match self.activated {
            Some(activated) => Cow::Owned(activated),
            None => Cow::Borrowed(&*self.input),
        };
        let residual = self.residual.as_ref().map(|residual| &*residual.data);
        let y = Rc::new(context.exec.norm_apply(
            self.size,
            self.tail.after,
            input,
            &self.factor,
            &self.offset,
            residual,
        )?);
        if !T::RECORDS {
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
        context.record(grad, move |exec, dy| backward.run(exec, dy));
        Ok((y, saved))
    }
}

/// The backward pass of a [`NormStep`].
struct NormGradient<E: Real, X: Exec<E>> {
    size: RowSize,
    tail: Tail,
    input: Saved<E, X>,
    output: Option<Rc<X::Buf>>,
    source: NormSource<E, X>,
    scale: Param<E, X>,
    shift: Param<E, X>,
    mean: Rc<X::Buf>,
    variance: X::Buf,
    factor: Rc<X::Buf>,
    offset: Rc<X::Buf>,
    eps: f64,
    residual: Option<GradCell<X::Buf>>,
    /// That of the output; only asked for sums.
    grad: GradCell<X::Buf>,
}

impl<E: Real, X: Exec<E>> NormGradient<E, X> {
    fn run(mut self, exec: &X, dy: X::Buf) -> Result<(), X::Err> {
        let input = self.input.get(exec)?;
        let sums = self.grad.take_sums();
        let sums = sums.as_ref().map(|[dy, product]| [dy, product]);
        let source = std::mem::replace(&mut self.source, NormSource::Other(GradCell::new(false)));
        let source = match source {
            NormSource::Conv(conv) if self.residual.is_none() && conv.joins_norm(exec) => {
                return conv.run_with_norm(exec, self.operands(&input, sums), dy, &self.scale, &self.shift);
            }
            source => source,
        };
        let mut gradients = None;
        self.scale.accumulate_values(exec, |dscale| {
            self.shift.accumulate_values(exec, |dshift| {
                let norm = self.operands(&input, sums);
                gradients = Some(exec.norm_backward(norm, dy, self.residual.is_some(), dscale, dshift)?);
                Ok(())
            })
        })?;
        drop((input, self.input, self.output));
        let Some((dz, dresidual)) = gradients else {
            return Ok(());
        };
        if let (Some(grad), Some(dresidual)) = (self.residual, dresidual) {
            grad.add(exec, dresidual)?;
        }
        match source {
            NormSource::Conv(conv) => conv.run(exec, &dz),
            NormSource::Other(grad) => grad.add(exec, dz),
        }
    }

    fn operands<'a>(&'a self, input: &'a X::Buf, sums: Option<[&'a X::Buf; 2]>) -> NormBackward<'a, X::Buf> {
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
