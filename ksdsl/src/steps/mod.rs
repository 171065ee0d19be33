//! A network as a list of steps on buffers, with its weights: what becomes C and what is quantised.
//!
//! Values are stored position by position, the channels of a position next to each other. Each kernel is one constant,
//! whatever uses it. Batch norms are folded into what precedes them, and activations belong to the step before them.

mod arena;
mod error;
mod fold;
mod functions;
mod limits;
mod lower;
mod overlap;
mod run;
mod slices;

pub use arena::{Arena, Place, arena};
pub use error::Error;
pub use functions::{Function, Known, Tail};
pub use lower::{Options, program};
pub(crate) use lower::{Target, apart};
pub use run::run;
pub(crate) use run::{moved, of_step, sums, windows};
pub use slices::{Axis, Slices};

use crate::ir::Shape;

/// The position of a buffer in [`Program::buffers`].
pub type BufferId = usize;

/// The position of a constant in [`Program::constants`].
pub type ConstantId = usize;

/// A network as steps.
#[derive(Clone, Debug)]
pub struct Program {
    /// The name of the network.
    pub name: String,
    /// The inputs, as PyTorch lays them out.
    pub inputs: Vec<Port>,
    /// The outputs, as PyTorch lays them out.
    pub outputs: Vec<Port>,
    /// What holds values.
    pub buffers: Vec<Buffer>,
    /// Weights.
    pub constants: Vec<Constant>,
    /// The steps in their order.
    pub steps: Vec<Step>,
    /// Those of them that run slice by slice, in their order.
    pub slices: Vec<Slices>,
}

/// An input or an output.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its name; `input` or `output` if it has none.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// Where it is.
    pub buffer: BufferId,
}

/// What holds a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Positions or tokens.
    pub positions: usize,
    /// Channels or features of a position.
    pub channels: usize,
}

impl Buffer {
    /// Values in all.
    pub fn len(self) -> usize {
        self.positions * self.channels
    }

    /// Whether it holds none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// Weights.
#[derive(Clone, Debug)]
pub struct Constant {
    /// Where they come from: a key of checkpoints, perhaps with what was made of it.
    pub name: String,
    /// Their values.
    pub data: Vec<f32>,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Step {
    /// The layer, or the operation where it is none.
    pub place: String,
    /// What it does.
    pub kind: Kind,
    /// What it takes.
    pub inputs: Vec<BufferId>,
    /// What it writes, all of it or, if it is a [`Kind::Move`] or [`Kind::Write`], a part of it.
    pub output: BufferId,
    /// The function that is applied to its output.
    pub act: Option<Function>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A convolution or a linear layer, then a factor and an addition for each output channel.
    Conv {
        /// Its sizes.
        size: ConvSize,
        /// The kernel: `[output][row][column][input]`, of a depthwise one `[row][column][channel]`.
        weight: ConstantId,
        /// Factors.
        scale: Option<ConstantId>,
        /// Additions.
        shift: Option<ConstantId>,
    },
    /// A factor and an addition for each channel.
    Affine {
        /// Factors.
        scale: Option<ConstantId>,
        /// Additions.
        shift: Option<ConstantId>,
    },
    /// A function of each value.
    Function(Function),
    /// x, and a slope times x below 0, with a slope for each channel.
    Prelu(ConstantId),
    /// An operation of two inputs.
    Binary(Binary),
    /// The addition of a constant of the same size.
    Plus(ConstantId),
    /// Pooling over windows.
    Pool(PoolSize),
    /// Softmax over channels, or over positions, or its logarithm.
    Softmax {
        /// Whether it is the logarithm.
        log: bool,
        /// Whether it is over positions.
        of_positions: bool,
    },
    /// Layer normalisation over the channels of each position.
    LayerNorm {
        /// Factors, if it has them.
        weight: Option<ConstantId>,
        /// Additions, if it has them; there are factors then.
        bias: Option<ConstantId>,
        /// Added to the variance.
        eps: f32,
    },
    /// Division by the root mean square of each head of the channels.
    RmsNorm {
        /// Factors, as many as a head has channels, if it has them.
        weight: Option<ConstantId>,
        /// Heads.
        heads: usize,
        /// Added to the mean of squares.
        eps: f32,
    },
    /// Normalisation over groups of channels.
    GroupNorm {
        /// Factors and additions, if it has them.
        affine: Option<[ConstantId; 2]>,
        /// Groups.
        groups: usize,
        /// Added to the variance.
        eps: f32,
    },
    /// Scaled dot-product attention of queries, keys and values.
    Attend {
        /// Heads of the queries.
        heads: usize,
        /// Heads of keys and values.
        key_heads: usize,
        /// Whether a query sees no later keys.
        causal: bool,
    },
    /// A copy of some values.
    Move(Move),
    /// A constant, copied to a place of the output.
    Write {
        /// The constant.
        constant: ConstantId,
        /// The place.
        at: usize,
    },
    /// Zeros.
    Zero,
}

/// The sizes of a convolution; a linear layer is one of a row of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvSize {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    /// Height, width and channels of the output.
    pub output: [usize; 3],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Steps.
    pub stride: [usize; 2],
    /// Zeros above and on the left.
    pub pad: [usize; 2],
    /// Distances between taps.
    pub dilation: [usize; 2],
    /// Groups.
    pub groups: usize,
}

impl ConvSize {
    /// Whether it has one input and one output channel in each of several groups.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.input[2] && self.groups == self.output[2]
    }

