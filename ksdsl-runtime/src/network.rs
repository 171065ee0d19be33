//! What is known of a generated network without building it.

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
    /// Multiply-adds of convolutions and linear layers for one image; a shared kernel counts at
    /// each visit.
    const MULTIPLY_ADDS: u64;
}
