//! Parameters as the operations use them: read once, their gradients gathered in one buffer.
//!
//! A private parameter is bound at its one use. A shared one is bound once per forward pass
//! ([`Bound`]) and then passed to all its visits: each visit's backward operation adds to the same
//! buffer, and one last operation moves the sum into dfdx's `Gradients`.

use crate::act::Context;
use crate::backend::Backend;
use crate::prepared;
use crate::scalar::Scalar;
use dfdx::shapes::{HasShape, Rank1, Shape};
use dfdx::tensor::{SplitTape, Tape, Tensor};
use dfdx::tensor_ops::ReshapeTo;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

/// A parameter's gradient in the making.
type GradientCell<E, D> = Rc<RefCell<Option<<D as Backend<E>>::KernelGradient>>>;

/// A parameter's values on the device, in whatever forms the visits want them, and its gradient in
/// the making.
#[derive(Debug)]
pub struct Param<E: Scalar, D: Backend<E>> {
    kernel: Rc<D::Kernel>,
    /// `None` where no tape records.
    grad: Option<GradientCell<E, D>>,
    len: usize,
}

impl<E: Scalar, D: Backend<E>> Clone for Param<E, D> {
    fn clone(&self) -> Self {
        Self {
            kernel: self.kernel.clone(),
            grad: self.grad.clone(),
            len: self.len,
        }
    }
}

impl<E: Scalar, D: Backend<E>> Param<E, D> {
    /// Reads `tensor` and records the operation that adds the gathered gradient to the tensor's.
    /// dfdx runs operations in the reverse of the order they were recorded in, on whatever tapes
    /// of one pass; so this one, recorded before every use, runs after all of them.
    fn new<S: Shape, T: Tape<E, D>>(tensor: &Tensor<S, E, D>, context: &mut Context<E, D, T>) -> Result<Self, D::Err> {
        let len = tensor.shape().num_elements();
        if let (Some(kernels), false) = (&context.kernels, T::OWNS_TAPE) {
            return Ok(Self {
                kernel: kernels.of(tensor)?,
                grad: None,
                len,
            });
        }
        // dfdx keeps a gradient in its tensor's physical order; no copy when that is the logical one.
        let (tensor, reordering) = tensor.retaped::<T>().try_contiguous()?.split_tape();
        context.tape = std::mem::take(&mut context.tape).merge(reordering);
        let param = Self {
            kernel: Rc::new(prepared::read(&tensor)?),
            grad: T::OWNS_TAPE.then(Rc::default),
            len,
        };
        if let Some(grad) = param.grad.clone() {
            context.tape.add_backward_op(move |gradients| match grad.take() {
                Some(sum) => {
                    let device = tensor.device();
                    let sum = device.gradient_values(sum)?;
                    device.add_to_gradient(gradients, &tensor, sum)
                }
                None => Ok(()),
            });
        }
        Ok(param)
    }

    /// The kernel.
    pub(crate) fn kernel(&self) -> Rc<D::Kernel> {
        self.kernel.clone()
    }

    /// The number of values it has.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The values, as PyTorch lays them out.
    pub fn values(&self) -> &D::Buf {
        D::kernel_values(&self.kernel)
    }

    /// Calls `f` with the gradient gathered so far, for it to add to.
    pub(crate) fn accumulate(
        &self,
        device: &D,
        f: impl FnOnce(&mut D::KernelGradient) -> Result<(), D::Err>,
    ) -> Result<(), D::Err> {
        let Some(cell) = &self.grad else {
            return Ok(());
        };
        // Taken out meanwhile: one parameter may be both of two that are in use together.
        let mut sum = match cell.take() {
            Some(sum) => sum,
            None => device.gradient(self.len)?,
        };
        f(&mut sum)?;
        *cell.borrow_mut() = Some(sum);
        Ok(())
    }

    /// As [`Param::accumulate`], in PyTorch's layout.
    pub(crate) fn accumulate_values(
        &self,
        device: &D,
        f: impl FnOnce(&mut D::Buf) -> Result<(), D::Err>,
    ) -> Result<(), D::Err> {
        self.accumulate(device, |gradient| f(device.gradient_values_mut(gradient)?))
    }

    /// Adds a gradient in PyTorch's layout.
    pub(crate) fn add(&self, device: &D, more: D::Buf) -> Result<(), D::Err> {
        self.accumulate_values(device, |sum| {
            // Out of its place meanwhile: a device adds to what it owns.
            let held = std::mem::replace(sum, Backend::zeroed(device, 0)?);
            *sum = device.add(held, &more)?;
            Ok(())
        })
    }
}

/// A shared parameter of shape `S`, bound for one forward pass.
#[derive(Clone, Debug)]
pub struct Bound<S: Shape, E: Scalar, D: Backend<E>> {
    param: Param<E, D>,
    shape: PhantomData<S>,
}

impl<S: Shape, E: Scalar, D: Backend<E>> Bound<S, E, D> {
    /// Reads `tensor` for all visits of this pass. Bind before the first visit.
    pub fn new<T: Tape<E, D>>(tensor: &Tensor<S, E, D>, context: &mut Context<E, D, T>) -> Result<Self, D::Err> {
        Ok(Self {
            param: Param::new(tensor, context)?,
            shape: PhantomData,
        })
    }
}

/// What a layer accepts as a parameter of shape `S`: a tensor of its own or a shared one.
pub trait ParamArg<S: Shape, E: Scalar, D: Backend<E>> {
    /// The parameter, bound for this pass.
    fn bind<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Param<E, D>, D::Err>;
}

impl<S: Shape, E: Scalar, D: Backend<E>> ParamArg<S, E, D> for &Tensor<S, E, D> {
    fn bind<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Param<E, D>, D::Err> {
        Param::new(self, context)
    }
}

impl<S: Shape, E: Scalar, D: Backend<E>> ParamArg<S, E, D> for &Bound<S, E, D> {
    fn bind<T: Tape<E, D>>(self, _: &mut Context<E, D, T>) -> Result<Param<E, D>, D::Err> {
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
    fn bind_bias<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Option<Param<E, D>>, D::Err>;
}

impl<const O: usize, E: Scalar, D: Backend<E>> BiasArg<O, E, D> for NoBias {
    fn bind_bias<T: Tape<E, D>>(self, _: &mut Context<E, D, T>) -> Result<Option<Param<E, D>>, D::Err> {
        Ok(None)
    }
}

impl<const O: usize, E: Scalar, D: Backend<E>> BiasArg<O, E, D> for &Tensor<Rank1<O>, E, D> {
    fn bind_bias<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Option<Param<E, D>>, D::Err> {
        self.bind(context).map(Some)
    }
}

impl<const O: usize, E: Scalar, D: Backend<E>> BiasArg<O, E, D> for &Bound<Rank1<O>, E, D> {
    fn bind_bias<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Option<Param<E, D>>, D::Err> {
        self.bind(context).map(Some)
    }
}
