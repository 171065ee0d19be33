//! The handle of an operation.

use super::{Operation, Part, Problem, Real, Rust, Shape};
use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// An argument of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    /// A size, a count, or a flag as 0 or 1.
    Int(u64),
    /// A number that need not be an integer.
    Real(Real),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Number::Int(value)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Number::Int(value.into())
    }
}

impl From<Real> for Number {
    fn from(value: Real) -> Self {
        Number::Real(value)
    }
}

/// An operation as the engine's registry knows it: its name there, and its arguments by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// The engine's name of the operation.
    pub name: &'static str,
    /// All arguments, in a fixed order.
    pub args: Vec<(&'static str, Number)>,
}

impl Call {
    /// An operation without arguments.
    pub fn new(name: &'static str) -> Self {
        Call { name, args: Vec::new() }
    }

    /// The same with one more argument.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Number>) -> Self {
        self.args.push((name, value.into()));
        self
    }

    /// An argument.
    pub fn arg(&self, name: &str) -> Option<Number> {
        let mut args = self.args.iter();
        args.find(|(of, _)| *of == name).map(|(_, value)| *value)
    }

    /// An argument that is an integer; 0 if there is no such argument.
    pub fn int(&self, name: &str) -> u64 {
        match self.arg(name) {
            Some(Number::Int(value)) => value,
            _ => 0,
        }
    }

    /// An argument as a floating-point number; 0 if there is no such argument.
    pub fn real(&self, name: &str) -> f64 {
        match self.arg(name) {
            Some(Number::Real(value)) => value.0,
            Some(Number::Int(value)) => value as f64,
            None => 0.0,
        }
    }
}

/// A resolved operation: cheap to clone, equal to another if both make the same [`Call`]. Initial values do not
/// count: a layer that uses a shared kernel is the same whatever its own would have started with.
#[derive(Clone)]
pub struct Op(Arc<Inner<dyn Operation>>);

struct Inner<T: ?Sized> {
    call: Call,
    operation: T,
}

impl Op {
    /// The handle of an operation.
    pub fn new(operation: impl Operation) -> Self {
        Op(Arc::new(Inner {
            call: operation.call(),
            operation,
        }))
    }

    /// The operation of a layer with an error in it; never reaches code generation.
    pub(crate) fn invalid() -> Self {
        Self::new(Invalid)
    }

    /// Whether it stands for a layer with an error.
    pub fn is_invalid(&self) -> bool {
        self.downcast::<Invalid>().is_some()
    }

    /// The engine's name of the operation, and its arguments.
    pub fn call(&self) -> &Call {
        &self.0.call
    }

    /// The operation itself, if it is of this type.
    pub fn downcast<T: Operation>(&self) -> Option<&T> {
        let operation: &dyn Any = &self.0.operation;
        operation.downcast_ref()
    }

    /// Whether it accepts an input of this kind.
    pub(crate) fn accepts(&self, input: Shape) -> bool {
        self.takes(input.as_map())
    }

    /// The shape of its output; of signals, which are maps of one row to it, a signal again.
    pub(crate) fn output_of(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let maps: Vec<Shape> = inputs.iter().map(|input| input.as_map()).collect();
        let output = self.output(&maps)?;
        let signal = inputs.iter().find(|input| matches!(input, Shape::Signal { .. }));
        match (signal, output) {
            (
                Some(_),
                Shape::Map {
                    channels,
                    height: 1,
                    width: length,
                },
            ) => Ok(Shape::Signal { channels, length }),
            (Some(signal), Shape::Map { .. }) => Err(super::not_taken(self.word(), *signal)),
            (_, output) => Ok(output),
        }
    }

    /// The sizes of the kernel, for layers that have one.
    pub fn kernel_shape(&self) -> Option<Vec<u64>> {
        let mut tensors = self.tensors().into_iter();
        tensors
            .find(|tensor| tensor.part == Part::Kernel)
            .map(|tensor| tensor.shape)
    }

    /// Rows and columns of the kernel of a convolution or linear layer as a matrix: one row for each
    /// output channel, `[out][in / groups * height * width]`.
    pub fn kernel_matrix(&self) -> Option<[u64; 2]> {
        self.sharing().filter(|sharing| sharing.refuses_rows().is_none())?;
        let shape = self.kernel_shape()?;
        let (rows, columns) = shape.split_first()?;
        Some([*rows, columns.iter().product()])
    }

    /// Whether it is a norm, which is shared as a whole.
    pub fn is_norm(&self) -> bool {
        self.tensors().iter().any(|tensor| tensor.part == Part::Norm)
    }
}

impl Deref for Op {
    type Target = dyn Operation;

    fn deref(&self) -> &Self::Target {
        &self.0.operation
    }
}

impl PartialEq for Op {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.call() == other.call()
    }
}

impl Eq for Op {}

impl Hash for Op {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.call().hash(state);
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct(self.call().name);
        for (name, value) in &self.call().args {
            match value {
                Number::Int(value) => text.field(name, value),
                Number::Real(value) => text.field(name, &value.0),
            };
        }
        text.finish()
    }
}

/// Stands for what has an error.
#[derive(Debug)]
struct Invalid;

impl Operation for Invalid {
    fn call(&self) -> Call {
        Call::new("invalid")
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(inputs[0])
    }

    fn rust(&self, _: &mut Rust) {}

    fn onnx(&self, to: &mut super::Onnx<'_>) -> String {
        to.x()
    }

    fn python(&self, _: &mut super::Python) {}
}
