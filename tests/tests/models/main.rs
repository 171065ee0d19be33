//! Generated models against independent truth: given parameter counts, the same networks without
//! sharing, finite differences and random networks; and dfdx's tools, to which a shared kernel is one tensor.

mod algorithms;
mod checkpoints;
mod counts;
mod folded;
mod forms;
mod gradients;
mod net;
mod nets;
mod parity;
mod passes;
mod prepared;
mod private;
mod random;
mod rounding;
mod slices;
mod tied;
mod untied;
mod visits;

use ksdsl_tests::tensors;
