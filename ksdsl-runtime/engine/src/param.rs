//! Parameters as the operations use them: read once, their gradients gathered in one buffer over all visits.

use crate::exec::Exec;
use crate::real::Real;
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

    /// A parameter that no tensor is behind: `len` times one value. Nobody takes its gradient.
    pub(crate) fn constant(exec: &X, value: f64, len: usize, taped: bool) -> Result<Self, X::Err> {
        let values = exec.upload(vec![E::of(value); len])?;
        Ok(Self::new(Rc::new(exec.kernel(values)), len, taped))
    }

    /// The scale and the shift of a norm that has none: ones and zeros.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn scale_and_shift(exec: &X, channels: usize, taped: bool) -> Result<[Self; 2], X::Err> {
        let of = |value| Self::constant(exec, value, channels, taped);
        Ok([of(1.0)?, of(0.0)?])
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

/// The parameters that the iterations of a loop have bound, by keys that the owner of their tensors chooses: each is read
/// once, and its gradients gather in one place.
pub struct Loop<E: Real, X: Exec<E>> {
    params: RefCell<HashMap<usize, Param<E, X>>>,
}

impl<E: Real, X: Exec<E>> Default for Loop<E, X> {
    fn default() -> Self {
        let params = RefCell::default();
        Self { params }
    }
}

impl<E: Real, X: Exec<E>> fmt::Debug for Loop<E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loop({})", self.params.borrow().len())
    }
}

impl<E: Real, X: Exec<E>> Loop<E, X> {
    /// The parameter of a key, if an iteration has bound it.
    pub fn param(&self, key: usize) -> Option<Param<E, X>> {
        self.params.borrow().get(&key).cloned()
    }

    /// Keeps a parameter for the iterations that follow.
    pub fn keep(&self, key: usize, param: &Param<E, X>) {
        self.params.borrow_mut().insert(key, param.clone());
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
