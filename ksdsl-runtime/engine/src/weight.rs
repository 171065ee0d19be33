//! The kernels of layers: a parameter, or what a visit makes of parameters.
//!
//! A visit of a shared kernel uses it as it is stored, or derives its own from it: a view of it (transposed, or the first
//! rows and columns), a combination of several, a low-rank update of any of these; a convolution may standardise it. The
//! derived kernel lives while its layer runs and is recomputed in the backward pass, so that memory does not grow with the
//! number of visits; only a prepared model keeps it. Its gradient goes to the tensors it was derived from.

use crate::exec::{ConvTail, Exec};
use crate::loops::{self, Loops, constant, operand};
use crate::ops::Standardized;
use crate::param::Param;
use crate::real::Real;
use crate::size::{ConvSize, MapSize};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

/// What a kernel of a prepared model is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A key that the owner of the kernels chooses (an address, a place in a list) and keeps apart: that of the
    /// parameter, or of what the visit has of its own.
    Own(usize),
    /// A view of the kernel at this address.
    View(usize, View),
    /// The kernel at this address standardised with an epsilon of these bits.
    Standardized(usize, u64),
}

/// The kernels of a prepared model.
pub struct Kernels<E: Real, X: Exec<E>> {
    params: RefCell<HashMap<usize, Rc<X::Kernel>>>,
    made: RefCell<HashMap<Key, Rc<X::Kernel>>>,
}

impl<E: Real, X: Exec<E>> Default for Kernels<E, X> {
    fn default() -> Self {
        Self {
            params: RefCell::default(),
            made: RefCell::default(),
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

    /// The kernel that a visit makes, made at the first use.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn made<R>(&self, key: Key, make: impl FnOnce() -> Result<X::Kernel, R>) -> Result<Rc<X::Kernel>, R> {
        cached(&self.made, key, make)
    }
}

fn cached<Q: Eq + std::hash::Hash, K, R>(
    cache: &RefCell<HashMap<Q, Rc<K>>>,
    key: Q,
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
    /// What a prepared model keeps.
    Kept(Rc<X::Kernel>),
    /// What is made where it is needed.
    Product(Box<Product<E, X>>),
    Viewed(Box<Viewed<E, X>>),
    Standardized(Box<Standardized<E, X>>),
}

impl<E: Real, X: Exec<E>> From<Param<E, X>> for Weight<E, X> {
    fn from(param: Param<E, X>) -> Self {
        Self(Kind::Param(param))
    }
}

impl<E: Real, X: Exec<E>> Weight<E, X> {
    /// A kernel that a prepared model keeps.
    pub fn kept(kernel: Rc<X::Kernel>) -> Self {
        Self(Kind::Kept(kernel))
    }

    /// `self + b a`, where this kernel is `[rows][columns]`, `a` `[rank][columns]` and `b` `[rows][rank]`: an addition
    /// of low rank (Hu et al. 2021, LoRA, arXiv 2106.09685, section 4.1).
    ///
    /// The sum is made, rather than two more convolutions run: it costs `rows * rank * columns` products for a pass of
    /// whatever batch, and what follows the convolution is still one pass over memory.
    #[must_use]
    pub fn plus(self, [rows, rank, columns]: [usize; 3], a: Param<E, X>, b: Param<E, X>) -> Self {
        let product = Product::new([rows, rank, columns], Some(self), a, b);
        Self(Kind::Product(Box::new(product)))
    }

    /// The sum of the kernels of a bank, `[kernels][len]`, each times its coefficient (Savarese & Maire 2019, arXiv
    /// 1902.09701, equation 1).
    pub fn combined([kernels, len]: [usize; 2], bank: Param<E, X>, coefficients: Param<E, X>) -> Self {
        let product = Product::new([1, kernels, len], None, bank, coefficients);
        Self(Kind::Product(Box::new(product)))
    }

