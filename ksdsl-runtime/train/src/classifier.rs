//! The trait bound for generated image classifiers.

use crate::data::{Images, Targets};
use ksdsl_runtime::Backend;
use ksdsl_runtime::dfdx::nn::tensor_collection::TensorCollection;
use ksdsl_runtime::dfdx::nn::{Module, ModuleMut};
use ksdsl_runtime::dfdx::tensor::{Cpu, OwnedTape};
use ksdsl_runtime::network::Generated;

/// An image classifier in `f32` on a device `D`: every generated network with `input C x H x W` and `K` outputs
/// (logits).
pub trait Classifier<const C: usize, const H: usize, const W: usize, const K: usize, D: Backend<f32> = Cpu>:
    TensorCollection<f32, D>
    + Generated
    + Module<Images<C, H, W, f32, D>, Output = Targets<K, f32, D>, Error = D::Err>
    + ModuleMut<
        Images<C, H, W, f32, D, OwnedTape<f32, D>>,
        Output = Targets<K, f32, D, OwnedTape<f32, D>>,
        Error = D::Err,
    >
{
}

impl<M, const C: usize, const H: usize, const W: usize, const K: usize, D> Classifier<C, H, W, K, D> for M
where
    D: Backend<f32>,
    M: TensorCollection<f32, D>
        + Generated
        + Module<Images<C, H, W, f32, D>, Output = Targets<K, f32, D>, Error = D::Err>
        + ModuleMut<
            Images<C, H, W, f32, D, OwnedTape<f32, D>>,
            Output = Targets<K, f32, D, OwnedTape<f32, D>>,
            Error = D::Err,
        >,
{
}
