//! Every name that generated code uses, and nothing else: generated modules call it `rt`.
//!
//! # A model by hand
//!
//! Models are usually generated from a `.ksn` description. This is what one looks like: a 3x3
//! kernel with two visits.
//!
//! ```
//! use ksdsl_runtime::generated::{self as rt, *};
//! use ksdsl_runtime::prelude::*;
//!
//! rt::model! {
//!     /// A shared convolution and a linear layer.
//!     pub struct Tiny<E, D> {
//!         /// Visits: `s1.0.conv`, `s1.1.conv`.
//!         #[tensor("conv.weight", uniform(0.1))]
//!         pub conv_weight: Tensor<Rank4<8, 8, 3, 3>, E, D>,
//!         #[tensor("linear.weight", uniform(0.3))]
//!         pub linear_weight: Tensor<Rank2<5, 8>, E, D>,
//!     }
//! }
//!
//! type Conv3x3 = op::Conv<Stride<1, 1>, Pad<1, 1, 1, 1>, Dilation<1, 1>, 1>;
//!
//! impl<B: Dim, E: Scalar, D: Backend<E>, T: Tape<E, D>>
//!     Module<Tensor<(B, Const<8>, Const<16>, Const<16>), E, D, T>> for Tiny<E, D>
//! {
//!     type Output = Tensor<(B, Const<5>), E, D, T>;
//!     type Error = D::Err;
//!
//!     fn try_forward(
//!         &self,
//!         x: Tensor<(B, Const<8>, Const<16>, Const<16>), E, D, T>,
//!     ) -> Result<Self::Output, D::Err> {
//!         let mut x = Act::read(x)?;
//!         let kernel = Bound::new(&self.conv_weight, x.context_mut())?;
//!         for _ in 0..2 {
//!             let y: Map<B, 8, 16, 16, E, D, T> = Conv3x3::apply(x, &kernel, NoBias)?;
//!             x = op::relu(y)?;
//!         }
//!         op::linear(op::global_avg_pool(x)?, &self.linear_weight, NoBias)?.into_tensor()
//!     }
//! }
//!
//! let device = Cpu::seed_from_u64(0);
//! let model = Tiny::<f32, Cpu>::build(&device);
//! assert_eq!(model.num_trainable_params(), 8 * 8 * 9 + 8 * 5);
//!
//! let x: Tensor<(Const<2>, Const<8>, Const<16>, Const<16>), f32, _> = device.sample_normal();
//! let gradients = model.alloc_grads();
//! let loss = model.forward(x.traced(gradients)).square().mean();
//! let gradients = loss.backward();
//! assert!(gradients.get(&model.conv_weight).as_vec().iter().any(|g| *g != 0.0));
//! ```

pub use crate::__loop_stub as loop_stub;
pub use crate::__loop_traits as loop_traits;
pub use crate::__model as model;
pub use crate::__model_traits as model_traits;
pub use crate::__steps as steps;
pub use crate::act::{Act, Context, Flat, Map};
pub use crate::backend::Backend;
pub use crate::bank::Bank;
pub use crate::init;
pub use crate::network::{Generated, Infer, Network, SharedKernel};
pub use crate::norm::{BatchNorm, LayerNorm, PlainBatchNorm};
pub use crate::ops as op;
pub use crate::ops::{Dilation, Kernel, Pad, Stride};
pub use crate::outputs::TapeInFirst;
pub use crate::param::{Bound, NoBias};
pub use crate::pass::Pass;
pub use crate::prepared::Prepared;
pub use crate::repeat::Repeat;
pub use crate::scalar::Scalar;
pub use crate::steps::untaped;
pub use crate::visit::{Combined, LowRank, Standardized, View};
pub use dfdx::dtypes::Dtype;
pub use dfdx::nn::tensor_collection::{ModuleVisitor, TensorCollection, TensorOptions};
pub use dfdx::nn::{BuildModule, BuildOnDevice, Module, ModuleMut};
pub use dfdx::shapes::{Const, Dim, HasShape, Rank1, Rank2, Rank3, Rank4, Rank5, Shape};
pub use dfdx::tensor::{Gradients, NoneTape, OwnedTape, PutTape, Storage, Tape, Tensor, Trace};
pub use dfdx::tensor_ops::Device;
