//! Networks on token ids run token by token: the keys and values of attention are kept.
//!
//! The pass is that of [`Graph::infer`], over the next positions alone, with a [`Past`] that the operations consult that
//! depend on positions. There is no second interpreter. Each visit of an attention keeps keys and values of its own, also
//! where visits share kernels; in loops each iteration does.

mod plan;
mod traffic;
mod walk;

pub use plan::NotCausal;
pub(super) use plan::Plan;
pub use traffic::{Traffic, traffic};
pub(super) use walk::Decoding;

use super::walk::Walk;
use super::{Error, Graph, check};
use ksdsl_engine::size::RowSize;
use ksdsl_engine::{Exec, Kernels, NoTape, Past, Real};
use std::rc::Rc;

impl<E: Real, X: Exec<E>> Graph<E, X> {
    /// The network as one that takes a sequence token by token, with no tokens yet. Loops run as often as
    /// [`Graph::set_steps`] said.
    ///
    /// # Errors
    /// If the network has anything but one input of token ids, if its first output is not a vector or one for each token, or
    /// if a layer's output at a position depends
    /// on later positions.
    pub fn decoder(&self) -> Result<Decoder<'_, E, X>, NotCausal> {
        let plan = Plan::new(&self.network, &self.counts)?;
        Ok(Decoder {
            past: Rc::new(Past::new(plan.context, plan.count)),
            plan,
            graph: self,
            kernels: Rc::default(),
            iterations: 0,
        })
    }
}

/// A network that takes a sequence token by token. It borrows the network, so that the kernels cannot change, and prepares
/// them once.
#[derive(Debug)]
pub struct Decoder<'g, E: Real, X: Exec<E>> {
    graph: &'g Graph<E, X>,
    kernels: Rc<Kernels<E, X>>,
    plan: Plan,
    past: Rc<Past<X::Buf>>,
    iterations: usize,
}

impl<E: Real, X: Exec<E>> Decoder<'_, E, X> {
    /// The tokens so far.
    pub fn len(&self) -> usize {
        self.past.position()
    }

    /// Whether there are no tokens yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most tokens that a sequence has: those of the network's input.
    pub fn context(&self) -> usize {
        self.plan.context
    }

    /// First tokens that must come in one call, because they see each other (`prefix`); 0 if there are none.
    pub fn prefix(&self) -> usize {
        self.plan.prefix
    }

    /// Iterations that all loops ran in the last call; fewer than they can where the exit ended one early.
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// Keeps the first tokens only.
    pub fn truncate(&mut self, tokens: usize) {
        self.past.set_position(tokens.min(self.len()));
    }

    /// Appends a token and gives what the network says after it: the first output at the last position.
    ///
    /// # Errors
    /// Those of [`Decoder::prefill`].
    pub fn step(&mut self, token: usize) -> Result<Vec<E>, Error<X::Err>> {
        self.prefill(&[token])
    }

    /// Appends tokens and gives the first output at the last position.
    ///
    /// # Errors
    /// If there are none or more than the context has room for; if they are fewer than a prefix; if the vocabulary has no
    /// such token; or if the executor fails. The sequence is then as before.
    pub fn prefill(&mut self, tokens: &[usize]) -> Result<Vec<E>, Error<X::Err>> {
        let (before, context) = (self.len(), self.plan.context);
        if tokens.is_empty() {
            check("list of tokens", 1, 0)?;
        }
        if tokens.len() > context - before {
            let tokens = before + tokens.len();
            return Err(Error::Full { context, tokens });
        }
        if before == 0 && tokens.len() < self.plan.prefix {
            let (prefix, tokens) = (self.plan.prefix, tokens.len());
            return Err(Error::Prefix { prefix, tokens });
        }
        self.iterations = 0;
        // Where a loop may end early, each token has its own number of iterations.
        let pieces = tokens.chunks(if self.plan.exits { 1 } else { tokens.len() });
        let mut output = Ok(Vec::new());
        for piece in pieces {
            output = self.pass(piece);
            if output.is_err() {
                self.truncate(before);
                break;
            }
        }
        Ok(output?)
    }

    fn pass(&mut self, tokens: &[usize]) -> Result<Vec<E>, X::Err> {
        let (graph, exec) = (self.graph, &self.graph.exec);
        let ids = exec.upload(tokens.iter().map(|token| E::of(*token as f64)).collect())?;
        let mut walk =
            Walk::<E, X, NoTape>::inference(&graph.network, &graph.params, 1).with_loops(&graph.counts, graph.exits);
        walk.decoding = Some(Decoding {
            past: self.past.clone(),
            plan: &self.plan,
            tokens: tokens.len(),
            iterations: Vec::new(),
            ran: 0,
        });
        let mut pass = walk.run(exec, Some(self.kernels.clone()), None, vec![ids])?;
        self.iterations += pass.iterations;
        let (output, channels) = (
            pass.outputs.remove(0),
            super::walk::size(graph.network.output().channels()),
        );
        let rows = pass.rows.saturating_sub(1);
        let logits = match rows {
            0 => output,
            last => exec.read_rows(RowSize { rows: 1, channels }, &output, last)?,
        };
        self.past.set_position(self.past.position() + tokens.len());
        exec.download(&logits)
    }
}
