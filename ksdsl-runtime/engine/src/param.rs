//! Parameters as the operations use them: read once, their gradients gathered in one buffer over all visits.
//!
//! The kernel of a convolution or linear layer is a parameter, or one with an addition of low rank that a visit has of
//! its own (Hu et al. 2021, LoRA, arXiv 2106.09685, section 4.1). The kernel `[out][in / groups][ky][kx]` is a matrix of
//! `out` rows, and the visit's kernel is `K + B A` with `B` `[out][rank]` and `A` `[rank][in / groups * ky * kx]`. The sum
//! is made, rather than two more convolutions run: it costs `out * rank * columns` products for a pass of whatever
//! batch, and what follows the convolution is still one pass over memory. It is recomputed in the backward pass, so
//! that a visit's kernel does not live longer than its layer runs. By the chain rule `K` gets the gradient `G` of the
//! sum, `A` gets `B^T G` and `B` gets `G A^T`.

use crate::exec::{ConvTail, Exec};
use crate::real::Real;
use crate::size::{ConvSize, MapSize};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

/// A parameter's gradient in the making.
type GradientCell<E, X> = Rc<RefCell<Option<<X as Exec<E>>::KernelGradient>>>;

/// A parameter's values, in whatever forms the visits want them, and its gradient in the making. Clones share both.
#[derive(Debug)]
pub struct Param<E: Real, X: Exec<E>> {
    kernel: Rc<X::Kernel>,
    /// `None` where no tape records.
    grad: Option<GradientCell<E, X>>,
    len: usize,
}

impl<E: Real, X: Exec<E>> Clone for Param<E, X> {
    fn clone(&self) -> Self {
        Self {
            kernel: self.kernel.clone(),
            grad: self.grad.clone(),
            len: self.len,
        }
    }
}

impl<E: Real, X: Exec<E>> Param<E, X> {
    /// A parameter of `len` values, whose gradient is gathered if `taped`. Whoever makes it records what becomes of
    /// the gradient ([`Param::take_gradient`]) before its first visit, so that this runs after all of them.
    pub fn new(kernel: Rc<X::Kernel>, len: usize, taped: bool) -> Self {
        Self {
            kernel,
            grad: taped.then(Rc::default),
            len,
        }
    }

    /// The sum over all visits, as PyTorch lays it out; none if there was no visit.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn take_gradient(&self, exec: &X) -> Result<Option<X::Buf>, X::Err> {
        let sum = self.grad.as_ref().and_then(|cell| cell.take());
        sum.map(|sum| exec.gradient_values(sum)).transpose()
    }

    /// The kernel.
    pub(crate) fn kernel(&self) -> Rc<X::Kernel> {
        self.kernel.clone()
    }

    /// The number of values it has.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The values, as PyTorch lays them out.
    pub fn values(&self) -> &X::Buf {
        X::kernel_values(&self.kernel)
    }

    /// Calls `f` with the gradient gathered so far, for it to add to.
    pub(crate) fn accumulate(
        &self,
        exec: &X,
        f: impl FnOnce(&mut X::KernelGradient) -> Result<(), X::Err>,
    ) -> Result<(), X::Err> {
        let Some(cell) = &self.grad else {
            return Ok(());
        };
        // Taken out meanwhile: one parameter may be both of two that are in use together.
        let mut sum = match cell.take() {
            Some(sum) => sum,
            None => exec.gradient(self.len)?,
        };
        f(&mut sum)?;
        *cell.borrow_mut() = Some(sum);
        Ok(())
    }

    /// As [`Param::accumulate`], in PyTorch's layout.
    pub(crate) fn accumulate_values(
        &self,
        exec: &X,
        f: impl FnOnce(&mut X::Buf) -> Result<(), X::Err>,
    ) -> Result<(), X::Err> {
        self.accumulate(exec, |gradient| f(exec.gradient_values_mut(gradient)?))
    }

    /// Adds a gradient in PyTorch's layout.
    pub(crate) fn add(&self, exec: &X, more: X::Buf) -> Result<(), X::Err> {
        self.accumulate_values(exec, |sum| {
            // Out of its place meanwhile: an executor adds to what it owns.
            let held = std::mem::replace(sum, exec.zeroed(0)?);
            *sum = exec.add(held, &more)?;
            Ok(())
        })
    }
}

/// Calls `f` with the gradients gathered so far of two parameters.
pub(crate) fn accumulate_both<E: Real, X: Exec<E>, R>(
    exec: &X,
    first: &Param<E, X>,
    second: &Param<E, X>,
    f: impl FnOnce(&mut X::Buf, &mut X::Buf) -> Result<R, X::Err>,
) -> Result<Option<R>, X::Err> {
    let mut result = None;
    first.accumulate_values(exec, |a| {
        second.accumulate_values(exec, |b| {
            result = Some(f(a, b)?);
            Ok(())
        })
    })?;
    Ok(result)
}

/// The kernels of a prepared model, by keys that its owner chooses (an address, a place in a list) and keeps apart.
pub struct Kernels<E: Real, X: Exec<E>> {
    params: RefCell<HashMap<usize, Rc<X::Kernel>>>,
    /// Kernels with an addition of a visit's own, by the key of its second factor.
    sums: RefCell<HashMap<usize, Rc<X::Kernel>>>,
}

