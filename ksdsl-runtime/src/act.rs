//! Typed activations: what flows between a network's input and its logits, with its shape as a type.

use crate::backend::{Backend, on_device};
use crate::scalar::Scalar;
use dfdx::shapes::{Const, Dim, HasShape, Shape};
use dfdx::tensor::{NoneTape, PutTape, SplitTape, Tape, Tensor};
use dfdx::tensor_ops::ReshapeTo;
use ksdsl_engine::exec::Exec;
use ksdsl_engine::ops::{to_nchw, to_nhwc};
use ksdsl_engine::size::MapSize;
use ksdsl_engine::{act, param, tape};
use std::marker::PhantomData;
use std::rc::Rc;

/// Feature maps: `B` images of `C` channels, `H` pixels high and `W` wide.
pub type Map<B, const C: usize, const H: usize, const W: usize, E, D, T = NoneTape> =
    Act<(B, Const<C>, Const<H>, Const<W>), E, D, T>;

/// Feature vectors: `B` images of `C` features.
pub type Flat<B, const C: usize, E, D, T = NoneTape> = Act<(B, Const<C>), E, D, T>;

/// A batch of sequences as dfdx's tensors have it: `B` of `L` tokens with `C` features.
pub type Tokens<B, const L: usize, const C: usize, E, D, T = NoneTape> = Tensor<(B, Const<L>, Const<C>), E, D, T>;

/// A batch of signals as dfdx's tensors have it: `B` of `C` channels with `L` samples.
pub type Signal<B, const C: usize, const L: usize, E, D, T = NoneTape> = Tensor<(B, Const<C>, Const<L>), E, D, T>;

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

/// dfdx's tape as one of the engine's.
#[derive(Debug)]
pub struct DfdxTape<E, D, T> {
    pub(crate) tape: T,
    of: PhantomData<fn() -> (E, D)>,
}

impl<E, D, T> From<T> for DfdxTape<E, D, T> {
    fn from(tape: T) -> Self {
        Self { tape, of: PhantomData }
    }
}

impl<E, D, T: Default> Default for DfdxTape<E, D, T> {
    fn default() -> Self {
        T::default().into()
    }
}

impl<E: Scalar, D: Backend<E>, T: Tape<E, D>> tape::Tape<E, D::Exec> for DfdxTape<E, D, T> {
    const RECORDS: bool = T::OWNS_TAPE;

    fn record(
        &mut self,
        exec: &D::Exec,
        backward: impl FnOnce(&D::Exec) -> Result<(), <D::Exec as Exec<E>>::Err> + 'static,
    ) {
        let exec = exec.clone();
        self.tape
            .add_backward_op(move |_| on_device::<E, D, ()>(backward(&exec)));
    }

    fn merge(self, other: Self) -> Self {
        self.tape.merge(other.tape).into()
    }
}

/// What an activation carries from layer to layer besides its values.
pub type Context<E, D, T> = act::Context<E, <D as Backend<E>>::Exec, DfdxTape<E, D, T>>;

/// The loop that an activation is in.
pub type InLoop<E, D> = Option<Rc<param::Loop<E, <D as Backend<E>>::Exec>>>;

/// An activation whose shape is not a type.
pub(crate) type Untyped<E, D, T> = act::Act<E, <D as Backend<E>>::Exec, DfdxTape<E, D, T>>;

/// An activation of shape `S` (logically NCHW or NC, as dfdx's tensors; stored NHWC) with elements
/// `E` on device `D`; `T` is dfdx's tape.
///
/// Its values may be deferred: a convolution runs only when the activation, norm and residual that follow it
/// are known, so that all of them are fused into one pass over memory.
#[derive(Debug)]
pub struct Act<S: Shape, E: Scalar, D: Backend<E>, T = NoneTape> {
    pub(crate) shape: S,
    pub(crate) device: D,
    pub(crate) untyped: Untyped<E, D, T>,
}

impl<S: ActShape, E: Scalar, D: Backend<E>, T: Tape<E, D>> Act<S, E, D, T> {
    /// What an operation of the engine makes of it, an activation of the given shape.
    pub(crate) fn then<S2: Shape>(
        self,
        shape: S2,
        operation: impl FnOnce(Untyped<E, D, T>) -> Result<Untyped<E, D, T>, <D::Exec as Exec<E>>::Err>,
    ) -> Result<Act<S2, E, D, T>, D::Err> {
        let untyped = operation(self.untyped).map_err(D::failed)?;
        Ok(Act {
            shape,
            device: self.device,
            untyped,
        })
    }

