//! Learned tokens before a sequence.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::{MapSize, RowSize};
use crate::tape::Tape;
use std::rc::Rc;

/// The parameter, a token `[1, features]`, then the tokens of the input: the class token of Dosovitskiy et al. 2020
/// (section 3.1). The positions of the input, of a map row by row, are its tokens; the output is one row high.
#[derive(Clone, Copy, Debug)]
pub struct PrependToken;

impl Operation for PrependToken {
    const NAMES: &'static [&'static str] = &["prepend_token"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 1];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        MapSize {
            height: 1,
            width: inputs[0].height * inputs[0].width + 1,
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        [token]: [Param<E, X>; 1],
    ) -> Result<Act<E, X, T>, X::Err> {
        let size = self.output(&[x.size]);
        let (images, features) = (x.size.batch, x.size.channels);
        let others = x.size.height * x.size.width * features;
        // The tokens as rows, one for each image.
        let tokens = RowSize {
            rows: images,
            channels: features,
        };
        let x = x.ready()?;
        let exec = &x.context.exec;
        let first = exec.add_to_rows(tokens, exec.zeroed(images * features)?, token.values())?;
        let y = exec.concat(images, features, others, &first, &x.data)?;
        drop(x.saved);
        let grad = x.grad;
        let backward = move |exec: &X, dy: X::Buf| {
            let (dfirst, dx) = exec.split(images, features, others, &dy)?;
            token.accumulate_values(exec, |dtoken| exec.bias_backward(tokens, &dfirst, dtoken))?;
            grad.add(exec, dx)
        };
        Ok(Act::output(x.context, size, Rc::new(y), backward))
    }
}