    /// Products in a sum.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.input[2] / self.groups.max(1)
    }

    /// The output channel that an element of the kernel belongs to.
    pub fn row(&self, element: usize) -> usize {
        match self.is_depthwise() {
            true => element % self.output[2],
            false => element / self.taps().max(1),
        }
    }

    /// Products in all.
    pub fn products(&self) -> u64 {
        self.output.iter().map(|size| *size as u64).product::<u64>() * self.taps() as u64
    }
}

/// The sizes of pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolSize {
    /// Whether maxima are taken, not means.
    pub max: bool,
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    /// Height and width of the output.
    pub output: [usize; 2],
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Steps.
    pub stride: [usize; 2],
    /// Rows above and columns on the left of the input.
    pub pad: [usize; 2],
    /// Rows above and below, columns on the left and right that means count as zeros.
    pub counted: [usize; 2],
}

impl PoolSize {
    /// How many values each window counts, if all count as many.
    pub fn same_count(&self) -> Option<usize> {
        let along = |axis: usize| {
            let (len, pad, counted) = (self.input[axis], self.pad[axis], self.counted[axis]);
            let count = |at: usize| {
                let from = at * self.stride[axis];
                (from + self.kernel[axis]).min(len + pad + counted) - from.max(pad - counted)
            };
            let first = count(0);
            (0..self.output[axis]).all(|at| count(at) == first).then_some(first)
        };
        Some(along(0)? * along(1)?)
    }
}

/// A copy of values in three nested loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Move {
    /// Iterations of the loops.
    pub count: [usize; 3],
    /// The first value that is read, and how far each iteration moves on.
    pub from: [usize; 4],
    /// The first value that is written, and how far each iteration moves on.
    pub to: [usize; 4],
}

/// An operation of two inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// The sum.
    Add,
    /// The difference.
    Subtract,
    /// The product.
    Multiply,
    /// The product of each value and the factor of its channel.
    Gate,
    /// The product of each value and the factor of its position.
    GatePositions,
}

impl Kind {
    /// The weights that it uses.
    pub fn constants(&self) -> impl Iterator<Item = ConstantId> {
        let (first, rest) = match self {
            Kind::Conv {
                weight, scale, shift, ..
            } => (Some(*weight), [*scale, *shift]),
            Kind::Affine { scale, shift } => (None, [*scale, *shift]),
            Kind::Prelu(of) | Kind::Plus(of) | Kind::Write { constant: of, .. } => (Some(*of), [None; 2]),
            Kind::RmsNorm { weight, .. } => (*weight, [None; 2]),
            Kind::LayerNorm { weight, bias, .. } => (*weight, [*bias, None]),
            Kind::GroupNorm { affine, .. } => (None, affine.map_or([None; 2], |affine| affine.map(Some))),
            Kind::Function(_)
            | Kind::Binary(_)
            | Kind::Pool(_)
            | Kind::Softmax { .. }
            | Kind::Attend { .. }
            | Kind::Move(_)
            | Kind::Zero => (None, [None; 2]),
        };
        first.into_iter().chain(rest.into_iter().flatten())
    }

    /// Whether the output may be where the first input is.
    pub fn is_in_place(&self) -> bool {
        matches!(
            self,
            Kind::Affine { .. }
                | Kind::Function(_)
                | Kind::Prelu(_)
                | Kind::Binary(_)
                | Kind::Plus(_)
                | Kind::Softmax { .. }
                | Kind::LayerNorm { .. }
                | Kind::RmsNorm { .. }
                | Kind::GroupNorm { .. }
        )
    }
}

impl Program {
    /// How often each constant is used.
    pub fn uses_of_constants(&self) -> Vec<usize> {
        let mut uses = vec![0; self.constants.len()];
        let all = self.steps.iter().flat_map(|step| step.kind.constants());
        all.for_each(|id| uses[id] += 1);
        uses
    }

    /// How often each buffer is read, an output once more.
    pub fn uses_of_buffers(&self) -> Vec<usize> {
        let mut uses = vec![0; self.buffers.len()];
        let read = self.steps.iter().flat_map(|step| step.inputs.iter().copied());
        let given = self.outputs.iter().map(|port| port.buffer);
        read.chain(given).for_each(|id| uses[id] += 1);
        uses
    }

    /// Products in all.
    pub fn products(&self) -> u64 {
        let of = |step: &Step| match &step.kind {
            Kind::Conv { size, .. } => size.products(),
            _ => 0,
        };
        self.steps.iter().map(of).sum()
    }
}
