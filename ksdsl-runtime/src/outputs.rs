//! Networks of several outputs.

use crate::act::{Act, ActShape};
use crate::backend::Backend;
use crate::scalar::Scalar;
use dfdx::shapes::Shape;
use dfdx::tensor::{PutTape, SplitTape, Tape, Tensor};
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

    /// An output after the first, before it is made a tensor; all of them come before the first.
    pub fn other<S: ActShape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
        &self,
        mut x: Act<S, E, D, T>,
    ) -> Act<S, E, D, T> {
        let (network, ran) = (self.network, self.ran.clone());
        // Recorded before the first output, so it runs after that.
        x.tape_mut().add_backward_op(move |_| {
            assert!(
                ran.get(),
                "the loss does not use the first output of the network `{network}`, which carries the tape"
            );
            Ok(())
        });
        x
    }

    /// The first output, a tensor with the tape of the network.
    pub fn first<S: Shape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(self, y: Tensor<S, E, D, T>) -> Tensor<S, E, D, T> {
        let (y, mut tape) = y.split_tape();
        tape.add_backward_op(move |_| {
            self.ran.set(true);
            Ok(())
        });
        y.put_tape(tape)
    }
}