impl<E: Real, X: Exec<E>> Default for Kernels<E, X> {
    fn default() -> Self {
        Self {
            params: RefCell::default(),
            sums: RefCell::default(),
        }
    }
}

impl<E: Real, X: Exec<E>> fmt::Debug for Kernels<E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernels({})", self.params.borrow().len())
    }
}

impl<E: Real, X: Exec<E>> Kernels<E, X> {
    /// The kernel of a parameter, made at the first use.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn param<R>(&self, key: usize, make: impl FnOnce() -> Result<X::Kernel, R>) -> Result<Rc<X::Kernel>, R> {
        cached(&self.params, key, make)
    }

    /// The kernel with the addition of which the parameter of this key is a factor, made at the first use.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn sum<R>(&self, key: usize, make: impl FnOnce() -> Result<X::Kernel, R>) -> Result<Rc<X::Kernel>, R> {
        cached(&self.sums, key, make)
    }
}

fn cached<K, R>(
    cache: &RefCell<HashMap<usize, Rc<K>>>,
    key: usize,
    make: impl FnOnce() -> Result<K, R>,
) -> Result<Rc<K>, R> {
    if let Some(kernel) = cache.borrow().get(&key) {
        return Ok(kernel.clone());
    }
    let kernel = Rc::new(make()?);
    cache.borrow_mut().insert(key, kernel.clone());
    Ok(kernel)
}

/// The kernel of one layer, bound for one pass.
#[derive(Debug)]
pub struct Weight<E: Real, X: Exec<E>>(Kind<E, X>);

#[derive(Debug)]
enum Kind<E: Real, X: Exec<E>> {
    /// A parameter.
    Param(Param<E, X>),
    /// A sum that a prepared model keeps.
    Kept(Rc<X::Kernel>),
    /// A sum that is made where it is needed.
    Sum(Box<LowRank<E, X>>),
}

impl<E: Real, X: Exec<E>> From<Param<E, X>> for Weight<E, X> {
    fn from(param: Param<E, X>) -> Self {
        Self(Kind::Param(param))
    }
}

impl<E: Real, X: Exec<E>> From<LowRank<E, X>> for Weight<E, X> {
    fn from(sum: LowRank<E, X>) -> Self {
        Self(Kind::Sum(Box::new(sum)))
    }
}

impl<E: Real, X: Exec<E>> Weight<E, X> {
    /// A kernel that a prepared model keeps.
    pub fn kept(kernel: Rc<X::Kernel>) -> Self {
        Self(Kind::Kept(kernel))
    }

    /// The kernel in the forms that operations want.
    pub(crate) fn kernel(&self, exec: &X) -> Result<Rc<X::Kernel>, X::Err> {
        match &self.0 {
            Kind::Param(param) => Ok(param.kernel()),
            Kind::Kept(kernel) => Ok(kernel.clone()),
            Kind::Sum(sum) => sum.make(exec).map(Rc::new),
        }
    }

    /// Calls `f` with the gradient gathered so far, for it to add to.
    pub(crate) fn accumulate(
        &self,
        exec: &X,
        f: impl FnOnce(&mut X::KernelGradient) -> Result<(), X::Err>,
    ) -> Result<(), X::Err> {
        match &self.0 {
            Kind::Param(param) => param.accumulate(exec, f),
            Kind::Kept(_) => Ok(()),
            Kind::Sum(sum) => sum.accumulate(exec, f),
        }
    }
}

/// The sum of a kernel and a product of two factors.
#[derive(Debug)]
pub struct LowRank<E: Real, X: Exec<E>> {
    /// The linear layer of the weights `A` whose data gradient for `B` is `B A`.
    size: ConvSize,
    kernel: Param<E, X>,
    a: Param<E, X>,
    b: Param<E, X>,
}

impl<E: Real, X: Exec<E>> LowRank<E, X> {
    /// `kernel + b a`, where `kernel` is `[rows][columns]`, `a` `[rank][columns]` and `b` `[rows][rank]`.
    pub fn new([rows, rank, columns]: [usize; 3], kernel: Param<E, X>, a: Param<E, X>, b: Param<E, X>) -> Self {
        // Rows of the kernel as a batch of maps of one pixel: `columns` channels come in, `rank` go out.
        let map = |channels| MapSize {
            batch: rows,
            height: 1,
            width: 1,
            channels,
        };
        let size = ConvSize::linear(map(columns), rank);
        Self { size, kernel, a, b }
    }

    /// `K + B A`.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn make(&self, exec: &X) -> Result<X::Kernel, X::Err> {
        let kernel = Some(self.kernel.values().clone());
        let sum = exec.conv_backward_data(self.size, &self.a.kernel(), self.b.values(), kernel)?;
        Ok(exec.kernel(sum))
    }

    fn accumulate(&self, exec: &X, f: impl FnOnce(&mut X::KernelGradient) -> Result<(), X::Err>) -> Result<(), X::Err> {
        let mut gradient = exec.gradient(self.kernel.len())?;
        f(&mut gradient)?;
        let gradient = exec.gradient_values(gradient)?;
        self.a.accumulate(exec, |da| {
            exec.conv_backward_weight(self.size, &gradient, self.b.values(), da)
        })?;
        let of_b = exec.conv_forward(self.size, &gradient, &self.a.kernel(), None, ConvTail::default())?;
        self.b.add(exec, of_b)?;
        self.kernel.add(exec, gradient)
    }
}
