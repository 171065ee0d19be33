//! Typed activations: what flows between a network's input and its logits.
//!
//! An [`Act`] knows its shape as a type and holds its values in the device's own storage, NHWC.
//! Gradients of activations are not stored in dfdx's `Gradients`, which would copy each of them, but in
//! cells that the backward operations of neighbouring layers share. The operation that produced an
//! activation empties its cell, so that buffers are freed during the backward pass.

use crate::backend::Backend;
use crate::geometry::{ConvSize, MapSize, RowSize};
use crate::pending::{ConvStep, Value};
use crate::prepared::Kernels;
use crate::saved::Saved;
use crate::scalar::Scalar;
use dfdx::shapes::{Const, Dim, HasShape, Shape};
use dfdx::tensor::{Gradients, NoneTape, PutTape, SplitTape, Tape, Tensor};
use dfdx::tensor_ops::ReshapeTo;
use std::cell::RefCell;
use std::rc::Rc;

/// Feature maps: `B` images of `C` channels, `H` pixels high and `W` wide.
pub type Map<B, const C: usize, const H: usize, const W: usize, E, D, T = NoneTape> =
    Act<(B, Const<C>, Const<H>, Const<W>), E, D, T>;

/// Feature vectors: `B` images of `C` features.
pub type Flat<B, const C: usize, E, D, T = NoneTape> = Act<(B, Const<C>), E, D, T>;

/// The shapes an activation can have: those of [`Map`] and [`Flat`].
pub trait ActShape: Shape {
    /// The batch size as a type.
    type Batch: Dim;
    /// The same shape with a batch size that is a value, as in a slice of the batch.
    type Sliced: ActShape<Batch = usize>;

    /// The shape with this batch size.
    fn of(batch: Self::Batch) -> Self;

    /// The batch size.
    fn batch(&self) -> Self::Batch;

    /// The sizes as numbers; a [`Flat`] is a map of one pixel.
    fn map_size(&self) -> MapSize;

    /// The shape as rows of channel values, as norms see it.
    fn row_size(&self) -> RowSize {
        let size = self.map_size();
        RowSize {
            rows: size.rows(),
            channels: size.channels,
        }
    }
}

impl<B: Dim, const C: usize, const H: usize, const W: usize> ActShape for (B, Const<C>, Const<H>, Const<W>) {
    type Batch = B;
    type Sliced = (usize, Const<C>, Const<H>, Const<W>);

    fn of(batch: B) -> Self {
        (batch, Const, Const, Const)
    }

    fn batch(&self) -> B {
        self.0
    }

    fn map_size(&self) -> MapSize {
        MapSize {
            batch: self.0.size(),
            height: H,
            width: W,
            channels: C,
        }
    }
}

impl<B: Dim, const C: usize> ActShape for (B, Const<C>) {
    type Batch = B;
    type Sliced = (usize, Const<C>);

    fn of(batch: B) -> Self {
        (batch, Const)
    }

    fn batch(&self) -> B {
        self.0
    }

    fn map_size(&self) -> MapSize {
        MapSize {
            batch: self.0.size(),
            height: 1,
            width: 1,
            channels: C,
        }
    }
}

/// An activation shape with `C` channels (or features).
#[diagnostic::on_unimplemented(message = "this layer has {C} channels, its input `{Self}` has not")]
pub trait HasChannels<const C: usize>: ActShape {}

impl<B: Dim, const C: usize, const H: usize, const W: usize> HasChannels<C> for (B, Const<C>, Const<H>, Const<W>) {}

impl<B: Dim, const C: usize> HasChannels<C> for (B, Const<C>) {}

/// The gradient of one activation, shared by the backward operations that add to it and the one that
/// takes it. Detached (holding nothing, ever) when no tape records.
#[derive(Debug)]
pub(crate) struct GradCell<B>(Option<Rc<RefCell<Held<B>>>>);

/// What a [`GradCell`] holds.
#[derive(Debug)]
struct Held<B> {
    gradient: Option<B>,
    /// What a norm needs of the gradient, see [`NormBackward::sums`](crate::backend::NormBackward).
    sums: Option<[B; 2]>,
}

impl<B> Clone for GradCell<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B> GradCell<B> {
    /// A cell that is attached if `taped`.
    pub(crate) fn new(taped: bool) -> Self {
        let empty = || {
            Rc::new(RefCell::new(Held {
                gradient: None,
                sums: None,
            }))
        };
        Self(taped.then(empty))
    }

