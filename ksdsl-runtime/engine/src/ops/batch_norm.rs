//! Batch normalisation (Ioffe & Szegedy 2015).

use crate::act::{Act, Context, GradCell};
use crate::exec::Exec;
use crate::param::Param;
use crate::pending::{NormSource, NormStep, Value};
use crate::real::Real;
use crate::saved::Saved;
use crate::size::{Activation, MapSize, RowSize, Tail};
use crate::statistics::BatchStatistics;
use crate::tape::Tape;
use std::borrow::Cow;
use std::rc::Rc;

/// Normalises with the batch's statistics, which `note` gets. They are gathered, of a convolution's output, while it
/// runs; the rest is left to what follows.
///
/// # Errors
/// Those of `note`, and the executor's through `failed`.
pub fn batch_norm_train<E: Real, X: Exec<E>, T: Tape<E, X>, R>(
    mut x: Act<E, X, T>,
    scale: Param<E, X>,
    shift: Param<E, X>,
    eps: f64,
    note: impl FnOnce(&BatchStatistics<'_, X::Buf>) -> Result<(), R>,
    failed: impl Fn(X::Err) -> R,
) -> Result<Act<E, X, T>, R> {
    let (map, size, exec) = (x.size, x.size.by_rows(), x.context.exec.clone());
    let normed = match x.value {
        Value::Conv(step) if step.is_plain() => {
            let moments = step.moments(&exec).map_err(&failed)?;
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
            let (input, saved) = value.compute(&mut x.context, &x.grad).map_err(&failed)?;
            let (mean, variance) = exec.moments(size, &input).map_err(&failed)?;
            NormInput::plain(input, saved, x.grad, mean, variance)
        }
    };
    note(&BatchStatistics {
        mean: &normed.mean,
        variance: &normed.variance,
        rows: size.rows,
    })?;
    wait(map, x.context, normed, scale, shift, eps).map_err(failed)
}

/// Normalises with given statistics.
///
/// # Errors
/// If the executor fails.
pub fn batch_norm_infer<E: Real, X: Exec<E>, T: Tape<E, X>>(
    mut x: Act<E, X, T>,
    scale: Param<E, X>,
    shift: Param<E, X>,
    [mean, variance]: [X::Buf; 2],
    eps: f64,
) -> Result<Act<E, X, T>, X::Err> {
    let size = x.size;
    if T::RECORDS {
        let frozen = Frozen {
            size: size.by_rows(),
            mean,
            variance,
            eps,
        };
        return frozen.apply(x, scale, shift);
    }
    if x.value.is_open_conv() {
        let exec = &x.context.exec;
        let (factor, offset) = exec.norm_coefficients(&mean, &variance, scale.values(), shift.values(), eps)?;
        x.value.take_affine(factor, offset);
        return Ok(x);
    }
    let x = x.ready()?;
    let normed = NormInput::plain(x.data, x.saved, x.grad, mean, variance);
    wait(size, x.context, normed, scale, shift, eps)
}

/// What a norm is applied to.
struct NormInput<E: Real, X: Exec<E>> {
    before: Option<Activation>,
    input: Rc<X::Buf>,
    saved: Saved<E, X>,
    activated: Option<X::Buf>,
    source: NormSource<E, X>,
    mean: X::Buf,
    variance: X::Buf,
}

impl<E: Real, X: Exec<E>> NormInput<E, X> {
    fn plain(input: Rc<X::Buf>, saved: Saved<E, X>, grad: GradCell<X::Buf>, mean: X::Buf, variance: X::Buf) -> Self {
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
fn wait<E: Real, X: Exec<E>, T: Tape<E, X>>(
    map: MapSize,
    context: Context<E, X, T>,
    normed: NormInput<E, X>,
    scale: Param<E, X>,
    shift: Param<E, X>,
    eps: f64,
) -> Result<Act<E, X, T>, X::Err> {
    let (mean, variance) = (normed.mean, normed.variance);
    let exec = &context.exec;
    let (factor, offset) = exec.norm_coefficients(&mean, &variance, scale.values(), shift.values(), eps)?;
    let step = NormStep {
        size: map.by_rows(),
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
    Ok(Act::deferred(map, context, Value::Norm(Box::new(step))))
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
    fn apply<E: Real, X: Exec<E, Buf = B>, T: Tape<E, X>>(
        self,
        x: Act<E, X, T>,
        scale: Param<E, X>,
        shift: Param<E, X>,
    ) -> Result<Act<E, X, T>, X::Err> {
        let x = x.ready()?;
        let values = Cow::Borrowed(&*x.data);
        let y = self.normalise(&x.context.exec, values, scale.values(), shift.values())?;
        let (input, grad) = (x.saved, x.grad);
        let backward = move |exec: &X, dy: X::Buf| {
            let dx = self.backward(exec, &*input.get(exec)?, &scale, &shift, dy)?;
            grad.add(exec, dx)
        };
        Ok(Act::output(x.context, x.size, Rc::new(y), backward))
    }

    fn normalise<E: Real, X: Exec<E, Buf = B>>(
        &self,
        exec: &X,
        x: Cow<'_, B>,
        scale: &B,
        shift: &B,
    ) -> Result<B, X::Err> {
        let (factor, offset) = exec.norm_coefficients(&self.mean, &self.variance, scale, shift, self.eps)?;
        exec.norm_apply(self.size, None, x, &factor, &offset, None)
    }

    /// The gradient with respect to `x`; adds those of scale and shift. Rare (fine-tuning with
    /// frozen statistics), so it is put together from the forward operation: with scale 1 and
    /// shift 0 that gives the normalised input, with mean 0 and shift 0 the gradient.
    fn backward<E: Real, X: Exec<E, Buf = B>>(
        self,
        exec: &X,
        x: &B,
        scale: &Param<E, X>,
        shift: &Param<E, X>,
        dy: B,
    ) -> Result<B, X::Err> {
        let zero = exec.zeroed(self.size.channels)?;
        let one = exec.upload(vec![E::one(); self.size.channels])?;
        let normed = self.normalise(exec, Cow::Borrowed(x), &one, &zero)?;
        let product = exec.multiply(normed, &dy)?;
        let size = self.size;
        scale.accumulate_values(exec, |dscale| exec.bias_backward(size, &product, dscale))?;
        shift.accumulate_values(exec, |dshift| exec.bias_backward(size, &dy, dshift))?;
        let centred = Self {
            mean: zero.clone(),
            ..self
        };
        centred.normalise(exec, Cow::Owned(dy), scale.values(), &zero)
    }
}
