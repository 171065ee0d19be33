//! The tensors of a model as parameters of layers.
//!
//! A private parameter is bound at its one use. A shared one is bound once per forward pass
//! ([`Bound`]) and then passed to all its visits: each visit's backward operation adds to the same
//! buffer, and one last operation moves the sum into dfdx's `Gradients`.

use crate::act::Context;
use crate::backend::Backend;
use crate::scalar::Scalar;
use dfdx::shapes::{HasShape, Rank1, Shape};
use dfdx::tensor::{SplitTape, Tape, Tensor};
use dfdx::tensor_ops::ReshapeTo;
use ksdsl_engine::{Exec, Param, Weight};
use std::marker::PhantomData;
use std::rc::Rc;

/// A tensor's address, by which a prepared model keeps its kernel: a borrow keeps the tensor in place.
pub(crate) fn address<T: ?Sized>(tensor: &T) -> usize {
    std::ptr::from_ref(tensor).addr()
}

/// Reads a tensor and records the operation that adds the gathered gradient to the tensor's.
/// dfdx runs operations in the reverse of the order they were recorded in, on whatever tapes
/// of one pass; so this one, recorded before every use, runs after all of them.
pub(crate) fn bind<S: Shape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    tensor: &Tensor<S, E, D>,
    context: &mut Context<E, D, T>,
) -> Result<Param<E, D::Exec>, D::Err> {
    let (exec, len) = (context.exec.clone(), tensor.shape().num_elements());
    let read = |tensor: &Tensor<S, E, D>| Ok::<_, D::Err>(exec.kernel(tensor.device().read_tensor(tensor)?));
    if let (Some(kernels), false) = (&context.kernels, T::OWNS_TAPE) {
        let kernel = kernels.param(address(tensor), || read(tensor))?;
        return Ok(Param::new(kernel, len, false));
    }
    let (key, in_loop) = (address(tensor), context.in_loop.clone());
    if let Some(param) = in_loop.as_ref().and_then(|bound| bound.param(key)) {
        return Ok(param);
    }
    // dfdx keeps a gradient in its tensor's physical order; no copy when that is the logical one.
    let (tensor, reordering) = tensor.retaped::<T>().try_contiguous()?.split_tape();
    let tape = std::mem::take(&mut context.tape.tape).merge(reordering);
    context.tape.tape = tape;
    let param = Param::new(Rc::new(read(&tensor)?), len, T::OWNS_TAPE);
    if let Some(bound) = in_loop {
        bound.keep(key, &param);
    }
    if T::OWNS_TAPE {
        let (exec, param) = (context.exec.clone(), param.clone());
        context
            .tape
            .tape
            .add_backward_op(move |gradients| match param.take_gradient(&exec).map_err(D::failed)? {
                Some(sum) => tensor.device().add_to_gradient(gradients, &tensor, sum),
                None => Ok(()),
            });
    }
    Ok(param)
}

/// A shared parameter of shape `S`, bound for one forward pass.
#[derive(Clone, Debug)]
pub struct Bound<S: Shape, E: Scalar, D: Backend<E>> {
    param: Param<E, D::Exec>,
    shape: PhantomData<S>,
}

impl<S: Shape, E: Scalar, D: Backend<E>> Bound<S, E, D> {
    /// Reads `tensor` for all visits of this pass. Bind before the first visit.
    pub fn new<T: Tape<E, D>>(tensor: &Tensor<S, E, D>, context: &mut Context<E, D, T>) -> Result<Self, D::Err> {
        Ok(Self {
            param: bind(tensor, context)?,
            shape: PhantomData,
        })
    }
}

/// What a layer accepts as a parameter of shape `S`: a tensor of its own or a shared one.
pub trait ParamArg<S: Shape, E: Scalar, D: Backend<E>> {
    /// The parameter, bound for this pass.
    fn bind<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Param<E, D::Exec>, D::Err>;
}

impl<S: Shape, E: Scalar, D: Backend<E>> ParamArg<S, E, D> for &Tensor<S, E, D> {
    fn bind<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Param<E, D::Exec>, D::Err> {
        bind(self, context)
    }
}

impl<S: Shape, E: Scalar, D: Backend<E>> ParamArg<S, E, D> for &Bound<S, E, D> {
    fn bind<T: Tape<E, D>>(self, _: &mut Context<E, D, T>) -> Result<Param<E, D::Exec>, D::Err> {
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
    fn bind_bias<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Option<Param<E, D::Exec>>, D::Err>;
}

impl<const O: usize, E: Scalar, D: Backend<E>> BiasArg<O, E, D> for NoBias {
    fn bind_bias<T: Tape<E, D>>(self, _: &mut Context<E, D, T>) -> Result<Option<Param<E, D::Exec>>, D::Err> {
        Ok(None)
    }
}

impl<const O: usize, E: Scalar, D: Backend<E>> BiasArg<O, E, D> for &Tensor<Rank1<O>, E, D> {
    fn bind_bias<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Option<Param<E, D::Exec>>, D::Err> {
        self.bind(context).map(Some)
    }
}

impl<const O: usize, E: Scalar, D: Backend<E>> BiasArg<O, E, D> for &Bound<Rank1<O>, E, D> {
    fn bind_bias<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Option<Param<E, D::Exec>>, D::Err> {
        self.bind(context).map(Some)
    }
}

/// What a convolution or linear layer accepts as its kernel of shape `S`: a tensor of its own, a shared one, or what a
/// visit makes of it ([`LowRank`], [`Combined`], [`View`]).
///
/// [`LowRank`]: crate::visit::LowRank
/// [`Combined`]: crate::visit::Combined
/// [`View`]: crate::visit::View
pub trait WeightArg<S: Shape, E: Scalar, D: Backend<E>> {
    /// The kernel, bound for this pass.
    fn bind_weight<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Weight<E, D::Exec>, D::Err>;
}

impl<S: Shape, E: Scalar, D: Backend<E>> WeightArg<S, E, D> for &Tensor<S, E, D> {
    fn bind_weight<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Weight<E, D::Exec>, D::Err> {
        self.bind(context).map(Weight::from)
    }
}

impl<S: Shape, E: Scalar, D: Backend<E>> WeightArg<S, E, D> for &Bound<S, E, D> {
    fn bind_weight<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Weight<E, D::Exec>, D::Err> {
        self.bind(context).map(Weight::from)
    }
}
