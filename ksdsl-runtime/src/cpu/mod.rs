//! The CPU kernels: NHWC, generic over [`crate::Scalar`], parallel over rayon.
//!
//! Results do not depend on the number of threads: work is cut by sizes alone, each element is
//! computed by one task, and sums over several tasks are added in the order of the parts
//! (see `par`).

mod activation;
mod backend;
mod buf;
mod conv;
mod conv_method;
mod depthwise;
mod elementwise;
mod im2col;
mod layout;
mod linear;
mod matmul;
mod norm;
mod par;
mod pool;
mod simd;
pub(crate) mod special;
mod winograd;

pub use buf::{CpuBuf, Pool};
#[doc(hidden)]
pub use conv_method::{WinogradChoice, with_winograd};
