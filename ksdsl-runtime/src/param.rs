//! Parameters as the operations use them: read once, their gradients gathered in one buffer.
//!
//! A private parameter is bound at its one use. A shared one is bound once per forward pass
//! ([`Bound`]) and then passed to all its visits: each visit's backward operation adds to the same
//! buffer, and one last operation moves the sum into dfdx's `Gradients`.

use crate::act::GradCell;
use crate::backend::Backend;
use crate::scalar::Scalar;
use dfdx::shapes::{HasShape, Rank1, Shape};
use dfdx::tensor::{SplitTape, Tape, Tensor};
use dfdx::tensor_ops::ReshapeTo;
use std::marker::PhantomData;
use std::rc::Rc;

/// A parameter's values on the device, and its gradient in the making.
#[derive(Clone, Debug)]
pub struct Param<E: Scalar, D: Backend<E>> {
    data: Rc<D::Buf>,
    grad: GradCell<D::Buf>,
    len: usize,
}

impl<E: Scalar, D: Backend<E>> Param<E, D> {
    /// Reads `tensor` and records the operation that adds the gathered gradient to the tensor's.
    /// dfdx runs operations in the reverse of the order they were recorded in, on whatever tapes
    /// of one pass; so this one, recorded before every use, runs after all of them.
    fn new<S: Shape, T: Tape<E, D>>(tensor: &Tensor<S, E, D>, tape: &mut T) -> Result<Self, D::Err> {
        // dfdx keeps a gradient in its tensor's physical order; no copy when that is the logical one.
        let (tensor, reordering) = tensor.retaped::<T>().try_contiguous()?.split_tape();
        *tape = std::mem::take(tape).merge(reordering);
        let param = Self {
            data: Rc::new(tensor.device().read_tensor(&tensor)?),
            grad: GradCell::new(T::OWNS_TAPE),
            len: tensor.shape().num_elements(),
        };
        if T::OWNS_TAPE {
            let grad = param.grad.clone();
            tape.add_backward_op(move |gradients| match grad.take() {
                Some(sum) => tensor.device().add_to_gradient(gradients, &tensor, sum),
                None => Ok(()),
            });
        }
        Ok(param)
    }

    /// The values, as PyTorch lays them out.
    pub fn data(&self) -> &D::Buf {
        &self.data
    }

    /// Calls `f` with the gradient gathered so far, for it to add to.
    pub(crate) fn accumulate(
        &self,
        device: &D,
        f: impl FnOnce(&mut D::Buf) -> Result<(), D::Err>,
    ) -> Result<(), D::Err> {
        if !self.grad.is_attached() {
            return Ok(());
        }
        let mut sum = match self.grad.take() {
            Some(sum) => sum,
            None => Backend::zeroed(device, self.len)?,
        };
        f(&mut sum)?;
        self.grad.put(sum);
        Ok(())
    }
}

/// A shared parameter of shape `S`, bound for one forward pass.
#[derive(Clone, Debug)]
pub struct Bound<S: Shape, E: Scalar, D: Backend<E>> {
    param: Param<E, D>,
    shape: PhantomData<S>,
}

impl<S: Shape, E: Scalar, D: Backend<E>> Bound<S, E, D> {
    /// Reads `tensor` for all visits of this pass. Bind on the pass's tape before the first visit.
    pub fn new<T: Tape<E, D>>(tensor: &Tensor<S, E, D>, tape: &mut T) -> Result<Self, D::Err> {
        Ok(Self {
            param: Param::new(tensor, tape)?,
            shape: PhantomData,
        })
    }
}

/// What a layer accepts as a parameter of shape `S`: a tensor of its own or a shared one.
pub trait ParamArg<S: Shape, E: Scalar, D: Backend<E>> {
    /// The parameter, bound for this pass.
    fn bind<T: Tape<E, D>>(self, tape: &mut T) -> Result<Param<E, D>, D::Err>;
}

impl<S: Shape, E: Scalar, D: Backend<E>> ParamArg<S, E, D> for &Tensor<S, E, D> {
    fn bind<T: Tape<E, D>>(self, tape: &mut T) -> Result<Param<E, D>, D::Err> {
        Param::new(self, tape)
    }
}

impl<S: Shape, E: Scalar, D: Backend<E>> ParamArg<S, E, D> for &Bound<S, E, D> {
    fn bind<T: Tape<E, D>>(self, _: &mut T) -> Result<Param<E, D>, D::Err> {
        Ok(self.param.clone())
    }
}

/// Says that a layer has no bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoBias;

/// What a layer of `O` outputs accepts as its bias: [`NoBias`], a tensor of its own or a shared
/// one.
pub trait BiasArg<const O: usize, E: Scalar, D: Backend<E>> {
    /// The bias, if any, bound for this pass.
    fn bind_bias<T: Tape<E, D>>(self, tape: &mut T) -> Result<Option<Param<E, D>>, D::Err>;
}

impl<const O: usize, E: Scalar, D: Backend<E>> BiasArg<O, E, D> for NoBias {
    fn bind_bias<T: Tape<E, D>>(self, _: &mut T) -> Result<Option<Param<E, D>>, D::Err> {
        Ok(None)
    }
}

impl<const O: usize, E: Scalar, D: Backend<E>> BiasArg<O, E, D> for &Tensor<Rank1<O>, E, D> {
    fn bind_bias<T: Tape<E, D>>(self, tape: &mut T) -> Result<Option<Param<E, D>>, D::Err> {
        self.bind(tape).map(Some)
    }
}

impl<const O: usize, E: Scalar, D: Backend<E>> BiasArg<O, E, D> for &Bound<Rank1<O>, E, D> {
    fn bind_bias<T: Tape<E, D>>(self, tape: &mut T) -> Result<Option<Param<E, D>>, D::Err> {
        self.bind(tape).map(Some)
    }
}
