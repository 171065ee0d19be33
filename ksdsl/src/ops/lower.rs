//! How an operation says which steps it is, in inference.

use super::Shape;
use crate::steps::{Buffer, BufferId, ConstantId, Function, Kind, Move, Target};

/// Why an operation has no steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// What it has that steps have not, in words; nothing for all of it.
    pub what: Option<String>,
}

impl Unsupported {
    /// The operation as a whole.
    pub(super) fn all() -> Self {
        Unsupported { what: None }
    }

    /// Something that it has.
    pub(crate) fn with(what: impl Into<String>) -> Self {
        Unsupported {
            what: Some(what.into()),
        }
    }
}

/// What becomes of an operation.
pub(super) type Lowered = Result<BufferId, Unsupported>;

/// What an operation is written with, and the program that it writes to.
pub struct Lower<'t, 'w> {
    to: &'t mut Target<'w>,
    place: String,
    inputs: Vec<(BufferId, Shape)>,
    output: Shape,
    /// The places of the operation's tensors by their names.
    tensors: Vec<(&'static str, usize)>,
    /// The place of the private factors, one for each output channel.
    scale: Option<usize>,
}

impl<'t, 'w> Lower<'t, 'w> {
    pub(crate) fn new(
        to: &'t mut Target<'w>,
        place: String,
        inputs: Vec<(BufferId, Shape)>,
        output: Shape,
        (tensors, scale): (Vec<(&'static str, usize)>, Option<usize>),
    ) -> Self {
        let inputs = inputs.into_iter().map(|(buffer, shape)| (buffer, shape.as_map()));
        Lower {
            to,
            place,
            inputs: inputs.collect(),
            output: output.as_map(),
            tensors,
            scale,
        }
    }

    /// The inputs with their shapes, a signal as maps of one row.
    pub(super) fn inputs(&self) -> Vec<(BufferId, Shape)> {
        self.inputs.clone()
    }

    /// The first input.
    pub(super) fn x(&self) -> BufferId {
        self.inputs[0].0
    }

    /// The shape of the first input.
    pub(super) fn shape(&self) -> Shape {
        self.inputs[0].1
    }

    /// The shape of the output.
    pub(super) fn output(&self) -> Shape {
        self.output
    }

    /// A tensor as it is stored, if the layer has it.
    pub(super) fn tensor(&mut self, name: &str) -> Option<ConstantId> {
        let place = self.place_of(name)?;
        Some(self.to.stored(place))
    }

    /// A tensor that the layer has.
    pub(super) fn needed(&mut self, name: &str) -> Result<ConstantId, Unsupported> {
        self.tensor(name).ok_or_else(Unsupported::all)
    }

    /// The private factors of the output channels.
    pub(super) fn scale(&mut self) -> Option<ConstantId> {
        self.scale.map(|place| self.to.stored(place))
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        let mut tensors = self.tensors.iter();
        tensors.find(|(of, _)| *of == name).map(|(_, place)| *place)
    }

    /// What is made of some tensors of the layer, once for all layers that have the same. `what` says what that is.
    pub(super) fn made<const N: usize>(
        &mut self,
        names: [&str; N],
        what: &str,
        make: impl FnOnce([&[f32]; N]) -> Vec<f32>,
    ) -> Result<ConstantId, Unsupported> {
        let mut places = [0; N];
        for (place, name) in places.iter_mut().zip(names) {
            *place = self.place_of(name).ok_or_else(Unsupported::all)?;
        }
        Ok(self.to.made(places, what, make))
    }

    /// A constant that depends on no tensor, once for all that have this name.
    pub(super) fn constant(&mut self, name: String, make: impl FnOnce() -> Vec<f32>) -> ConstantId {
        self.to.constant(name, make)
    }

    /// A step that makes the output of these inputs.
    pub(super) fn step(&mut self, kind: Kind, inputs: &[BufferId]) -> BufferId {
        let output = self.to.buffer(buffer(self.output));
        self.step_to(output, kind, inputs);
        output
    }

    /// A step that writes to a buffer.
    pub(super) fn step_to(&mut self, output: BufferId, kind: Kind, inputs: &[BufferId]) {
        self.to.step(self.place.clone(), kind, inputs, output);
    }

    /// A buffer for the output.
    pub(super) fn output_buffer(&mut self) -> BufferId {
        self.to.buffer(buffer(self.output))
    }

    /// A buffer for a value of this shape.
    pub(super) fn buffer_of(&mut self, shape: Shape) -> BufferId {
        self.to.buffer(buffer(shape))
    }

    /// A function of the first input.
    pub(super) fn function(&mut self, function: Function) -> BufferId {
        let x = self.x();
        self.step(Kind::Function(function), &[x])
    }

    /// Copies of parts of the first input.
    pub(super) fn moves(&mut self, moves: impl IntoIterator<Item = Move>) -> BufferId {
        let (x, y) = (self.x(), self.output_buffer());
        moves
            .into_iter()
            .for_each(|part| self.step_to(y, Kind::Move(part), &[x]));
        y
    }

    /// The first input in another shape, with its values in the same order.
    pub(super) fn reshaped(&mut self) -> BufferId {
        let (x, output) = (self.x(), buffer(self.output));
        if self.to.size(x) == output {
            return x;
        }
        let count = [1, 1, output.len()];
        let part = Move {
            count,
            from: [0, 0, 0, 1],
            to: [0, 0, 0, 1],
        };
        self.moves([part])
    }
}

/// The buffer for a value of this shape.
pub(crate) fn buffer(shape: Shape) -> Buffer {
    Buffer {
        positions: count(shape.pixels()),
        channels: count(shape.channels()),
    }
}

/// A size as the machine's.
pub(crate) fn count(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// Height, width and channels: of a vector or a sequence one row.
pub(super) fn map(shape: Shape) -> [usize; 3] {
    match shape {
        Shape::Map {
            channels,
            height,
            width,
        } => [height, width, channels].map(count),
        shape => [1, count(shape.pixels()), count(shape.channels())],
    }
}

/// Values in the order channel, position as values in the order position, channel.
pub(crate) fn positions_first(data: &[f32], channels: usize) -> Vec<f32> {
    let positions = data.len() / channels.max(1);
    let value = |at: usize| data[at % channels * positions + at / channels];
    (0..data.len()).map(value).collect()
}