    /// Empties the cell but for the sums. `None`: nothing was added.
    pub(crate) fn take(&self) -> Option<B> {
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

    /// Adds `value` to what the cell holds.
    pub(crate) fn add<E: Scalar, D>(&self, device: &D, value: B) -> Result<(), D::Err>
    where
        D: Backend<E, Buf = B>,
    {
        let sum = match self.take() {
            Some(held) => device.add(held, &value)?,
            None => value,
        };
        self.put(sum);
        Ok(())
    }
}

/// What an activation carries from layer to layer besides its values.
#[derive(Debug)]
pub struct Context<E: Scalar, D: Backend<E>, T> {
    pub(crate) device: D,
    pub(crate) tape: T,
    /// The kernels of a [`Prepared`](crate::prepared::Prepared) model.
    pub(crate) kernels: Option<Rc<Kernels<E, D>>>,
    /// See [`ConvSize::unit`].
    pub(crate) unit: Option<usize>,
}

impl<E: Scalar, D: Backend<E>, T: Tape<E, D>> Context<E, D, T> {
    /// That of an operation with two inputs.
    pub(crate) fn merge(self, other: Self) -> Self {
        Self {
            device: self.device,
            tape: self.tape.merge(other.tape),
            kernels: self.kernels.or(other.kernels),
            unit: self.unit.or(other.unit),
        }
    }

    /// The same with an empty tape.
    fn branch(&self) -> Self {
        Self {
            device: self.device.clone(),
            tape: T::default(),
            kernels: self.kernels.clone(),
            unit: self.unit,
        }
    }

    /// The tape, for operations of dfdx's own beside the layers.
    pub fn tape_mut(&mut self) -> &mut T {
        &mut self.tape
    }

    /// Records `backward` for an output whose gradient gathers in `grad`; it gets that gradient and
    /// adds to those of the operation's inputs. It does not run when nothing used the output.
    pub(crate) fn record<F>(&mut self, grad: &GradCell<D::Buf>, backward: F)
    where
        F: FnOnce(&D, D::Buf) -> Result<(), D::Err> + 'static,
    {
        if T::OWNS_TAPE {
            let (device, grad) = (self.device.clone(), grad.clone());
            self.tape
                .add_backward_op(move |_: &mut Gradients<E, D>| match grad.take() {
                    Some(dy) => backward(&device, dy),
                    None => Ok(()),
                });
        }
    }
}

/// An activation of shape `S` (logically NCHW or NC, as dfdx's tensors; stored NHWC) with elements
/// `E` on device `D`; `T` is dfdx's tape.
///
/// Its values may be deferred: a convolution runs only when the activation, norm and residual that follow it
/// are known, so that all of them are fused into one pass over memory.
#[derive(Debug)]
pub struct Act<S: Shape, E: Scalar, D: Backend<E>, T = NoneTape> {
    pub(crate) shape: S,
    pub(crate) context: Context<E, D, T>,
    pub(crate) value: Value<E, D>,
    pub(crate) grad: GradCell<D::Buf>,
}

/// An activation with computed values.
#[derive(Debug)]
pub(crate) struct Ready<S: Shape, E: Scalar, D: Backend<E>, T> {
    pub(crate) shape: S,
    pub(crate) context: Context<E, D, T>,
    pub(crate) data: Rc<D::Buf>,
    /// How the backward pass obtains the values.
    pub(crate) saved: Saved<E, D>,
    pub(crate) grad: GradCell<D::Buf>,
}

impl<S: Shape, E: Scalar, D: Backend<E>, T> From<Ready<S, E, D, T>> for Act<S, E, D, T> {
    fn from(ready: Ready<S, E, D, T>) -> Self {
        Self {
            shape: ready.shape,
            context: ready.context,
            value: Value::Ready(ready.data, ready.saved),
            grad: ready.grad,
        }
    }
}

impl<S: Shape, E: Scalar, D: Backend<E>, T: Tape<E, D>> Act<S, E, D, T> {
    /// An operation's output, see [`Context::record`].
    pub(crate) fn output<F>(mut context: Context<E, D, T>, shape: S, data: Rc<D::Buf>, backward: F) -> Self
    where
        F: FnOnce(&D, D::Buf) -> Result<(), D::Err> + 'static,
    {
        let grad = GradCell::new(T::OWNS_TAPE);
        context.record(&grad, backward);
        Self {
            shape,
            context,
            value: Value::ready(data),
            grad,
        }
    }

    /// Computes deferred values.
    pub(crate) fn ready(mut self) -> Result<Ready<S, E, D, T>, D::Err> {
        let (data, saved) = self.value.compute(&mut self.context, &self.grad)?;
        Ok(Ready {
            shape: self.shape,
            context: self.context,
            data,
            saved,
            grad: self.grad,
        })
    }

