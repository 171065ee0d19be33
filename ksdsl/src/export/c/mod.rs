//! Networks as C99: one file and its header, without allocation. Each shared kernel is one array, whatever uses it, and
//! equal steps in a row are a loop over a table of what differs.

mod f32;
mod int8;
mod kernels;
mod roll;
mod text;

pub use crate::steps::{Error, Options, program};
pub use text::Files;

use crate::quantize::Quantized;
use crate::steps::{Arena, ConstantId, Known, Place, Program, arena};
use std::collections::{BTreeMap, HashMap};

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
    calls: Vec<Call>,
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
        let tables = roll::roll(&self.calls).iter().map(roll::Item::bytes).sum::<usize>();
        let sizes: usize = self.sizes.iter().map(|(kind, ..)| kernels::size_bytes(kind)).sum();
        let ports = self.inputs.iter().chain(&self.outputs);
        Bytes {
            weights: self.arrays.iter().map(|array| array.data.bytes()).sum(),
            tables: tables + sizes,
            arena: self.arena.len * self.element_bytes,
            ports: ports.map(|(_, len)| len * self.element_bytes).sum(),
        }
    }

    /// The C file and its header, which it includes under this name.
    pub fn files(&self, header: &str, comment: &[String]) -> Files {
        text::files(self, header, comment)
    }
}

/// A unit in the making.
struct Maker {
    unit: Unit,
    names: HashMap<String, usize>,
    known: HashMap<(ConstantId, &'static str), usize>,
    structs: HashMap<(&'static str, String), usize>,
}

impl Maker {
    fn new(program: &Program, element: &'static str, element_bytes: usize) -> Self {
        let ports = |ports: &[crate::steps::Port], what: &str| {
            let name = |port: &crate::steps::Port| match ports.len() {
                1 => what.to_owned(),
                _ => format!("{what}_{}", word(&port.name)),
            };
            let one = |port: &crate::steps::Port| (name(port), program.buffers[port.buffer].len());
            ports.iter().map(one).collect()
        };
        Maker {
            unit: Unit {
                name: word(&program.name),
                element,
                element_bytes,
                inputs: ports(&program.inputs, "input"),
                outputs: ports(&program.outputs, "output"),
                arrays: Vec::new(),
                sizes: Vec::new(),
                calls: Vec::new(),
                arena: arena(program),
                of_value: BTreeMap::new(),
                helpers: Vec::new(),
                header: Vec::new(),
                functions: Vec::new(),
            },
            names: HashMap::new(),
            known: HashMap::new(),
            structs: HashMap::new(),
        }
    }

    /// The array for a constant, made once for each use of its kind.
    fn array(&mut self, key: (ConstantId, &'static str), origin: &str, data: impl FnOnce() -> Data) -> Arg {
        if let Some(at) = self.known.get(&key) {
            return Arg::Array(Some(*at));
        }
        let base = format!("w_{}", word(origin));
        let number = self.names.entry(base.clone()).or_insert(0);
        *number += 1;
        let name = if *number == 1 {
            base
        } else {
            format!("{base}__{number}")
        };
        self.unit.arrays.push(Array {
            name,
            origin: origin.to_owned(),
            data: data(),
        });
        self.known.insert(key, self.unit.arrays.len() - 1);
        Arg::Array(Some(self.unit.arrays.len() - 1))
    }

    /// The struct of this kind with these numbers.
    fn size(&mut self, kind: &'static str, numbers: &[usize]) -> Arg {
        let numbers: Vec<i64> = numbers.iter().map(|number| *number as i64).collect();
        self.integers(kind, &numbers)
    }

    /// The struct of this kind with these numbers.
    fn integers(&mut self, kind: &'static str, numbers: &[i64]) -> Arg {
        let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
        let content = numbers.join(", ");
        if let Some(at) = self.structs.get(&(kind, content.clone())) {
            return Arg::Struct(kind, *at);
        }
        let at = self.unit.sizes.len();
        let name = format!("{}_{at}", kind.trim_start_matches("ksn_"));
        self.unit.sizes.push((kind, name, content.clone()));
        self.structs.insert((kind, content), at);
        Arg::Struct(kind, at)
    }

    fn buffer(&self, id: usize) -> Arg {
        Arg::Buffer(self.unit.arena.places[id])
    }

    fn call(&mut self, kernel: &'static str, place: &str, args: Vec<Arg>) {
        self.unit.calls.push(Call {
            kernel,
            args,
            place: place.to_owned(),
        });
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
