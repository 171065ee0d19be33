//! The operations: one file each, with its forward and its backward pass.
//!
//! They do not check shapes: their callers, typed functions or a resolved network, have. What a call, inputs and
//! parameters determine is an [`Operation`], which [`call`] finds by name. Convolutions and linear layers with what
//! each has of its own for a shared kernel, batch norm with its running statistics, and dropout with its seed take
//! more, and are functions.

mod batch_norm;
mod conv;
mod dropout;
mod gate;
mod layout;
mod operation;
mod pointwise;
mod scale;

pub use batch_norm::{batch_norm_infer, batch_norm_train};
pub use conv::{Weights, conv, linear};
pub use dropout::dropout;
pub use layout::{to_nchw, to_nhwc};
pub use operation::{Call, CallError, Joined, Operation};
pub use scale::scale;

use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;
use operation::operations;

operations! {
    with kernels {
        activation: Activation,
        add: Add,
        attention: Attend,
        concat: Concat,
        embedding: Embedding,
        flatten: Flatten,
        global_pool: GlobalPool,
        layer_norm: LayerNorm,
        multiply: Multiply,
        pool: Pool,
        position_embedding: PositionEmbedding,
        prepend_token: PrependToken,
    }
    of loops {
        elu: Elu,
        group_norm: GroupNorm,
        leaky_relu: LeakyRelu,
        rms_norm: RmsNorm,
        rotary: Rotary,
        softplus: Softplus,
        subtract: Subtract,
        tanh: Tanh,
        token: Token,
        upsample: Upsample,
    }
}
