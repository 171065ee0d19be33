//! dfdx's devices and the executors that run layers for them.

use crate::scalar::Scalar;
use dfdx::shapes::{HasShape, Shape};
use dfdx::tensor::{Gradients, HasErr, Tensor};
use dfdx::tensor_ops::Device;
use ksdsl_engine::Exec;
use ksdsl_engine::update::Updates;

/// The storage of activations and parameters while layers run on a device.
pub type Buf<E, D> = <<D as Backend<E>>::Exec as Exec<E>>::Buf;

/// An error of a device's executor.
pub type ExecError<E, D> = <<D as Backend<E>>::Exec as Exec<E>>::Err;

/// A dfdx device on which the layer operations exist: the bound of generic code, `D: Backend<E>`.
///
/// Its methods are internal and may change in any release: they are where dfdx's tensors and gradients become buffers
/// of an executor and back.
pub trait Backend<E: Scalar>: Device<E> {
    /// What runs the layers.
    #[doc(hidden)]
    type Exec: Updates<E>;

    /// The executor of this device.
    #[doc(hidden)]
    fn exec(&self) -> Result<Self::Exec, Self::Err>;
    /// An error of the executor as one of the device.
    #[doc(hidden)]
    fn failed(error: ExecError<E, Self>) -> Self::Err;

    /// Copies a tensor's values, in logical (row-major) order.
    #[doc(hidden)]
    fn read_tensor<S: Shape, T>(&self, tensor: &Tensor<S, E, Self, T>) -> Result<Buf<E, Self>, Self::Err>;
    /// Makes a tensor of a buffer that holds its values in row-major order.
    #[doc(hidden)]
    fn make_tensor<S: Shape>(&self, buf: Buf<E, Self>, shape: S) -> Result<Tensor<S, E, Self>, Self::Err>;
    /// Gives a tensor these values, in row-major order. Where the device can, the tensor stays the one it
    /// is for gradients that were made for it; otherwise gradients must be made anew.
    #[doc(hidden)]
    fn set_tensor<S: Shape>(&self, tensor: &mut Tensor<S, E, Self>, values: Buf<E, Self>) -> Result<(), Self::Err> {
        *tensor = self.make_tensor(values, *tensor.shape())?;
        Ok(())
    }
    /// Adds `buf` to the gradient of `tensor`, which must be contiguous (call `try_contiguous` on a
    /// traced input first: dfdx keeps gradients in the physical order of the tensor, and neither its
    /// strides nor its `GhostTensor` are public).
    #[doc(hidden)]
    fn add_to_gradient<S: Shape>(
        &self,
        gradients: &mut Gradients<E, Self>,
        tensor: &Tensor<S, E, Self>,
        buf: Buf<E, Self>,
    ) -> Result<(), Self::Err>;
    /// Takes the gradient of `tensor`, which must be contiguous, out of `gradients`.
    #[doc(hidden)]
    fn take_gradient<S: Shape>(
        &self,
        gradients: &mut Gradients<E, Self>,
        tensor: &Tensor<S, E, Self>,
    ) -> Result<Buf<E, Self>, Self::Err>;
}

/// The outcome of an operation of the executor as one of the device.
pub(crate) fn on_device<E: Scalar, D: Backend<E>, R>(
    outcome: Result<R, ExecError<E, D>>,
) -> Result<R, <D as HasErr>::Err> {
    outcome.map_err(D::failed)
}
