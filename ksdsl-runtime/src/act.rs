//! Typed activations: what flows between a network's input and its logits.
//!
//! An [`Act`] knows its shape as a type and holds its values in the device's own storage, NHWC.
//! The gradients of activations do not live in dfdx's `Gradients`, which would copy every one of
//! them, but in cells that the backward operations of neighbouring layers share; a cell is emptied
//! by the operation that made its activation, so that buffers are freed as the pass goes back.

use crate::backend::Backend;
use crate::geometry::{MapSize, RowSize};
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

/// The gradient of one activation or parameter, shared by the backward operations that add to it
/// and the one that takes it. Detached (holding nothing, ever) when no tape records.
#[derive(Debug)]
pub(crate) struct GradCell<B>(Option<Rc<RefCell<Option<B>>>>);

impl<B> Clone for GradCell<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B> GradCell<B> {
    /// A cell that is attached if `taped`.
    pub(crate) fn new(taped: bool) -> Self {
        Self(taped.then(Rc::default))
    }

    /// Whether a tape records.
    pub(crate) fn is_attached(&self) -> bool {
        self.0.is_some()
    }

    /// Empties the cell. `None`: nothing was added.
    pub(crate) fn take(&self) -> Option<B> {
        self.0.as_ref()?.borrow_mut().take()
    }

    /// Puts `value` in place of what the cell holds.
    pub(crate) fn put(&self, value: B) {
        if let Some(cell) = &self.0 {
            *cell.borrow_mut() = Some(value);
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

/// An activation of shape `S` (logically NCHW or NC, as dfdx's tensors; stored NHWC) with elements
/// `E` on device `D`; `T` is dfdx's tape.
#[derive(Debug)]
pub struct Act<S: Shape, E: Scalar, D: Backend<E>, T = NoneTape> {
    pub(crate) shape: S,
    pub(crate) device: D,
    pub(crate) data: Rc<D::Buf>,
    pub(crate) grad: GradCell<D::Buf>,
    pub(crate) tape: T,
}

impl<S: Shape, E: Scalar, D: Backend<E>, T: Tape<E, D>> Act<S, E, D, T> {
    /// An operation's output. `backward` gets the output's gradient and adds to those of the
    /// operation's inputs; it does not run when nothing used the output.
    pub(crate) fn output<F>(tape: T, device: D, shape: S, data: Rc<D::Buf>, backward: F) -> Self
    where
        F: FnOnce(&D, D::Buf) -> Result<(), D::Err> + 'static,
    {
        let grad = GradCell::new(T::OWNS_TAPE);
        let mut output = Self {
            shape,
            device,
            data,
            grad,
            tape,
        };
        if T::OWNS_TAPE {
            let (device, grad) = (output.device.clone(), output.grad.clone());
            output
                .tape
                .add_backward_op(move |_: &mut Gradients<E, D>| match grad.take() {
                    Some(dy) => backward(&device, dy),
                    None => Ok(()),
                });
        }
        output
    }

    /// Two handles to the same activation, for the two branches of a residual: the first keeps the
    /// tape, the second starts an empty one, and the gradients of both add up.
    pub fn fork(self) -> (Self, Self) {
        let second = Self {
            shape: self.shape,
            device: self.device.clone(),
            data: self.data.clone(),
            grad: self.grad.clone(),
            tape: T::default(),
        };
        (self, second)
    }

    /// The tape, for binding shared parameters before the first layer.
    pub fn tape_mut(&mut self) -> &mut T {
        &mut self.tape
    }

    /// The device the activation is on.
    pub fn device(&self) -> &D {
        &self.device
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
        let grad = GradCell::new(T::OWNS_TAPE);
        let mut output = Self {
            shape,
            device,
            data,
            grad,
            tape,
        };
        if T::OWNS_TAPE {
            let (device, grad) = (output.device.clone(), output.grad.clone());
            output.tape.add_backward_op(move |gradients| {
                let Some(dy) = grad.take() else { return Ok(()) };
                let dx = to_nchw(&device, &shape, dy)?;
                device.add_to_gradient(gradients, &x, dx)
            });
        }
        Ok(output)
    }

    /// Makes a tensor (NCHW or NC) that carries the tape, for dfdx's losses.
    pub fn into_tensor(self) -> Result<Tensor<S, E, D, T>, D::Err> {
        let (device, shape, grad, mut tape) = (self.device, self.shape, self.grad, self.tape);
        let data = to_nchw(&device, &shape, Rc::unwrap_or_clone(self.data))?;
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
