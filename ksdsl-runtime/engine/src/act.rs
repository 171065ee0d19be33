//! Activations: what flows between a network's input and its output.
//!
//! An [`Act`] holds its values in the executor's own storage, NHWC. Gradients of activations are in cells that the
//! backward operations of neighbouring layers share. The operation that produced an activation empties its cell, so
//! that buffers are freed during the backward pass.

use crate::exec::Exec;
use crate::param::Loop;
use crate::past::Past;
use crate::pending::{ConvStep, Value};
use crate::real::Real;
use crate::saved::Saved;
use crate::size::{ConvSize, MapSize};
use crate::tape::Tape;
use crate::weight::Kernels;
use std::cell::RefCell;
use std::rc::Rc;

/// The gradient of one activation, shared by the backward operations that add to it and the one that
/// takes it. Detached (holding nothing, ever) when no tape records.
#[derive(Debug)]
pub struct GradCell<B>(Option<Rc<RefCell<Held<B>>>>);

/// What a [`GradCell`] holds.
#[derive(Debug)]
struct Held<B> {
    gradient: Option<B>,
    /// What a norm needs of the gradient, see [`NormBackward::sums`](crate::exec::NormBackward).
    sums: Option<[B; 2]>,
}

impl<B> Clone for GradCell<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B> GradCell<B> {
    /// A cell that is attached if `taped`.
    pub fn new(taped: bool) -> Self {
        let empty = || {
            Rc::new(RefCell::new(Held {
                gradient: None,
                sums: None,
            }))
        };
        Self(taped.then(empty))
    }

    /// Empties the cell but for the sums. `None`: nothing was added.
    pub fn take(&self) -> Option<B> {
        self.0.as_ref()?.borrow_mut().gradient.take()
    }

    /// The sums of the gradient that was in the cell last, if they are known.
    pub(crate) fn take_sums(&self) -> Option<[B; 2]> {
        self.0.as_ref()?.borrow_mut().sums.take()
    }

    /// Puts `value` instead of what the cell holds.
    pub(crate) fn put(&self, value: B) {
        self.put_with(value, None);
    }

    /// Puts `value` and its sums instead of what the cell holds.
    pub(crate) fn put_with(&self, value: B, sums: Option<[B; 2]>) {
        if let Some(cell) = &self.0 {
            *cell.borrow_mut() = Held {
                gradient: Some(value),
                sums,
            };
        }
    }

    /// Whether both are one cell.
    pub fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(own), Some(other)) => Rc::ptr_eq(own, other),
            _ => false,
        }
    }

    /// Moves what the cell holds, if anything, to another one, in place of what that holds.
    pub fn give(&self, to: &Self) {
        if let (Some(from), Some(to)) = (&self.0, &to.0)
            && from.borrow().gradient.is_some()
        {
            let empty = Held {
                gradient: None,
                sums: None,
            };
            let held = from.replace(empty);
            to.replace(held);
        }
    }

    /// Adds `value` to what the cell holds.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn add<E: Real, X: Exec<E, Buf = B>>(&self, exec: &X, value: B) -> Result<(), X::Err> {
        let sum = match self.take() {
            Some(held) => exec.add(held, &value)?,
            None => value,
        };
        self.put(sum);
        Ok(())
    }
}

/// What an activation carries from layer to layer besides its values.
#[derive(Debug)]
pub struct Context<E: Real, X: Exec<E>, T> {
    /// What runs the operations.
    pub exec: X,
    /// Where their backward passes are recorded.
    pub tape: T,
    /// The kernels of a prepared model.
    pub kernels: Option<Rc<Kernels<E, X>>>,
    /// See [`ConvSize::unit`].
    pub unit: Option<usize>,
    /// The parameters of the loop that it is in.
    pub in_loop: Option<Rc<Loop<E, X>>>,
    /// The positions before those of the pass, if it runs on the next ones of a sequence.
    pub past: Option<Rc<Past<X::Buf>>>,
}

