//! The operations: one file each, with its forward and its backward pass.
//!
//! They do not check shapes: their callers, typed functions or a resolved network, have. An [`Operation`] is made of
//! [`Loops`](crate::loops::Loops), which every executor runs, and of nothing else; the others have kernels of their
//! own.

mod activation;
mod add;
mod attention;
mod batch_norm;
mod concat;
mod conv;
mod dropout;
mod flatten;
mod gate;
mod global_pool;
mod layer_norm;
mod layout;
mod multiply;
mod operation;
mod pointwise;
mod pool;
mod position_embedding;
mod scale;

pub use activation::activation;
pub use add::add;
pub use attention::attention;
pub use batch_norm::{batch_norm_infer, batch_norm_train};
pub use concat::concat;
pub use conv::{Weights, conv, linear};
pub use dropout::dropout;
pub use flatten::flatten;
pub use gate::gate;
pub use global_pool::global_pool;
pub use layer_norm::layer_norm;
pub use layout::{to_nchw, to_nhwc};
pub use multiply::multiply;
pub use operation::{Args, CallError, Operation};
pub use pool::pool;
pub use position_embedding::position_embedding;
pub use scale::scale;

use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;

operation::operations! {
    elu: Elu,
    group_norm: GroupNorm,
    leaky_relu: LeakyRelu,
    rms_norm: RmsNorm,
    softplus: Softplus,
    subtract: Subtract,
    tanh: Tanh,
    upsample: Upsample,
}
