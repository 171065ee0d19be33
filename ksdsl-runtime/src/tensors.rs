//! The tensors of a model one by one, whatever its type and theirs.
//!
//! dfdx visits the tensors of a model with code that is compiled for each pair of model and visitor. There is one
//! visitor here that reads and one that writes; whatever else a caller wants is a closure, compiled once.

use crate::backend::{Backend, Buf};
use crate::scalar::Scalar;
use dfdx::nn::tensor_collection::{
    RecursiveWalker, TensorCollection, TensorOptions, TensorVisitor, ViewTensorMut, ViewTensorName, ViewTensorRef,
};
use dfdx::shapes::{HasShape, Shape};
use dfdx::tensor::{Gradients, Tensor};
pub use ksdsl_engine::update::Slot;

/// What a model says of a tensor.
fn slot<S: Shape, E: Scalar, D: Backend<E>>(
    options: &TensorOptions<S, E, D>,
    tensor: &Tensor<S, E, D>,
    key: String,
) -> Slot {
    Slot {
        key,
        shape: tensor.shape().concrete().into_iter().collect(),
        trained: options.do_gradient_update,
    }
}

/// A tensor of any shape.
pub trait AnyTensor<E: Scalar, D: Backend<E>> {
    /// Where it is.
    fn on(&self) -> &D;
    /// Its values in row-major order.
    fn values(&self) -> Vec<E>;
    /// Sets its values, given in row-major order.
    ///
    /// # Panics
    /// Where their number is another one.
    fn set_values(&mut self, values: &[E]);
    /// A copy of its values on its device; see [`Backend::read_tensor`].
    fn buffer(&self) -> Result<Buf<E, D>, D::Err>;
    /// Sets its values to those of a buffer; see [`Backend::set_tensor`].
    fn set_buffer(&mut self, values: Buf<E, D>) -> Result<(), D::Err>;
    /// Takes its gradient; see [`Backend::take_gradient`].
    fn take_gradient(&self, gradients: &mut Gradients<E, D>) -> Result<Buf<E, D>, D::Err>;
    /// Its gradient in row-major order; it must have one.
    fn gradient(&self, gradients: &Gradients<E, D>) -> Vec<E>;
}

impl<S: Shape, E: Scalar, D: Backend<E>> AnyTensor<E, D> for Tensor<S, E, D> {
    fn on(&self) -> &D {
        self.device()
    }

    fn values(&self) -> Vec<E> {
        self.as_vec()
    }

    fn set_values(&mut self, values: &[E]) {
        self.copy_from(values);
    }

    fn buffer(&self) -> Result<Buf<E, D>, D::Err> {
        self.device().read_tensor(self)
    }

    fn set_buffer(&mut self, values: Buf<E, D>) -> Result<(), D::Err> {
        let device = self.device().clone();
        device.set_tensor(self, values)
    }

    fn take_gradient(&self, gradients: &mut Gradients<E, D>) -> Result<Buf<E, D>, D::Err> {
        self.device().take_gradient(gradients, self)
    }

    fn gradient(&self, gradients: &Gradients<E, D>) -> Vec<E> {
        gradients.get(self).as_vec()
    }
}

/// Calls `look` with every tensor, in the order of the model's fields; the first error ends the visit.
///
/// # Errors
/// Those of `look`.
pub fn visit<E: Scalar, D: Backend<E>, M: TensorCollection<E, D>>(
    model: &M,
    mut look: impl FnMut(Slot, &dyn AnyTensor<E, D>) -> Result<(), D::Err>,
) -> Result<(), D::Err> {
    let walker = &mut RecursiveWalker {
        m: (model, String::new()),
        f: &mut Reader(&mut look),
    };
    M::iter_tensors(walker).map(|_| ())
}

/// Calls `change` with every tensor, in the order of the model's fields; the first error ends the visit.
///
/// # Errors
/// Those of `change`.
pub fn visit_mut<E: Scalar, D: Backend<E>, M: TensorCollection<E, D>>(
    model: &mut M,
    mut change: impl FnMut(Slot, &mut dyn AnyTensor<E, D>) -> Result<(), D::Err>,
) -> Result<(), D::Err> {
    let walker = &mut RecursiveWalker {
        m: (model, String::new()),
        f: &mut Writer(&mut change),
    };
    M::iter_tensors(walker).map(|_| ())
}

/// A visitor that reads.
#[expect(clippy::type_complexity, reason = "a function")]
struct Reader<'f, E: Scalar, D: Backend<E>>(&'f mut dyn FnMut(Slot, &dyn AnyTensor<E, D>) -> Result<(), D::Err>);

/// A visitor that writes.
#[expect(clippy::type_complexity, reason = "a function")]
struct Writer<'f, E: Scalar, D: Backend<E>>(&'f mut dyn FnMut(Slot, &mut dyn AnyTensor<E, D>) -> Result<(), D::Err>);

impl<E: Scalar, D: Backend<E>> TensorVisitor<E, D> for Reader<'_, E, D> {
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = D::Err;
    type E2 = E;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        options: TensorOptions<S, E, D>,
        (tensor, key): (&Tensor<S, E, D>, String),
    ) -> Result<Option<Tensor<S, E, D>>, D::Err> {
        (self.0)(slot(&options, tensor, key), tensor)?;
        Ok(None)
    }
}

impl<E: Scalar, D: Backend<E>> TensorVisitor<E, D> for Writer<'_, E, D> {
    type Viewer = (ViewTensorMut, ViewTensorName);
    type Err = D::Err;
    type E2 = E;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        options: TensorOptions<S, E, D>,
        (tensor, key): (&mut Tensor<S, E, D>, String),
    ) -> Result<Option<Tensor<S, E, D>>, D::Err> {
        (self.0)(slot(&options, tensor, key), tensor)?;
        Ok(None)
    }
}