impl<E: Real, X: Exec<E>, T: Tape<E, X>> Context<E, X, T> {
    /// That of an operation with two inputs.
    pub(crate) fn merge(self, other: Self) -> Self {
        Self {
            exec: self.exec,
            tape: self.tape.merge(other.tape),
            kernels: self.kernels.or(other.kernels),
            unit: self.unit.or(other.unit),
            in_loop: self.in_loop.or(other.in_loop),
            past: self.past.or(other.past),
        }
    }

    /// The same with an empty tape.
    #[must_use]
    pub fn branch(&self) -> Self {
        Self {
            exec: self.exec.clone(),
            tape: T::default(),
            kernels: self.kernels.clone(),
            unit: self.unit,
            in_loop: self.in_loop.clone(),
            past: self.past.clone(),
        }
    }

    /// The place of the first position of the pass.
    pub(crate) fn position(&self) -> usize {
        self.past.as_ref().map_or(0, |past| past.position())
    }

    /// Records `backward` for an output whose gradient gathers in `grad`; it gets that gradient and
    /// adds to those of the operation's inputs. It does not run when nothing used the output.
    pub(crate) fn record<F>(&mut self, grad: &GradCell<X::Buf>, backward: F)
    where
        F: FnOnce(&X, X::Buf) -> Result<(), X::Err> + 'static,
    {
        if T::RECORDS {
            let grad = grad.clone();
            self.tape.record(&self.exec, move |exec| match grad.take() {
                Some(dy) => backward(exec, dy),
                None => Ok(()),
            });
        }
    }
}

/// An activation. Its values may be deferred: a convolution runs only when the activation, norm and residual that
/// follow it are known, so that all of them are fused into one pass over memory.
#[derive(Debug)]
pub struct Act<E: Real, X: Exec<E>, T> {
    /// A batch of maps; vectors are maps of one pixel.
    pub size: MapSize,
    /// What it carries.
    pub context: Context<E, X, T>,
    pub(crate) value: Value<E, X>,
    pub(crate) grad: GradCell<X::Buf>,
}

/// An activation with computed values.
#[derive(Debug)]
pub struct Ready<E: Real, X: Exec<E>, T> {
    /// A batch of maps.
    pub size: MapSize,
    /// What it carries.
    pub context: Context<E, X, T>,
    /// The values.
    pub data: Rc<X::Buf>,
    /// How the backward pass obtains the values.
    pub(crate) saved: Saved<E, X>,
    /// Where its gradient gathers.
    pub grad: GradCell<X::Buf>,
}

impl<E: Real, X: Exec<E>, T> From<Ready<E, X, T>> for Act<E, X, T> {
    fn from(ready: Ready<E, X, T>) -> Self {
        Self {
            size: ready.size,
            context: ready.context,
            value: Value::Ready(ready.data, ready.saved),
            grad: ready.grad,
        }
    }
}

impl<E: Real, X: Exec<E>, T: Tape<E, X>> Act<E, X, T> {
    /// The input of a network, NHWC, whose gradient gathers in `grad`.
    pub fn input(size: MapSize, context: Context<E, X, T>, data: Rc<X::Buf>, grad: GradCell<X::Buf>) -> Self {
        Self {
            size,
            context,
            value: Value::ready(data),
            grad,
        }
    }

    /// Where its gradient gathers.
    pub fn grad(&self) -> &GradCell<X::Buf> {
        &self.grad
    }

    /// An operation's output, see [`Context::record`].
    pub(crate) fn output<F>(mut context: Context<E, X, T>, size: MapSize, data: Rc<X::Buf>, backward: F) -> Self
    where
        F: FnOnce(&X, X::Buf) -> Result<(), X::Err> + 'static,
    {
        let grad = GradCell::new(T::RECORDS);
        context.record(&grad, backward);
        Self {
            size,
            context,
            value: Value::ready(data),
            grad,
        }
    }

    /// An output that is deferred until its consumer is known.
    pub(crate) fn deferred(size: MapSize, context: Context<E, X, T>, value: Value<E, X>) -> Self {
        Self {
            size,
            context,
            value,
            grad: GradCell::new(T::RECORDS),
        }
    }

    /// Whether the last operation takes no pass over memory of its own, because the one before it computes it, too.
    pub fn is_fused(&self) -> bool {
        self.value.is_fused()
    }

    /// Whether its values are computed.
    pub fn is_ready(&self) -> bool {
        matches!(self.value, Value::Ready(..))
    }