    /// A view of this kernel.
    #[must_use]
    pub fn viewed(self, view: View) -> Self {
        Self(Kind::Viewed(Box::new(Viewed { kernel: self, view })))
    }

    /// This kernel of so many rows standardised, with a gain for each row or without.
    #[must_use]
    pub fn standardized(self, rows: usize, eps: f64, gain: Option<Param<E, X>>) -> Self {
        Self(Kind::Standardized(Box::new(Standardized::new(rows, eps, self, gain))))
    }

    /// Where a kernel is that is not made, by which a prepared model keeps what is made of it.
    pub fn address(&self) -> Option<usize> {
        match &self.0 {
            Kind::Param(param) => Some(Rc::as_ptr(&param.kernel()).addr()),
            Kind::Kept(kernel) => Some(Rc::as_ptr(kernel).addr()),
            Kind::Product(_) | Kind::Viewed(_) | Kind::Standardized(_) => None,
        }
    }

    /// The kernel as one of its own.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn make(&self, exec: &X) -> Result<X::Kernel, X::Err> {
        Ok(exec.kernel(self.values(exec)?))
    }

    /// The kernel in the forms that operations want.
    pub(crate) fn kernel(&self, exec: &X) -> Result<Rc<X::Kernel>, X::Err> {
        match &self.0 {
            Kind::Param(param) => Ok(param.kernel()),
            Kind::Kept(kernel) => Ok(kernel.clone()),
            Kind::Product(_) | Kind::Viewed(_) | Kind::Standardized(_) => self.make(exec).map(Rc::new),
        }
    }

    /// The values, as PyTorch lays them out.
    pub(crate) fn values(&self, exec: &X) -> Result<X::Buf, X::Err> {
        match &self.0 {
            Kind::Param(param) => Ok(param.values().clone()),
            Kind::Kept(kernel) => Ok(X::kernel_values(kernel).clone()),
            Kind::Product(product) => product.values(exec),
            Kind::Viewed(viewed) => viewed.view.values(exec, &viewed.kernel.values(exec)?),
            Kind::Standardized(standardized) => standardized.values(exec),
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
            Kind::Product(_) | Kind::Viewed(_) | Kind::Standardized(_) => {
                let mut gradient = exec.gradient(self.len())?;
                f(&mut gradient)?;
                self.add(exec, exec.gradient_values(gradient)?)
            }
        }
    }

    /// Adds a gradient in PyTorch's layout.
    pub(crate) fn add(&self, exec: &X, gradient: X::Buf) -> Result<(), X::Err> {
        match &self.0 {
            Kind::Param(param) => param.add(exec, gradient),
            Kind::Kept(_) => Ok(()),
            Kind::Product(product) => product.add(exec, gradient),
            Kind::Viewed(viewed) => viewed.kernel.add(exec, viewed.view.gradient(exec, &gradient)?),
            Kind::Standardized(standardized) => standardized.add(exec, &gradient),
        }
    }

    /// The number of values of a kernel that has gradients.
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Kind::Param(param) => param.len(),
            Kind::Kept(_) => 0,
            Kind::Product(product) => product.size.input.len(),
            Kind::Viewed(viewed) => viewed.view.len(),
            Kind::Standardized(standardized) => standardized.len(),
        }
    }
}

/// `kernel + b a`, or `b a` alone. By the chain rule, of the gradient `G` of the sum `kernel` gets `G`, `a` gets `b^T G`
/// and `b` gets `G a^T`.
#[derive(Debug)]
struct Product<E: Real, X: Exec<E>> {
    /// The linear layer of the weights `a` whose data gradient for `b` is `b a`.
    size: ConvSize,
    kernel: Option<Weight<E, X>>,
    a: Param<E, X>,
    b: Param<E, X>,
}

