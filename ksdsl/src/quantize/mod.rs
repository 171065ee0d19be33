//! Post-training quantisation to 8 bits, in integers alone.
//!
//! A value is `scale * (q - zero)` with an integer `q` of 8 bits (Jacob et al. 2018, arXiv 1712.05877, section 2.1): each
//! buffer has a scale and a zero of its own, so each visit of a shared kernel has its own range; a kernel has one scale for
//! each output channel, whatever uses it. Sums are integers of 32 bits. What follows them is one multiplication by a
//! fixed-point number of 30 bits and one shift that rounds to the nearest, halves up: the single rounding of TensorFlow
//! Lite's `MultiplyByQuantizedMultiplier` (gemmlowp's has two).

mod infer;
mod plan;
mod ranges;
mod scales;
mod train;

pub use infer::{infer, quantized};
pub use plan::{Error, quantize};
pub use ranges::{Ranges, Visits};
pub use train::{Training, TrainingError};

use crate::steps::{BufferId, ConvSize, Move, PoolSize, Program};

/// How the integers of a buffer stand for numbers: `scale * (q - zero)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The distance of two numbers.
    pub scale: f64,
    /// The integer that stands for 0.
    pub zero: i8,
}

/// The position of an array in [`Quantized::arrays`].
pub type ArrayId = usize;

/// An array of integers, with what it is from.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The constant, and what of it.
    pub name: String,
    /// The numbers.
    pub data: Integers,
}

/// Integers of some size.
#[derive(Clone, Debug, PartialEq)]
pub enum Integers {
    /// 8 bits: kernels.
    I8(Vec<i8>),
    /// 16 bits: factors and additions of channels.
    I16(Vec<i16>),
    /// 32 bits: tables of functions.
    I32(Vec<i32>),
}

/// A quantised program: a step for each of its steps.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The program that was quantised.
    pub program: Program,
    /// Of each buffer.
    pub scales: Vec<Scale>,
    /// Kernels, factors and tables.
    pub arrays: Vec<Array>,
    /// The steps.
    pub steps: Vec<Step>,
}

/// A step in integers.
#[derive(Clone, Debug)]
pub struct Step {
    /// The layer.
    pub place: String,
    /// What it does.
    pub kind: Kind,
    /// What it takes.
    pub inputs: Vec<BufferId>,
    /// What it writes.
    pub output: BufferId,
    /// What becomes of its sums.
    pub finish: Finish,
}

/// What a step sums up.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A convolution, with factors and additions of channels.
    Conv {
        /// Its sizes.
        size: ConvSize,
        /// The kernel.
        kernel: ArrayId,
        /// Factors of the output channels.
        factors: ArrayId,
        /// Additions.
        additions: Option<ArrayId>,
    },
    /// Factors and additions of channels, or neither.
    Affine {
        /// Factors.
        factors: Option<ArrayId>,
        /// Additions.
        additions: Option<ArrayId>,
    },
    /// A sum of two inputs, each with its factor.
    Add,
    /// A product of two inputs.
    Multiply,
    /// A product with the factor of the channel.
    Gate,
    /// A product with the factor of the position.
    GatePositions,
    /// Maxima of windows, which are in the scale of the input.
    MaxPool(PoolSize),
    /// Sums of windows.
    AvgPool(PoolSize),
    /// A copy in another scale.
    Move(Move),
    /// Zeros.
    Zero,
}

/// From a sum to an output of 8 bits. With `shift(v, n)`, `v / 2^n` rounded:
///
/// `y = shift(shift(sum * factor, before) * a + addition * b, after)`, of two summed inputs `shift(x * a + other * b, after)`;
/// then, if there is a table, `y = shift(table(y) * c, last)`; then the zero is added, and the result is clamped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Finish {
    /// The factor of the sum.
    pub a: i32,
    /// The factor of the addition, or of the second input.
    pub b: i32,
    /// The factor of the function's value.
    pub c: i32,
    /// The shift of a sum times the factor of its channel.
    pub before: u8,
    /// The shift after the first factors.
    pub after: u8,
    /// The shift after the last.
    pub last: u8,
    /// The zero of the input.
    pub x: i8,
    /// The zero of the second input.
    pub other: i8,
    /// The zero of the output.
    pub y: i8,
    /// The least output.
    pub low: i8,
    /// The largest.
    pub high: i8,
    /// Whether the function is its input beyond the table.
    pub identity: bool,
    /// The table of the function: its values at -8, -8 + 1/32, ..., 8, in units of 2^-16.
    pub table: Option<ArrayId>,
}

/// The bits after the point of what a table takes and gives.
pub const TABLE_BITS: u8 = 16;
/// The inputs of a table are between minus this and this.
pub const TABLE_END: i32 = 8;
/// The entries of a table for 1.
pub const TABLE_STEPS: i32 = 32;