    /// Two handles to the same activation, for the two branches of a residual: the first keeps the
    /// tape, the second starts an empty one, and the gradients of both add up.
    pub fn fork(self) -> Result<(Self, Self), D::Err> {
        let (first, second) = self.untyped.fork().map_err(D::failed)?;
        let typed = |device, untyped| Self {
            shape: self.shape,
            device,
            untyped,
        };
        Ok((typed(self.device.clone(), first), typed(self.device, second)))
    }

    /// One more handle to an activation with a name, one that [`Act::fork`] made or an input, with an empty tape; the
    /// gradients of both add up.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            shape: self.shape,
            device: self.device.clone(),
            untyped: self.untyped.again(),
        }
    }

    /// The same activation, with the tape of `other`, which is used no more.
    #[must_use]
    pub fn after<S2: Shape>(self, other: Act<S2, E, D, T>) -> Self {
        Self {
            untyped: self.untyped.after(other.untyped),
            ..self
        }
    }

    /// Begins a loop, see [`act::Act::begin_loop`].
    pub fn begin_loop(&mut self) -> InLoop<E, D> {
        self.untyped.begin_loop()
    }

    /// Ends a loop.
    pub fn end_loop(&mut self, outer: InLoop<E, D>) {
        self.untyped.end_loop(outer);
    }

    /// The values alone, without a tape and so without gradients, and the tape.
    #[expect(clippy::type_complexity, reason = "values and their tape")]
    pub fn detach(self) -> Result<(Act<S, E, D>, T), D::Err> {
        let (untyped, tape) = self.untyped.detach().map_err(D::failed)?;
        let x = Act {
            shape: self.shape,
            device: self.device,
            untyped,
        };
        Ok((x, tape.tape))
    }

    /// What the activation carries, for binding shared parameters before the first layer.
    pub fn context_mut(&mut self) -> &mut Context<E, D, T> {
        &mut self.untyped.context
    }

    /// The tape, for operations of dfdx's own beside the layers.
    pub fn tape_mut(&mut self) -> &mut T {
        &mut self.untyped.context.tape.tape
    }

    /// The device the activation is on.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// The shape, with the batch size as a value.
    pub fn shape(&self) -> &S {
        &self.shape
    }

    /// Reads a tensor (NCHW or NC). Backward, the gradient is added to the tensor's in dfdx's
    /// `Gradients`.
    pub fn read(x: Tensor<S, E, D, T>) -> Result<Self, D::Err> {
        let shape = *x.shape();
        let layout = if shape.map_size().has_one_layout() {
            Layout::Same
        } else {
            Layout::ChannelsFirst
        };
        Self::read_as(shape, layout, x)
    }

    /// Reads a tensor whose values are in this order as an activation of this shape.
    fn read_as<S2: Shape>(shape: S, layout: Layout, x: Tensor<S2, E, D, T>) -> Result<Self, D::Err> {
        // dfdx keeps a gradient in its tensor's physical order; no copy when that is the logical one.
        let (x, tape) = x.try_contiguous()?.split_tape();
        let device = x.device().clone();
        let size = shape.map_size();
        let exec = device.exec()?;
        let data = layout
            .to_nhwc(&exec, size, device.read_tensor(&x)?)
            .map_err(D::failed)?;
        let grad = act::GradCell::new(T::OWNS_TAPE);
        let mut context = Context {
            exec,
            tape: DfdxTape::from(tape),
            kernels: None,
            unit: None,
            in_loop: None,
            past: None,
        };
        if T::OWNS_TAPE {
            let (device, exec, grad) = (device.clone(), context.exec.clone(), grad.clone());
            context.tape.tape.add_backward_op(move |gradients| {
                let Some(dy) = grad.take() else { return Ok(()) };
                let dx = layout.to_outside(&exec, size, dy).map_err(D::failed)?;
                device.add_to_gradient(gradients, &x, dx)
            });
        }
        let untyped = act::Act::input(size, context, Rc::new(data), grad);
        Ok(Self { shape, device, untyped })
    }

    /// Makes a tensor (NCHW or NC) that carries the tape, for dfdx's losses.
    pub fn into_tensor(self) -> Result<Tensor<S, E, D, T>, D::Err> {
        let layout = if self.untyped.size.has_one_layout() {
            Layout::Same
        } else {
            Layout::ChannelsFirst
        };
        let shape = self.shape;
        self.into_tensor_as(shape, layout)
    }

    /// Makes a tensor of this shape, with the values in this order.
    fn into_tensor_as<S2: Shape>(self, shape: S2, layout: Layout) -> Result<Tensor<S2, E, D, T>, D::Err> {
        let (device, size) = (self.device, self.untyped.size);
        let (data, context, grad) = self.untyped.ready().map_err(D::failed)?.into_values();
        let data = layout.to_outside(&context.exec, size, data).map_err(D::failed)?;
        let output = device.make_tensor(data, shape)?;
        let (exec, mut tape) = (context.exec, context.tape.tape);
        if T::OWNS_TAPE {
            let tensor = output.clone();
            tape.add_backward_op(move |gradients| {
                let dy = device.take_gradient(gradients, &tensor)?;
                let backward = || grad.add(&exec, layout.to_nhwc(&exec, size, dy)?);
                backward().map_err(D::failed)
            });
        }
        Ok(output.put_tape(tape))
    }
}

