//! The reference: every operation of [`ksdsl_engine::Exec`] in the simplest form.
//!
//! Plain loops over slices, feature maps in **NCHW** (so that layout mistakes of the fast kernels
//! show), parameters as PyTorch lays them out. One thread, no unsafe, no shortcuts: what a kernel
//! is tested against, never what a model runs on. Functions that return weight or bias gradients
//! return them alone; executors add them to what is there.

// Indices as in the formulas.
#![allow(clippy::needless_range_loop)]

pub mod activation;
pub mod attention;
pub mod combine;
pub mod conv;
pub mod linear;
pub mod loops;
pub mod norm;
pub mod pool;

use ksdsl_engine::size::Window;

/// The outputs of a window along one axis, as PyTorch counts them; `None` where there is none.
pub fn outputs_along(window: &Window, axis: usize, len: usize) -> Option<usize> {
    let reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
    let room = (len + 2 * window.pad[axis]).checked_sub(reach)?;
    Some(room / window.stride[axis] + 1)
}