    /// As [`Act::ready`] for the convolution `next`; or, if a deferred convolution is better fused with
    /// the next, that one, and its input instead of the values.
    #[allow(clippy::type_complexity)]
    pub(crate) fn ready_or_waiting(
        self,
        next: ConvSize,
    ) -> Result<(Ready<S, E, D, T>, Option<Box<ConvStep<E, D>>>), D::Err> {
        match self.value {
            Value::Conv(step)
                if !T::OWNS_TAPE && step.behind.is_none() && self.context.device.chains(step.size, next) =>
            {
                let ready = Ready {
                    shape: self.shape,
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
    pub fn fork(self) -> Result<(Self, Self), D::Err> {
        let first = self.ready()?;
        let second = Self {
            shape: first.shape,
            context: first.context.branch(),
            value: Value::Ready(first.data.clone(), first.saved.clone()),
            grad: first.grad.clone(),
        };
        Ok((first.into(), second))
    }

    /// What the activation carries, for binding shared parameters before the first layer.
    pub fn context_mut(&mut self) -> &mut Context<E, D, T> {
        &mut self.context
    }

    /// The device the activation is on.
    pub fn device(&self) -> &D {
        &self.context.device
    }

    /// The shape, with the batch size as a value.
    pub fn shape(&self) -> &S {
        &self.shape
    }
}

impl<S: ActShape, E: Scalar, D: Backend<E>, T: Tape<E, D>> Act<S, E, D, T> {
    /// Reads a tensor (NCHW or NC). Backward, the gradient is added to the tensor's in dfdx's
    /// `Gradients`.
    pub fn read(x: Tensor<S, E, D, T>) -> Result<Self, D::Err> {
        // dfdx keeps a gradient in its tensor's physical order; no copy when that is the logical one.
        let (x, tape) = x.try_contiguous()?.split_tape();
        let device = x.device().clone();
        let shape = *x.shape();
        let data = Rc::new(to_nhwc(&device, &shape, device.read_tensor(&x)?)?);
        let mut context = Context {
            device,
            tape,
            kernels: None,
            unit: None,
        };
        let grad = GradCell::new(T::OWNS_TAPE);
        if T::OWNS_TAPE {
            let (device, grad) = (context.device.clone(), grad.clone());
            context.tape.add_backward_op(move |gradients| {
                let Some(dy) = grad.take() else { return Ok(()) };
                let dx = to_nchw(&device, &shape, dy)?;
                device.add_to_gradient(gradients, &x, dx)
            });
        }
        Ok(Self {
            shape,
            context,
            value: Value::ready(data),
            grad,
        })
    }

    /// Makes a tensor (NCHW or NC) that carries the tape, for dfdx's losses.
    pub fn into_tensor(self) -> Result<Tensor<S, E, D, T>, D::Err> {
        let ready = self.ready()?;
        let (shape, grad) = (ready.shape, ready.grad.clone());
        let Context { device, mut tape, .. } = ready.context;
        drop(ready.saved);
        let data = to_nchw(&device, &shape, Rc::unwrap_or_clone(ready.data))?;
        let output = device.make_tensor(data, shape)?;
        if T::OWNS_TAPE {
            let tensor = output.clone();
            tape.add_backward_op(move |gradients| {
                let dy = device.take_gradient(gradients, &tensor)?;
                let dx = to_nhwc(&device, &shape, dy)?;
                grad.add(&device, dx)
            });
        }
        Ok(output.put_tape(tape))
    }
}

/// Whether NCHW and NHWC are the same order: one pixel or one channel.
pub(crate) fn has_one_layout(size: MapSize) -> bool {
    size.height * size.width == 1 || size.channels == 1
}

/// Reorders a buffer of `shape` from NCHW to NHWC.
pub(crate) fn to_nhwc<S: ActShape, E: Scalar, D: Backend<E>>(
    device: &D,
    shape: &S,
    x: D::Buf,
) -> Result<D::Buf, D::Err> {
    let size = shape.map_size();
    if has_one_layout(size) {
        return Ok(x);
    }
    device.nchw_to_nhwc(size, &x)
}

/// Reorders a buffer of `shape` from NHWC to NCHW.
pub(crate) fn to_nchw<S: ActShape, E: Scalar, D: Backend<E>>(
    device: &D,
    shape: &S,
    x: D::Buf,
) -> Result<D::Buf, D::Err> {
    let size = shape.map_size();
    if has_one_layout(size) {
        return Ok(x);
    }
    device.nhwc_to_nchw(size, &x)
}
