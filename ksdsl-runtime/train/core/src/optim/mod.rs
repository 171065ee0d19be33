//! Optimisers with serialisable state, so that training resumes exactly; gradient clipping; weight averaging. On buffers
//! of an executor: `ksdsl-train` has them for dfdx's models.

mod average;
mod method;
mod optimiser;
mod stored;

pub use average::{Average, Averaging, Statistics};
pub use method::{AdamW, Method, Sgd};
pub use optimiser::{Decayed, Optimiser};
#[doc(hidden)]
pub use stored::{floats, stored};