impl<S: ActShape, E: Scalar, D: Backend<E>> Act<S, E, D> {
    /// The values on a tape that goes on: its operations get gradients, what made the values gets none.
    pub fn attach<T: Tape<E, D>>(self, tape: T) -> Result<Act<S, E, D, T>, D::Err> {
        let (mut untyped, _) = self.untyped.detach().map_err(D::failed)?;
        untyped.context.tape = tape.into();
        Ok(Act {
            shape: self.shape,
            device: self.device,
            untyped,
        })
    }
}

/// The order of a tensor's values.
#[derive(Clone, Copy, Debug)]
enum Layout {
    /// That of activations: channels last, or so few sizes that all orders are one.
    Same,
    /// Channel by channel, as PyTorch has maps.
    ChannelsFirst,
}

impl Layout {
    fn to_nhwc<E: Scalar, X: Exec<E>>(self, exec: &X, size: MapSize, x: X::Buf) -> Result<X::Buf, X::Err> {
        match self {
            Self::Same => Ok(x),
            Self::ChannelsFirst => to_nhwc(exec, size, x),
        }
    }

    fn to_outside<E: Scalar, X: Exec<E>>(self, exec: &X, size: MapSize, x: X::Buf) -> Result<X::Buf, X::Err> {
        match self {
            Self::Same => Ok(x),
            Self::ChannelsFirst => to_nchw(exec, size, x),
        }
    }
}

/// Sequences are maps of one row, with the tokens side by side and the features as channels; and so are signals, whose
/// tensors have the values of a channel side by side.
impl<B: Dim, const L: usize, const C: usize, E: Scalar, D: Backend<E>, T: Tape<E, D>> Map<B, C, 1, L, E, D, T> {
    /// Reads a batch of sequences.
    pub fn read_tokens(x: Tokens<B, L, C, E, D, T>) -> Result<Self, D::Err> {
        Self::read_as((x.shape().0, Const, Const, Const), Layout::Same, x)
    }

    /// Reads a batch of signals, `C` channels of `L` samples.
    pub fn read_signal(x: Signal<B, C, L, E, D, T>) -> Result<Self, D::Err> {
        Self::read_as((x.shape().0, Const, Const, Const), Layout::ChannelsFirst, x)
    }

    /// Makes a batch of signals that carries the tape.
    pub fn into_signal(self) -> Result<Signal<B, C, L, E, D, T>, D::Err> {
        let shape = (self.shape.0, Const, Const);
        self.into_tensor_as(shape, Layout::ChannelsFirst)
    }

    /// Makes a batch of sequences that carries the tape.
    pub fn into_tokens(self) -> Result<Tokens<B, L, C, E, D, T>, D::Err> {
        let shape = (self.shape.0, Const, Const);
        self.into_tensor_as(shape, Layout::Same)
    }
}
