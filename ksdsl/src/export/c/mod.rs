//! Networks as C99: one file and its header, without allocation. Each shared kernel is one array, whatever uses it, and
//! equal steps in a row are a loop over a table of what differs.

mod f32;
mod int8;
mod kernels;
mod make;
mod roll;
mod text;

pub use crate::steps::{Error, Options, program};
pub use text::Files;

use crate::quantize::Quantized;
use crate::steps::{Arena, Known, Place, Program};
use std::collections::BTreeMap;

/// Elements of an array.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Single precision.
    F32(Vec<f32>),
    /// 8 bits.
    I8(Vec<i8>),
    /// 16 bits.
    I16(Vec<i16>),
    /// 32 bits.
    I32(Vec<i32>),
}

impl Data {
    /// The type in C.
    fn word(&self) -> &'static str {
        match self {
            Data::F32(_) => "float",
            Data::I8(_) => "int8_t",
            Data::I16(_) => "int16_t",
            Data::I32(_) => "int32_t",
        }
    }

    /// Its bytes.
    fn bytes(&self) -> usize {
        match self {
            Data::F32(data) => 4 * data.len(),
            Data::I8(data) => data.len(),
            Data::I16(data) => 2 * data.len(),
            Data::I32(data) => 4 * data.len(),
        }
    }
}

/// An array of constants.
#[derive(Clone, Debug)]
struct Array {
    name: String,
    /// Where it is from, for a comment.
    origin: String,
    data: Data,
}

/// A call of a kernel.
#[derive(Clone, Debug)]
struct Call {
    kernel: &'static str,
    args: Vec<Arg>,
    /// The layer, for a comment.
    place: String,
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
enum Arg {
    /// A struct of numbers: its kind, and its position among all.
    Struct(&'static str, usize),
    /// A number.
    Int(i64),
    /// A number in single precision.
    Real(f32),
    /// An array by its position, or a null pointer.
    Array(Option<usize>),
    /// A buffer.
    Buffer(Place),
    /// An array or a buffer, of which each slice takes what is so far behind that of the one before it.
    Slice(Box<Arg>, usize),
}

/// Calls in a row.
#[derive(Clone, Debug)]
struct Row {
    calls: Vec<Call>,
    /// How often they run, each time for the next slice.
    slices: usize,
}

/// What a program is in C, before it is text.
#[derive(Clone, Debug)]
pub struct Unit {
    name: String,
    /// The type of activations.
    element: &'static str,
    element_bytes: usize,
    inputs: Vec<(String, usize)>,
    outputs: Vec<(String, usize)>,
    arrays: Vec<Array>,
    /// Sizes of convolutions and the like: the struct, the name and the content of each.
    sizes: Vec<(&'static str, String, String)>,
    rows: Vec<Row>,
    arena: Arena,
    /// Functions of one value, by their names.
    of_value: BTreeMap<&'static str, &'static Known>,
    /// Functions that kernels call.
    helpers: Vec<&'static str>,
    /// More lines of the header.
    header: Vec<String>,
    /// More functions.
    functions: Vec<(String, String)>,
}

/// Bytes that a program takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// Weights.
    pub weights: usize,
    /// Tables of what differs between visits, and sizes.
    pub tables: usize,
    /// The arena of activations.
    pub arena: usize,
    /// Inputs and outputs, which the caller has.
    pub ports: usize,
}

/// A quantised program.
pub fn integer(of: &Quantized) -> Unit {
    int8::unit(of)
}

/// A program in single precision.
pub fn single(program: &Program) -> Unit {
    f32::unit(program)
}

impl Unit {
    /// What it takes in flash and in memory, but for code.
    pub fn bytes(&self) -> Bytes {
        let tables = roll::roll(&self.rows).iter().map(roll::Item::bytes).sum::<usize>();
        let sizes: usize = self.sizes.iter().map(|(kind, ..)| kernels::size_bytes(kind)).sum();
        let ports = self.inputs.iter().chain(&self.outputs);
        Bytes {
            weights: self.arrays.iter().map(|array| array.data.bytes()).sum(),
            tables: tables + sizes,
            arena: self.arena.len * self.element_bytes,
            ports: ports.map(|(_, len)| len * self.element_bytes).sum(),
        }
    }

    fn calls(&self) -> impl Iterator<Item = &Call> {
        self.rows.iter().flat_map(|row| &row.calls)
    }

    /// The C file and its header, which it includes under this name.
    pub fn files(&self, header: &str, comment: &[String]) -> Files {
        text::files(self, header, comment)
    }
}

/// A name in C: letters, digits and underscores.
fn word(name: &str) -> String {
    let one = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(one).collect()
}

/// A count as an argument.
fn int(value: usize) -> Arg {
    Arg::Int(value as i64)
}
