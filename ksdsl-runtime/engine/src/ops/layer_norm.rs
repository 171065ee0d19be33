//! Layer normalisation.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::{Param, accumulate_both};
use crate::real::Real;
use crate::tape::Tape;
use std::rc::Rc;

/// Normalises over the features of each vector, or over the channels of each pixel of a map (Ba et al. 2016), then scales
/// and shifts. Without parameters, or without the second, the scale is 1 and the shift 0.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// Added to the variance.
    pub eps: f64,
}

impl Operation for LayerNorm {
    const NAMES: &'static [&'static str] = &["layer_norm"];
    type Inputs<A> = [A; 1];
    /// Scale and shift, the scale alone, or neither.
    type Params<A> = Vec<A>;

    fn of(call: &Call<'_>) -> Option<Self> {
        call.real("eps").map(|eps| Self { eps })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        params: Vec<Param<E, X>>,
    ) -> Result<Act<E, X, T>, X::Err> {
        let (map, size) = (x.size, x.size.by_rows());
        let x = x.ready()?;
        let exec = &x.context.exec;
        let mut params = params.into_iter();
        // Taped, since the backward pass fills both gradients.
        let mut or = |value| match params.next() {
            Some(param) => Ok(param),
            None => Param::constant(exec, value, size.channels, T::RECORDS),
        };
        let (scale, shift) = (or(1.0)?, or(0.0)?);
        let normed = exec.layer_norm_forward(size, &x.data, scale.values(), shift.values(), self.eps)?;
        let (mean, inverse_std) = (normed.mean, normed.inverse_std);
        let (input, grad) = (x.saved, x.grad);
        let backward = move |exec: &X, dy: X::Buf| {
            let input = input.get(exec)?;
            let dx = accumulate_both(exec, &scale, &shift, |dscale, dshift| {
                exec.layer_norm_backward(size, &input, &mean, &inverse_std, scale.values(), &dy, dscale, dshift)
            })?;
            dx.map_or(Ok(()), |dx| grad.add(exec, dx))
        };
        Ok(Act::output(x.context, map, Rc::new(normed.output), backward))
    }
}
