//! Optimisers with serialisable state, so that training resumes exactly; gradient clipping; weight averaging.
//!
//! [`Optimiser`] implements dfdx's `Optimizer` trait and can replace dfdx's `Sgd` and `Adam`.
//!
//! ```
//! use ksdsl_runtime::prelude::*;
//! use ksdsl_train::optim::{self, Optimiser};
//!
//! let device = Cpu::default();
//! let mut model: Tensor<Rank1<3>, f32, _> = device.tensor([1.0, -2.0, 3.0]);
//! let mut optimiser = Optimiser::new(optim::Sgd { decay: 0.0, ..Default::default() });
//! optimiser.rate = 0.1;
//! let mut gradients = model.alloc_grads();
//! for _ in 0..100 {
//!     gradients = model.trace(gradients).square().sum().backward();
//!     optimiser.update(&mut model, &gradients)?;
//!     model.zero_grads(&mut gradients);
//! }
//! assert!(model.array().iter().all(|x| x.abs() < 1e-2));
//! # Ok::<(), OptimizerUpdateError<CpuError>>(())
//! ```

mod average;
mod optimiser;
mod tensors;

pub use average::Average;
pub use ksdsl_train_core::optim::{AdamW, Averaging, Decayed, Method, Sgd, Statistics};
pub use optimiser::Optimiser;
#[doc(hidden)]
pub use tensors::non_finite;
pub(crate) use tensors::{read, slots, write};
