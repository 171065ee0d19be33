//! The training loss.

use crate::data::Targets;
use ksdsl_runtime::dfdx::dtypes::Dtype;
use ksdsl_runtime::dfdx::losses::cross_entropy_with_logits_loss;
use ksdsl_runtime::dfdx::shapes::Rank0;
use ksdsl_runtime::dfdx::tensor::{Tape, Tensor};
use ksdsl_runtime::dfdx::tensor_ops::Device;

/// The mean over the images of `-sum(target * log(softmax(logits)))`, as PyTorch's `cross_entropy` with
/// probabilities as targets. Targets from label smoothing, mixup and cutmix are supported.
pub fn cross_entropy<const K: usize, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    logits: Targets<K, E, D, T>,
    targets: Targets<K, E, D>,
) -> Tensor<Rank0, E, D, T> {
    cross_entropy_with_logits_loss(logits, targets)
}
