//! What is known of a generated network without building it.

use crate::backend::Backend;
use crate::pass::Pass;
use crate::scalar::Scalar;

/// A generated network's builder: what the compiler counted, as constants that generic code can
/// reach. The builder also is dfdx's `BuildOnDevice`.
pub trait Network {
    /// The network's name in its specification.
    const NAME: &'static str;
    /// The sizes of one input, in PyTorch's order and without the batch.
    const INPUT: &'static [usize];
    /// The sizes of one output.
    const OUTPUT: &'static [usize];
    /// Trainable parameters, each shared kernel counted once.
    const PARAMETERS: u64;
    /// Trainable parameters if nothing were shared.
    const UNSHARED_PARAMETERS: u64;
    /// Multiply-adds of convolutions, linear layers and attention for one image; a shared kernel
    /// counts at each visit.
    const MULTIPLY_ADDS: u64;
}

/// A model that a given pass can run on inputs `X`: what [`Prepared`](crate::prepared::Prepared)
/// needs of generated models.
pub trait Infer<X, E: Scalar, D: Backend<E>> {
    /// The model's output.
    type Output;
    /// Runs the model without a tape.
    fn infer(&self, pass: &mut Pass<E, D>, x: X) -> Result<Self::Output, D::Err>;
}
