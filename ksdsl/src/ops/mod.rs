//! The operations of the language: what each is, in one file, registered by one line in `operations!`.
//!
//! A [`LayerDef`] is what a specification calls: a name and parameters. It resolves to an [`Op`], which knows its
//! shapes and tensors and writes itself as Rust and as PyTorch. The rest of the compiler asks an operation what it
//! is through [`Operation`] and matches none by name.

mod args;
mod geometry;
mod initial;
mod lower;
mod mask;
mod onnx;
mod op;
mod problem;
mod python;
mod read;
pub(crate) mod rust;
mod sharing;
mod standardize;
mod tensor;
mod words;

pub(crate) use crate::ir::Shape;
use crate::ir::in_words;
use crate::steps::BufferId;
use crate::value::Value;
use args::param;
pub use args::{ArgValue, Args, Axes, Padding, ParamDef, ParamKind, is_word, takes};
pub(crate) use geometry::projection;
pub use initial::{InitChoice, init_functions, is_function, is_init};
use lower::Lowered;
pub(crate) use lower::buffer;
pub use lower::{Lower, Unsupported};
pub(crate) use onnx::After;
pub use onnx::{Attribute, Constant, Graph, Node, Onnx};
pub use op::{Call, Number, Op};
pub(crate) use problem::not_taken;
pub use problem::{Clash, Problem};
use problem::{equal, groups_divide, is_numbers, joined, map_of, positions_of};
pub(crate) use python::Statement;
pub use python::{Helper, Python};
pub use read::{read, read_along, read_given};
pub use rust::Rust;
pub use sharing::{Alike, Sharing, Transposed};
use std::any::Any;
use std::fmt::Debug;
pub use tensor::{Init, Part, Real, Tensor};
pub use words::{is_language_word, language_words, parameter_of};

/// What the files of operations use.
mod prelude {
    pub(super) use super::args::param;
    pub(super) use super::{
        Alike, Args, Block, Call, Family, Helper, Init, InitChoice, LayerDef, Lower, Lowered, Module, Onnx, Op,
        Operation, Padding, ParamDef, ParamKind, Part, Problem, Python, Real, Resolve, Rust, Shape, Sharing, Tensor,
        Transposed, Unsupported, equal, groups_divide, in_words, is_numbers, joined, lower, map_of, onnx, pair,
        positions_of, python, rust, size,
    };
    pub(super) use crate::diag::Code;
    pub(super) use crate::value::Value;
    pub(super) use quote::quote;
}

/// Declares the files of the operations and makes the list of what a specification can call.
macro_rules! operations {
    ($($file:ident,)+) => {
        $(pub mod $file;)+

        const FILES: &[&[LayerDef]] = &[$($file::LAYERS,)+];
    };
}

// One line for each file. `rustfmt` does not find the files, so `.ci/run` names them.
operations! {
    conv,
    linear,
    squeeze_excite,
    attention,
    attend,
    window_attention,
    matmul,
    gather,
    roll,
    windows,
    merge_windows,
    embedding,
    to_tokens,
    to_signal,
    class_token,
    token,
    rotary,
    sinusoidal_positions,
    patch_embedding,
    position_embedding,
    batch_norm,
    layer_norm,
    activation,
    pool,
    global_pool,
    dropout,
    noise,
    flatten,
    identity,
    add,
    multiply,
    concat,
    group_norm,
    rms_norm,
    leaky_relu,
    elu,
    upsample,
    subtract,
    affine,
    clamp,
    softmax,
    prelu,
    layer_scale,
    layer_shift,
    conv_transpose,
    pixel_shuffle,
    channel_shuffle,
    slice,
    pad,
    zero_channels,
    adaptive_avg_pool,
    unflatten,
    channel_pool,
}

/// What a specification calls.
pub struct LayerDef {
    /// Its name.
    pub name: &'static str,
    /// A one-line description.
    pub doc: &'static str,
    /// Its parameters; those before the first that has a default can be given by position only
    /// as all others can, in this order.
    pub params: &'static [ParamDef],
    /// What it is like.
    pub family: Family,
    /// How it is resolved.
    pub resolve: Resolve,
}

/// Layers that messages list together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Layers with kernels: kinds that `share isomorphic` can be narrowed to.
    Weights,
    /// Norms, which are such kinds too.
    Norm,
    /// Activation functions.
    Activation,
    /// All others.
    Other,
}

/// How a call is resolved.
#[derive(Clone, Copy)]
pub enum Resolve {
    /// To an operation, or to nothing where the input passes unchanged.
    One(fn(&Args, Shape) -> Result<Option<Op>, Problem>),
    /// To an operation that joins the outputs of paths.
    Join {
        /// The least and the largest number of paths.
        paths: [usize; 2],
        /// The operation for inputs of these shapes.
        resolve: fn(&Args, &[Shape]) -> Result<Op, Problem>,
    },
    /// To statements of the language.
    Block(Block),
}

/// A layer that is written in the language itself.
#[derive(Clone, Copy)]
pub struct Block {
    /// The constants that its statements see, for an input of this shape.
    pub constants: fn(&Args, Shape) -> Result<Constants, Problem>,
    /// Its statements. Initialisations that a call gives go to the layers that have such a parameter.
    pub text: &'static str,
}

