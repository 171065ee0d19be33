//! Every name that generated code uses, and nothing else: generated modules call it `rt`.

pub use crate::act::{Act, Context, Flat, Map};
pub use crate::backend::Backend;
pub use crate::bank::Bank;
pub use crate::init;
pub use crate::network::{Generated, Infer, Network, SharedKernel};
pub use crate::norm::{BatchNorm, LayerNorm};
pub use crate::ops as op;
pub use crate::ops::{Dilation, Kernel, Pad, Stride};
pub use crate::param::{Bound, NoBias};
pub use crate::pass::Pass;
pub use crate::prepared::Prepared;
pub use crate::repeat::{Repeat, repeat_field};
pub use crate::scalar::Scalar;
pub use crate::weight::LowRank;
pub use dfdx::dtypes::Dtype;
pub use dfdx::nn::tensor_collection::{ModuleVisitor, TensorCollection, TensorOptions};
pub use dfdx::nn::{BuildModule, BuildOnDevice, Module, ModuleMut};
pub use dfdx::shapes::{Const, Dim, HasShape, Rank1, Rank2, Rank4, Shape};
pub use dfdx::tensor::{NoneTape, OwnedTape, Storage, Tape, Tensor};
pub use dfdx::tensor_ops::Device;
pub use std::marker::PhantomData;
