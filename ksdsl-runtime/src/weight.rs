//! The kernels of convolutions and linear layers: a parameter, or one with an addition of low rank that a
//! visit has of its own (Hu et al. 2021, LoRA, arXiv 2106.09685, section 4.1).
//!
//! The kernel `[out][in / groups][ky][kx]` is a matrix of `out` rows, and the visit's kernel is
//! `K + B A` with `B` `[out][rank]` and `A` `[rank][in / groups * ky * kx]`. The sum is made, rather than two
//! more convolutions run: it costs `out * rank * columns` products for a pass of whatever batch, and what
//! follows the convolution is still one pass over memory. It is recomputed in the backward pass, so that a
//! visit's kernel does not live longer than its layer runs. By the chain rule `K` gets the gradient `G` of the
//! sum, `A` gets `B^T G` and `B` gets `G A^T`.

use crate::act::Context;
use crate::backend::{Backend, ConvTail};
use crate::geometry::{Algorithm, ConvSize, MapSize, Window};
use crate::param::{Bound, Param, ParamArg};
use crate::scalar::Scalar;
use dfdx::shapes::{Rank2, Rank4, Shape};
use dfdx::tensor::{Tape, Tensor};
use std::rc::Rc;

/// What a convolution or linear layer accepts as its kernel of shape `S`: a tensor of its own, a shared one,
/// or a [`LowRank`].
pub trait WeightArg<S: Shape, E: Scalar, D: Backend<E>> {
    /// The kernel, bound for this pass.
    fn bind_weight<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Weight<E, D>, D::Err>;
}

impl<S: Shape, E: Scalar, D: Backend<E>> WeightArg<S, E, D> for &Tensor<S, E, D> {
    fn bind_weight<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Weight<E, D>, D::Err> {
        self.bind(context).map(Weight::of)
    }
}

impl<S: Shape, E: Scalar, D: Backend<E>> WeightArg<S, E, D> for &Bound<S, E, D> {
    fn bind_weight<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Weight<E, D>, D::Err> {
        self.bind(context).map(Weight::of)
    }
}

/// A kernel with a private low-rank addition of a visit: `kernel + b a`. LoRA implementations multiply the addition by
/// `alpha / rank`; this one does not.
#[derive(Clone, Copy, Debug)]
pub struct LowRank<K, A, B> {
    kernel: K,
    a: A,
    b: B,
}

impl<K, A, B> LowRank<K, A, B> {
    /// A kernel (a tensor or a [`Bound`]) with the addition `b a`; `a` is `[rank][in / groups * ky * kx]`, `b`
    /// `[out][rank]`.
    pub fn new(kernel: K, a: A, b: B) -> Self {
        Self { kernel, a, b }
    }
}

/// The factors that fit a kernel of `O` rows and `N` columns.
type A<'p, const R: usize, const N: usize, E, D> = &'p Tensor<Rank2<R, N>, E, D>;
type B<'p, const O: usize, const R: usize, E, D> = &'p Tensor<Rank2<O, R>, E, D>;

impl<const O: usize, const I: usize, const H: usize, const W: usize, const R: usize, const N: usize, K, E, D>
    WeightArg<Rank4<O, I, H, W>, E, D> for LowRank<K, A<'_, R, N, E, D>, B<'_, O, R, E, D>>
where
    K: ParamArg<Rank4<O, I, H, W>, E, D>,
    E: Scalar,
    D: Backend<E>,
{
    fn bind_weight<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Weight<E, D>, D::Err> {
        const { assert!(N == I * H * W, "the factor A must have a column for each tap") }
        let kernel = self.kernel.bind(context)?;
        Weight::sum(kernel, self.a, self.b, context)
    }
}

impl<const O: usize, const R: usize, const N: usize, K, E, D> WeightArg<Rank2<O, N>, E, D>
    for LowRank<K, A<'_, R, N, E, D>, B<'_, O, R, E, D>>
where
    K: ParamArg<Rank2<O, N>, E, D>,
    E: Scalar,
    D: Backend<E>,
{
    fn bind_weight<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Weight<E, D>, D::Err> {
        let kernel = self.kernel.bind(context)?;
        Weight::sum(kernel, self.a, self.b, context)
    }
}

/// The kernel of one layer, bound for one pass.
#[derive(Debug)]
pub struct Weight<E: Scalar, D: Backend<E>>(Kind<E, D>);