    /// Computes deferred values.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn ready(mut self) -> Result<Ready<E, X, T>, X::Err> {
        let (data, saved) = self.value.compute(&mut self.context, &self.grad)?;
        Ok(Ready {
            size: self.size,
            context: self.context,
            data,
            saved,
            grad: self.grad,
        })
    }

    /// As [`Act::ready`] for the convolution `next`; or, if a deferred convolution, with those behind it, is better fused
    /// with the next, that one, and its input instead of the values.
    #[allow(clippy::type_complexity)]
    pub(crate) fn ready_or_waiting(
        self,
        next: ConvSize,
    ) -> Result<(Ready<E, X, T>, Option<Box<ConvStep<E, X>>>), X::Err> {
        match self.value {
            Value::Conv(step) if !T::RECORDS && self.context.exec.chains(&step.chain_with(next)) => {
                let ready = Ready {
                    size: self.size,
                    context: self.context,
                    data: step.x.clone(),
                    saved: step.saved.clone(),
                    grad: self.grad,
                };
                Ok((ready, Some(step)))
            }
            value => Ok((Self { value, ..self }.ready()?, None)),
        }
    }

    /// Two handles to the same activation, for the two branches of a residual: the first keeps the
    /// tape, the second starts an empty one, and the gradients of both add up.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn fork(self) -> Result<(Self, Self), X::Err> {
        let first = self.ready()?;
        let second = Self {
            size: first.size,
            context: first.context.branch(),
            value: Value::Ready(first.data.clone(), first.saved.clone()),
            grad: first.grad.clone(),
        };
        Ok((first.into(), second))
    }

    /// One more handle to an activation with a name, with an empty tape; the gradients of both add up.
    ///
    /// # Panics
    /// If its values are deferred, which they are not after [`Act::fork`] and in an input.
    #[must_use]
    pub fn again(&self) -> Self {
        let Value::Ready(data, saved) = &self.value else {
            unreachable!("an activation with a name has its values")
        };
        Self {
            size: self.size,
            context: self.context.branch(),
            value: Value::Ready(data.clone(), saved.clone()),
            grad: self.grad.clone(),
        }
    }

    /// Begins a loop: its iterations bind each parameter once. What [`Act::end_loop`] takes.
    pub fn begin_loop(&mut self) -> Option<Rc<Loop<E, X>>> {
        let outer = self.context.in_loop.clone();
        self.context.in_loop.get_or_insert_default();
        outer
    }

    /// Ends a loop.
    pub fn end_loop(&mut self, outer: Option<Rc<Loop<E, X>>>) {
        self.context.in_loop = outer;
    }

    /// The values alone, for operations that record on another tape or not at all, and the tape.
    ///
    /// # Errors
    /// If the executor fails.
    #[expect(clippy::type_complexity, reason = "values and what they carried")]
    pub fn detach<T2: Tape<E, X>>(self) -> Result<(Act<E, X, T2>, T), X::Err> {
        let ready = self.ready()?;
        let Context {
            exec,
            tape,
            kernels,
            unit,
            in_loop,
            past,
        } = ready.context;
        let context = Context {
            exec,
            tape: T2::default(),
            kernels,
            unit,
            // The parameters of one tape are none of another.
            in_loop: in_loop.map(|_| Rc::default()),
            past,
        };
        Ok((
            Act::input(ready.size, context, ready.data, GradCell::new(T2::RECORDS)),
            tape,
        ))
    }

    /// The same activation, with the tape of `other`, which is used no more.
    #[must_use]
    pub fn after(self, other: Self) -> Self {
        Self {
            context: other.context.merge(self.context),
            ..self
        }
    }
}

impl<E: Real, X: Exec<E>, T> Ready<E, X, T> {
    /// The values without what the backward pass would have kept of them, in place if nothing else holds them.
    #[expect(clippy::type_complexity, reason = "the parts that an operation in place needs")]
    pub fn into_values(self) -> (X::Buf, Context<E, X, T>, GradCell<X::Buf>) {
        drop(self.saved);
        (Rc::unwrap_or_clone(self.data), self.context, self.grad)
    }
}
