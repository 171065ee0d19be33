//! What users of generated models need from dfdx: devices, tensors, losses, optimisers, and the
//! traits to build, run, count, save and load a model.

pub use crate::checkpoint;
pub use crate::network::Network;
pub use crate::prepared::Prepared;
pub use crate::steps::{Steps, StepsError, WithSteps};
pub use dfdx::dtypes::Dtype;
pub use dfdx::losses::*;
pub use dfdx::nn::tensor_collection::TensorCollection;
pub use dfdx::nn::{
    BuildModule, BuildOnDevice, DeviceBuildExt, LoadFromNpz, LoadFromSafetensors, ModelEMA, Module, ModuleMut,
    NumParams, ResetParams, SaveToNpz, SaveToSafetensors, ToDevice, ToDtype, ZeroGrads,
};
pub use dfdx::optim::prelude::*;
pub use dfdx::optim::{Adam, AdamConfig, Momentum, RMSprop, RMSpropConfig, Sgd, SgdConfig, WeightDecay};
pub use dfdx::shapes::{Const, Dim, HasShape, Rank0, Rank1, Rank2, Rank3, Rank4, Shape};
pub use dfdx::tensor::{
    AsArray, Cpu, CpuError, Gradients, HasErr, NoneTape, OnesTensor, OwnedTape, SampleTensor, SplitTape, Tape, Tensor,
    TensorFrom, TensorFromVec, Trace, ZerosTensor,
};
#[cfg(feature = "cuda")]
pub use dfdx::tensor::{Cuda, CudaError};
pub use dfdx::tensor_ops::*;