impl<E: Real, X: Exec<E>> Product<E, X> {
    fn new([rows, rank, columns]: [usize; 3], kernel: Option<Weight<E, X>>, a: Param<E, X>, b: Param<E, X>) -> Self {
        // Rows of the kernel as a batch of maps of one pixel: `columns` channels come in, `rank` go out.
        let map = MapSize {
            batch: rows,
            height: 1,
            width: 1,
            channels: columns,
        };
        let size = ConvSize::linear(map, rank);
        Self { size, kernel, a, b }
    }

    fn values(&self, exec: &X) -> Result<X::Buf, X::Err> {
        let kernel = self.kernel.as_ref().map(|kernel| kernel.values(exec)).transpose()?;
        exec.conv_backward_data(self.size, &self.a.kernel(), self.b.values(), kernel)
    }

    fn add(&self, exec: &X, gradient: X::Buf) -> Result<(), X::Err> {
        self.a.accumulate(exec, |da| {
            exec.conv_backward_weight(self.size, &gradient, self.b.values(), da)
        })?;
        let of_b = exec.conv_forward(self.size, &gradient, &self.a.kernel(), None, ConvTail::default())?;
        self.b.add(exec, of_b)?;
        match &self.kernel {
            Some(kernel) => kernel.add(exec, gradient),
            None => Ok(()),
        }
    }
}

/// The part of a stored kernel that a visit uses: its first rows and columns, perhaps with rows and columns exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Rows and columns of the stored kernel, and the elements at each place.
    pub stored: [usize; 3],
    /// Rows and columns of it that are used.
    pub taken: [usize; 2],
    /// Whether its rows are the visit's columns.
    pub transposed: bool,
}

#[derive(Debug)]
struct Viewed<E: Real, X: Exec<E>> {
    kernel: Weight<E, X>,
    view: View,
}

impl View {
    fn len(&self) -> usize {
        self.taken[0] * self.taken[1] * self.stored[2]
    }

    /// The distances in the visit's kernel of rows and columns of the stored one.
    fn steps(&self) -> [usize; 2] {
        let ([rows, columns], taps) = (self.taken, self.stored[2]);
        match self.transposed {
            true => [taps, rows * taps],
            false => [columns * taps, taps],
        }
    }

    /// The values of the visit's kernel.
    fn values<E: Real, X: Exec<E>>(&self, exec: &X, stored: &X::Buf) -> Result<X::Buf, X::Err> {
        let ([rows, columns], [_, all, taps]) = (self.taken, self.stored);
        let (output, steps) = match self.transposed {
            true => ([columns, rows, taps], [taps, all * taps, 1]),
            false => ([rows, columns, taps], [all * taps, taps, 1]),
        };
        let loops = Loops {
            output: output.to_vec(),
            summed: Vec::new(),
            views: vec![loops::View::steps(steps)],
            value: operand(0),
        };
        exec.compute(&loops, &[stored])
    }

    /// The gradient of the stored kernel for one of the visit's: zero outside of what is used.
    fn gradient<E: Real, X: Exec<E>>(&self, exec: &X, gradient: &X::Buf) -> Result<X::Buf, X::Err> {
        let offsets = |axis: usize| -> Vec<usize> {
            let (step, taken) = (self.steps()[axis], self.taken[axis]);
            (0..self.stored[axis])
                .map(|at| if at < taken { at * step } else { 0 })
                .collect()
        };
        let is_used = |axis: usize| {
            let taken = self.taken[axis];
            exec.upload(
                (0..self.stored[axis])
                    .map(|at| E::of(f64::from(u8::from(at < taken))))
                    .collect(),
            )
        };
        let loops = Loops {
            output: self.stored.to_vec(),
            summed: Vec::new(),
            views: vec![
                loops::View::steps([0, 0, 1])
                    .with_table(&[0], offsets(0))
                    .with_table(&[1], offsets(1)),
                loops::View::steps([1, 0, 0]),
                loops::View::steps([0, 1, 0]),
            ],
            value: (operand(1) * operand(2)).if_positive(operand(0), constant(0.0)),
        };
        exec.compute(&loops, &[gradient, &is_used(0)?, &is_used(1)?])
    }
}
