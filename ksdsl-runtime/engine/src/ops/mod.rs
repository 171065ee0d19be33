//! The operations: one file each, with its forward and its backward pass.
//!
//! They do not check shapes: their callers, typed functions or a resolved network, have. What a call, inputs and
//! parameters determine is an [`Operation`], which [`call`] finds by name. Convolutions and linear layers with what
//! each has of its own for a shared kernel, batch norm with its running statistics, and dropout and noise with their seeds take
//! more, and are functions.

mod attend_past;
mod batch_norm;
mod channels;
mod conv;
mod dropout;
mod gate;
mod layout;
mod noise;
mod operation;
mod pointwise;
mod positions;
mod products;
mod relative;
mod resample;
mod rows;
mod scale;
mod standardize;
mod stochastic_depth;

pub use batch_norm::{batch_norm_infer, batch_norm_train};
pub use conv::{Weights, conv, linear};
pub use dropout::dropout;
pub use layout::{to_nchw, to_nhwc};
pub use noise::noise;
pub use operation::{Call, CallError, Joined, Operation};
pub use scale::scale;
pub use standardize::Standardized;
pub use stochastic_depth::stochastic_depth;

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
        conv_transpose: ConvTranspose,
        embedding: Embedding,
        flatten: Flatten,
        global_pool: GlobalPool,
        layer_norm: LayerNorm,
        layer_scale: LayerScale,
        multiply: Multiply,
        pool: Pool,
        position_embedding: PositionEmbedding,
        prepend_token: PrependToken,
    }
    of loops {
        adaptive_avg_pool: AdaptiveAvgPool,
        affine: Affine,
        avg_pool_ceil: AvgPoolCeil,
        channel_pool: ChannelPool,
        channel_shuffle: ChannelShuffle,
        clamp: Clamp,
        elu: Elu,
        exp: Exp,
        gather: Gather,
        gain: Gain,
        group_norm: GroupNorm,
        hard_sigmoid: HardSigmoid,
        layer_shift: LayerShift,
        leaky_relu: LeakyRelu,
        lengths: MeanOfFirst,
        masked_attend: MaskedAttend,
        matmul: Matmul,
        merge_windows: MergeWindows,
        mish: Mish,
        pixel_shuffle: PixelShuffle,
        prelu: Prelu,
        reshape: Reshape,
        rms_norm: RmsNorm,
        roll: Roll,
        selu: Selu,
        sinusoidal_positions: SinusoidalPositions,
        slice: Slice,
        softmax: Softmax,
        rotary: Rotary,
        softplus: Softplus,
        subtract: Subtract,
        tanh: Tanh,
        token: Token,
        unflatten: Unflatten,
        upsample: Upsample,
        windows: Windows,
        zero_channels: ZeroChannels,
        zero_pad: ZeroPad,
    }
}