#[derive(Debug)]
enum Kind<E: Scalar, D: Backend<E>> {
    /// A parameter.
    Param(Param<E, D>),
    /// A sum that a prepared model keeps.
    Kept(Rc<D::Kernel>),
    /// A sum that is made where it is needed.
    Sum(Box<Sum<E, D>>),
}

impl<E: Scalar, D: Backend<E>> Weight<E, D> {
    fn of(param: Param<E, D>) -> Self {
        Self(Kind::Param(param))
    }

    /// `kernel + b a`.
    fn sum<const O: usize, const R: usize, const N: usize, T: Tape<E, D>>(
        kernel: Param<E, D>,
        a: A<'_, R, N, E, D>,
        b: B<'_, O, R, E, D>,
        context: &mut Context<E, D, T>,
    ) -> Result<Self, D::Err> {
        let bind = |context: &mut Context<E, D, T>| {
            Ok(Sum {
                size: product([O, R, N]),
                kernel,
                a: a.bind(context)?,
                b: b.bind(context)?,
            })
        };
        match context.kernels.clone().filter(|_| !T::OWNS_TAPE) {
            Some(kernels) => {
                let made = kernels.sum(b, || bind(context)?.make(&context.device.clone()))?;
                Ok(Self(Kind::Kept(made)))
            }
            None => bind(context).map(|sum| Self(Kind::Sum(Box::new(sum)))),
        }
    }

    /// The kernel in the forms that operations want.
    pub(crate) fn kernel(&self, device: &D) -> Result<Rc<D::Kernel>, D::Err> {
        match &self.0 {
            Kind::Param(param) => Ok(param.kernel()),
            Kind::Kept(kernel) => Ok(kernel.clone()),
            Kind::Sum(sum) => sum.make(device).map(Rc::new),
        }
    }

    /// Calls `f` with the gradient gathered so far, for it to add to.
    pub(crate) fn accumulate(
        &self,
        device: &D,
        f: impl FnOnce(&mut D::KernelGradient) -> Result<(), D::Err>,
    ) -> Result<(), D::Err> {
        match &self.0 {
            Kind::Param(param) => param.accumulate(device, f),
            Kind::Kept(_) => Ok(()),
            Kind::Sum(sum) => sum.accumulate(device, f),
        }
    }
}

/// The sum of a kernel and a product of two factors.
#[derive(Debug)]
struct Sum<E: Scalar, D: Backend<E>> {
    /// The linear layer of the weights `A` whose data gradient for `B` is `B A`.
    size: ConvSize,
    kernel: Param<E, D>,
    a: Param<E, D>,
    b: Param<E, D>,
}

/// Rows of the kernel as a batch of maps of one pixel: `columns` channels come in, `rank` go out.
fn product([rows, rank, columns]: [usize; 3]) -> ConvSize {
    let map = |channels| MapSize {
        batch: rows,
        height: 1,
        width: 1,
        channels,
    };
    ConvSize {
        input: map(columns),
        output: map(rank),
        window: Window {
            kernel: [1; 2],
            stride: [1; 2],
            pad: [0; 2],
            dilation: [1; 2],
        },
        groups: 1,
        algorithm: Algorithm::Auto,
        unit: None,
    }
}

impl<E: Scalar, D: Backend<E>> Sum<E, D> {
    /// `K + B A`.
    fn make(&self, device: &D) -> Result<D::Kernel, D::Err> {
        let kernel = Some(self.kernel.values().clone());
        let sum = device.conv_backward_data(self.size, &self.a.kernel(), self.b.values(), kernel)?;
        Ok(device.kernel(sum))
    }

    fn accumulate(
        &self,
        device: &D,
        f: impl FnOnce(&mut D::KernelGradient) -> Result<(), D::Err>,
    ) -> Result<(), D::Err> {
        let mut gradient = device.gradient(self.kernel.len())?;
        f(&mut gradient)?;
        let gradient = device.gradient_values(gradient)?;
        self.a.accumulate(device, |da| {
            device.conv_backward_weight(self.size, &gradient, self.b.values(), da)
        })?;
        let of_b = device.conv_forward(self.size, &gradient, &self.a.kernel(), None, ConvTail::default())?;
        self.b.add(device, of_b)?;
        self.kernel.add(device, gradient)
    }
}
