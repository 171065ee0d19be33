//! What a walk does differently over the next positions of a sequence.

use super::Plan;
use crate::graph::walk::{Flow, Walk, map, size};
use crate::ir::{self, LayerId, Loop, Shape};
use crate::ops::conv::Conv;
use ksdsl_engine::act::{Act, Context, GradCell};
use ksdsl_engine::size::{ConvSize, MapSize, RowSize};
use ksdsl_engine::{Exec, Past, Real, Tape};
use std::rc::Rc;

/// A pass over the next positions of a sequence.
pub(in crate::graph) struct Decoding<'a, B> {
    pub(in crate::graph) past: Rc<Past<B>>,
    pub(in crate::graph) plan: &'a Plan,
    /// Positions of the pass.
    pub(in crate::graph) tokens: usize,
    /// The iterations of the loops that run, outer ones first.
    pub(in crate::graph) iterations: Vec<usize>,
    /// Iterations that all loops ran.
    pub(in crate::graph) ran: usize,
}

impl<E: Real, X: Exec<E>, T: Tape<E, X>> Walk<'_, E, X, T> {
    /// The size of an input of this shape.
    pub(in crate::graph) fn size_of_input(&self, shape: Shape) -> MapSize {
        let all = map(shape, self.batch);
        match &self.decoding {
            Some(decoding) => MapSize {
                width: decoding.tokens,
                ..all
            },
            None => all,
        }
    }

    /// All of the network; its last layers take the last position only, where there are several.
    pub(in crate::graph) fn all_nodes(&mut self, x: Act<E, X, T>) -> Flow<E, X, T> {
        let nodes = &self.network.nodes;
        let tail = self
            .decoding
            .as_ref()
            .map_or(nodes.len(), |decoding| decoding.plan.tail);
        let x = ir::Walk::nodes(self, &nodes[..tail], x)?;
        let x = match &self.decoding {
            Some(_) if x.size.width > 1 => last(x)?,
            _ => x,
        };
        ir::Walk::nodes(self, &nodes[tail..], x)
    }

    /// The next attention is the visit of this layer.
    pub(in crate::graph) fn visit(&self, layer: Option<LayerId>) {
        let Some((decoding, layer)) = self.decoding.as_ref().zip(layer) else {
            return;
        };
        if let Some(slot) = decoding.plan.slot(layer, &decoding.iterations) {
            decoding.past.visit(slot);
        }
    }

    /// The input and the size of a convolution or linear layer; of a causal convolution with the positions before that its
    /// first taps see.
    #[expect(clippy::type_complexity, reason = "an input and perhaps a size")]
    pub(in crate::graph) fn with_recent(
        &self,
        id: LayerId,
        x: Act<E, X, T>,
        known: Option<ConvSize>,
    ) -> Result<(Act<E, X, T>, Option<ConvSize>), X::Err> {
        let conv = self.network.layers[id].op.downcast::<Conv>();
        let (Some(decoding), Some(conv), Some(known)) = (&self.decoding, conv, known) else {
            return Ok((x, known));
        };
        let reach = size(conv.dilation[1] * (conv.kernel[1] - 1));
        let output = MapSize {
            width: x.size.width,
            ..known.output
        };
        if reach == 0 {
            return Ok((x, Some(ConvSize { output, ..known })));
        }
        self.visit(Some(id));
        let (new, x) = (x.size, x.ready()?);
        let rows = RowSize {
            rows: new.width,
            channels: new.channels,
        };
        let (recent, taken) = decoding.past.with_recent(&x.context.exec, rows, &x.data, reach)?;
        let input = MapSize {
            width: taken + new.width,
            ..new
        };
        let mut size = ConvSize { input, output, ..known };
        size.window.pad[1] = reach - taken;
        Ok((made(x.context, input, recent), Some(size)))
    }

    /// A loop begins.
    pub(in crate::graph) fn enter_loop(&mut self) {
        if let Some(decoding) = &mut self.decoding {
            decoding.iterations.push(0);
        }
    }

    /// An iteration of it begins.
    pub(in crate::graph) fn enter_iteration(&mut self, iteration: usize) {
        if let Some(decoding) = &mut self.decoding {
            decoding.ran += 1;
            if let Some(last) = decoding.iterations.last_mut() {
                *last = iteration;
            }
        }
    }

    /// The loop ended before its last iteration: later positions see, at those that did not run, the keys and values of the
    /// last that did (as in Geiping et al. 2025, section 6, where the cache is read at the deepest state that is there).
    pub(in crate::graph) fn ended_early(&self, of: &Loop, exec: &X) -> Result<(), X::Err> {
        let Some(decoding) = &self.decoding else { return Ok(()) };
        for (from, to) in decoding.plan.unreached(of, &decoding.iterations) {
            decoding.past.repeat(exec, decoding.tokens, from, to.into_iter())?;
        }
        Ok(())
    }

    /// A loop ends.
    pub(in crate::graph) fn leave_loop(&mut self) {
        if let Some(decoding) = &mut self.decoding {
            decoding.iterations.pop();
        }
    }
}

/// The last position.
fn last<E: Real, X: Exec<E>, T: Tape<E, X>>(x: Act<E, X, T>) -> Flow<E, X, T> {
    let (size, x) = (x.size, x.ready()?);
    let rows = RowSize {
        rows: 1,
        channels: size.channels,
    };
    let row = x.context.exec.read_rows(rows, &x.data, size.width - 1)?;
    Ok(made(x.context, MapSize { width: 1, ..size }, row))
}

fn made<E: Real, X: Exec<E>, T: Tape<E, X>>(context: Context<E, X, T>, size: MapSize, values: X::Buf) -> Act<E, X, T> {
    Act::input(size, context, Rc::new(values), GradCell::new(false))
}