/// Names with their values.
pub type Constants = Vec<(&'static str, Value)>;

impl LayerDef {
    /// The least and the largest number of paths, for a layer that joins paths.
    pub fn paths(&self) -> Option<[usize; 2]> {
        match self.resolve {
            Resolve::Join { paths, .. } => Some(paths),
            Resolve::One(_) | Resolve::Block(_) => None,
        }
    }

    /// How a layer that joins paths is written.
    pub(crate) fn with_paths(&self) -> Option<String> {
        let [least, _] = self.paths()?;
        let args = if self.params.is_empty() { "" } else { "(...)" };
        Some(format!("{}{args} {{ {}}}", self.name, "path { ... } ".repeat(least)))
    }
}

/// An operation with its numbers resolved. Its inputs are one or more activations, all of one image.
pub trait Operation: Any + Debug + Send + Sync {
    /// The engine's name of the operation and its arguments. Two operations are equal if their calls are.
    fn call(&self) -> Call;

    /// The word that it has in summaries.
    fn word(&self) -> &'static str {
        self.call().name
    }

    /// Whether `share isomorphic kind` means it.
    fn is_kind(&self, kind: &str) -> bool {
        self.word() == kind
    }

    /// Whether it accepts inputs of this kind; sequences and token ids only if it says so.
    fn takes(&self, input: Shape) -> bool {
        matches!(input, Shape::Map { .. } | Shape::Flat(_))
    }

    /// The argument of [`Operation::call`] that a parameter of this name becomes; sizes of two directions and
    /// paddings become several, with `_height`, `_width`, `_top` and so on after it.
    fn argument(&self, param: &'static str) -> &'static str {
        param
    }

    /// The shape of the output for these inputs, of which there is at least one; that of the first if nothing else is said.
    ///
    /// # Errors
    /// If it does not accept them.
    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(inputs[0])
    }

    /// Its tensors, in the order checkpoints list them.
    fn tensors(&self) -> Vec<Tensor> {
        Vec::new()
    }

    /// What must be equal for two to share tensors; nothing for an operation without any.
    fn sharing(&self) -> Option<Sharing> {
        None
    }

    /// The type that holds all of its tensors, where they are no fields of their own.
    fn module(&self) -> Option<Module> {
        None
    }

    /// Multiply-adds per image.
    fn macs(&self, output: Shape) -> u128 {
        let _ = output;
        0
    }

    /// What distinguishes it from others of its word in summaries, such as `stride 2`.
    fn details(&self) -> Vec<String> {
        Vec::new()
    }

    /// What generated code calls an input of several after the first, counted from 0.
    fn input_name(&self, input: usize) -> &'static str {
        let _ = input;
        "path"
    }

    /// Whether its call takes the pass it is part of, which says whether it is one of training.
    fn needs_pass(&self) -> bool {
        false
    }

    /// Whether its output at a position follows from its inputs at this position and from what the engine keeps of those
    /// before (`ksdsl_engine::past`): what networks are made of that generate token by token. If not, why not.
    ///
    /// # Errors
    /// If it does not: `it pools over all positions`.
    fn decodes(&self, inputs: &[Shape]) -> Result<(), &'static str> {
        let _ = inputs;
        Err("it combines positions, later ones included, or moves them")
    }

    /// Whether what it does to a position depends on the place of that in the sequence.
    fn counts_positions(&self) -> bool {
        false
    }

    /// First positions that must be known together, before any of their outputs is.
    fn whole_prefix(&self) -> u64 {
        0
    }

    /// Writes it as Rust.
    fn rust(&self, to: &mut Rust);

    /// Writes it as ONNX, in inference; the value of its output.
    fn onnx(&self, to: &mut Onnx<'_>) -> String;

    /// Writes it as steps, in inference; the buffer of its output.
    ///
    /// # Errors
    /// If steps cannot express it.
    fn lower(&self, to: &mut Lower<'_, '_>) -> Result<BufferId, Unsupported> {
        let _ = to;
        Err(Unsupported::all())
    }

    /// Writes it as PyTorch.
    fn python(&self, to: &mut Python);
}

/// A type of the runtime, and a class of exported modules, that holds all tensors of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Module {
    /// Its name, in Rust and in Python.
    pub name: &'static str,
    /// What it is in comments.
    pub what: &'static str,
    /// Its size.
    pub channels: u64,
    /// The class in Python.
    pub class: &'static Helper,
}

/// The parameters of a residual connection: when a 1x1 convolution projects its input, and
/// whether a batch norm follows that convolution; and when the input is added at all.
pub const RESIDUAL: &[ParamDef] = &[
    param(
        "project",
        ParamKind::Word(&["never", "on_shape_change", "always"]),
        false,
    ),
    param("norm", ParamKind::Flag, false),
    param("skip", ParamKind::Word(&["always", "on_same_shape"]), false),
];

/// The options of a loop, `repeat up to 16, gradients = 4`.
pub const LOOP: &[ParamDef] = &[param("gradients", ParamKind::Size, false)];

/// Everything that a specification can call.
pub fn layers() -> impl Iterator<Item = &'static LayerDef> {
    FILES.iter().copied().flatten()
}

/// The operations that join paths.
pub fn joins() -> impl Iterator<Item = &'static LayerDef> + Clone {
    let all = FILES.iter().copied().flatten();
    all.filter(|layer| layer.paths().is_some())
}

/// The layer of this name.
pub fn find(name: &str) -> Option<&'static LayerDef> {
    layers().find(|layer| layer.name == name)
}

/// The kinds that `share isomorphic` can be narrowed to.
pub fn kinds() -> impl Iterator<Item = &'static str> + Clone {
    let all = FILES.iter().copied().flatten();
    all.filter(|layer| matches!(layer.family, Family::Weights | Family::Norm))
        .map(|layer| layer.name)
}

/// A size as a value of the language; sizes are below `limits::DIMENSION`.
fn size(value: u64) -> Value {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

/// One size for both directions, or `3x5`.
fn pair([height, width]: [u64; 2]) -> String {
    match height == width {
        true => height.to_string(),
        false => format!("{height}x{width}"),
    }
}
