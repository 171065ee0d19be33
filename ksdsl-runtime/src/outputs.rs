//! Networks of several outputs.

use crate::act::{Act, ActShape};
use crate::backend::Backend;
use crate::scalar::Scalar;
use dfdx::tensor::{Tape, Tensor};
use std::cell::Cell;
use std::rc::Rc;

/// Makes tensors of the outputs of a network. The first output carries the tape, and the backward pass runs only if
/// the loss uses it. A loss of other outputs alone would silently give no gradients; it panics instead.
#[derive(Debug)]
pub struct TapeInFirst {
    network: &'static str,
    /// Whether the backward pass has come to the first output.
    ran: Rc<Cell<bool>>,
}

impl TapeInFirst {
    /// For the outputs of one forward pass of a network.
    pub fn new(network: &'static str) -> Self {
        let ran = Rc::default();
        Self { network, ran }
    }

    /// An output after the first; all of them come before it.
    pub fn other<S: ActShape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
        &self,
        mut x: Act<S, E, D, T>,
    ) -> Result<Tensor<S, E, D, T>, D::Err> {
        let (network, ran) = (self.network, self.ran.clone());
        // Recorded before the first output, so it runs after that.
        x.tape_mut().add_backward_op(move |_| {
            assert!(
                ran.get(),
                "the loss does not use the first output of the network `{network}`, which carries the tape"
            );
            Ok(())
        });
        x.into_tensor()
    }

    /// The first output, with the tape of the network.
    pub fn first<S: ActShape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
        self,
        x: Act<S, E, D, T>,
    ) -> Result<Tensor<S, E, D, T>, D::Err> {
        let (y, mut tape) = dfdx::tensor::SplitTape::split_tape(x.into_tensor()?);
        tape.add_backward_op(move |_| {
            self.ran.set(true);
            Ok(())
        });
        Ok(dfdx::tensor::PutTape::put_tape(y, tape))
    }
}
