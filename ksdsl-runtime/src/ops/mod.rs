//! The layer operations, typed: input, output and parameter shapes are checked by the compiler.
//!
//! Where types alone cannot say it (an output size is arithmetic on others), an inline `const`
//! assertion does, when the operation is compiled for its sizes. Each operation computes its
//! output on the device and records one backward operation on dfdx's tape.
//!
//! A shape that does not fit is a compile error, here an output that is too high:
//!
//! ```compile_fail,E0080
//! use ksdsl_runtime::generated::*;
//! use ksdsl_runtime::prelude::*;
//!
//! let device = Cpu::default();
//! let weight: Tensor<Rank4<2, 3, 3, 3>, f32, _> = device.sample_normal();
//! let x: Tensor<Rank4<1, 3, 8, 8>, f32, _> = device.sample_normal();
//! // Without padding, 8 - 3 + 1 = 6 rows remain, not 7.
//! let y: Map<Const<1>, 2, 7, 6, _, _> =
//!     op::Conv::<Stride<1, 1>, Pad<0, 0, 0, 0>, Dilation<1, 1>, 1>::apply(
//!         Act::read(x).unwrap(),
//!         &weight,
//!         NoBias,
//!     )
//!     .unwrap();
//! ```
//!
//! and here a sum of maps that differ in size:
//!
//! ```compile_fail,E0308
//! use ksdsl_runtime::generated::*;
//! use ksdsl_runtime::prelude::*;
//!
//! let device = Cpu::default();
//! let a: Tensor<Rank4<1, 3, 8, 8>, f32, _> = device.sample_normal();
//! let b: Tensor<Rank4<1, 3, 4, 4>, f32, _> = device.sample_normal();
//! let y = op::add(Act::read(a).unwrap(), Act::read(b).unwrap()).unwrap();
//! ```

mod activation;
mod apply;
mod attention;
mod combine;
mod concat;
mod conv;
mod conv_transpose;
mod dropout;
mod flatten;
mod linear;
mod pool;
mod scale;
mod tokens;
mod window;

pub use activation::{gelu, gelu_tanh, hard_swish, relu, relu6, sigmoid, silu};
pub use apply::{apply, apply_pair, apply_with};
pub use attention::{Attend, biased_attend, masked_attend, position_embedding, position_embedding_of_tokens};
pub use combine::{add, gate, gate_positions, multiply};
pub use concat::{ConcatShape, concat};
pub use conv::Conv;
pub use conv_transpose::conv_transpose;
pub use dropout::{dropout, noise, stochastic_depth};
pub use flatten::flatten;
pub use ksdsl_engine::ops::composed::*;
pub use ksdsl_engine::ops::{ConvTranspose, LayerNorm};
pub use linear::{linear, linear_at};
pub use pool::{AvgPool, MaxPool, global_avg_pool, global_max_pool};
pub use scale::{layer_scale, scale};
pub use tokens::{class_token, embedding};
pub use window::{Dilation, DilationArg, Kernel, KernelArg, Pad, PadArg, Stride, StrideArg};
