//! Layer normalisation.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::{Param, accumulate_both};
use crate::real::Real;
use crate::tape::Tape;
use std::rc::Rc;

/// Normalises over the features of each vector, or over the channels of each pixel of a map (Ba et al. 2016), then scales
/// and shifts.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// Added to the variance.
    pub eps: f64,
}

impl Operation for LayerNorm {
    const NAMES: &'static [&'static str] = &["layer_norm"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 2];

    fn of(call: &Call<'_>) -> Option<Self> {
        call.real("eps").map(|eps| Self { eps })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        [scale, shift]: [Param<E, X>; 2],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (map, size) = (x.size, x.size.by_rows());
        let x = x.ready()?;
        let exec = &x.context.exec;
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
